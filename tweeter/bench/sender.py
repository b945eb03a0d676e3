"""A process that only delivers, so that its CPU time and memory are those of the delivery."""

import time
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import tweeter
from tweeter.bench.children import Child
from tweeter.bench.machinery import by_hand
from tweeter.values import TweetCreated

_timelines: Any = None  # of the delivering process


class Delivered(NamedTuple):
    seconds: float
    computed: float  # CPU seconds of this process
    grown: int | None  # maximal growth of this process in bytes; None on systems without that information


class Sender:
    """The handle of the delivering process."""

    def __init__(self, child: Child) -> None:
        self._child = child

    def deliver(self, event: TweetCreated) -> Delivered:
        """Delivers a committed event completely."""
        return self._child.call(_deliver, event)


@contextmanager
def sender(settings: Mapping[str, Any], warm_up: TweetCreated) -> Iterator[Sender]:
    """A process with a site of these settings, after it has delivered one event: all is imported and connected."""
    with closing(Child()) as child:
        child.call(_begin, dict(settings))
        one = Sender(child)
        one.deliver(warm_up)
        yield one


def _begin(settings: dict[str, Any]) -> None:
    global _timelines
    _timelines = by_hand(tweeter.make_registry(settings))


def _deliver(event: TweetCreated) -> Delivered:
    before = _memory("VmRSS", forget_peak=True)
    computed, began = time.process_time(), time.perf_counter()
    for _ in _timelines.projector.deliver(event):
        pass
    seconds, computed = time.perf_counter() - began, time.process_time() - computed
    peak = _memory("VmHWM")
    return Delivered(seconds, computed, None if before is None or peak is None else peak - before)


def _memory(name: str, forget_peak: bool = False) -> int | None:
    """Bytes of resident memory from Linux: VmRSS is the current value, VmHWM the peak since it was last reset."""
    try:
        if forget_peak:
            Path("/proc/self/clear_refs").write_text("5", encoding="ascii")
        lines = Path("/proc/self/status").read_text(encoding="utf-8").splitlines()
    except OSError:
        return None
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith(f"{name}:"))
