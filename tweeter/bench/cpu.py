"""CPU seconds of processes and of the whole machine, as Linux counts them (in hundredths)."""

import os
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from functools import partial
from pathlib import Path

from tweeter.devtools.servers import Server

TICKS = os.sysconf("SC_CLK_TCK")


def of_process(pid: int) -> float:
    """The CPU seconds of a process, its threads and its ended children; 0 if there is no such process."""
    with suppress(OSError):
        # The name of the program, in parentheses, may contain spaces.
        fields = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()
        return sum(map(int, fields[11:15])) / TICKS
    return 0.0


def of_tree(pid: int) -> float:
    """The CPU seconds of a process and all its children, also those that have ended."""
    found = of_process(pid)
    for tasks in Path(f"/proc/{pid}/task").glob("*/children"):
        with suppress(OSError):
            found += sum(of_process(int(child)) for child in tasks.read_text(encoding="ascii").split())
    return found


def of_the_machine() -> float:
    """The CPU seconds of everything on this machine."""
    with suppress(OSError):
        user, nice, system, _, _, *rest = Path("/proc/stat").read_text(encoding="ascii").split("\n")[0].split()[1:]
        return sum(map(int, (user, nice, system, *rest[:3]))) / TICKS
    return 0.0


def of_programs(names: Iterable[str]) -> dict[str, float]:
    """The CPU seconds of all processes of these programs, by name."""
    found = dict.fromkeys(names, 0.0)
    for path in Path("/proc").glob("[0-9]*/comm"):
        with suppress(OSError):
            if (name := path.read_text(encoding="utf-8").strip()) in found:
                found[name] += of_process(int(path.parent.name))
    return found


def of_servers(servers: Iterable[Server]) -> dict[str, Callable[[], float]]:
    """The CPU seconds of private servers, by name."""
    return {type(server).__name__: partial(_of_server, server) for server in servers}


def _of_server(server: Server) -> float:
    return of_tree(server.pid)


def difference(before: Mapping[str, float], after: Mapping[str, float]) -> dict[str, float]:
    """What each has used in between."""
    return {name: after[name] - before[name] for name in before}
