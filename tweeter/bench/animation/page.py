"""The page of a recording: one HTML file with its data, styles and script.

Python draws the final state, which is what a reader without JavaScript and a printer get. The script draws the other
moments from the same data.
"""

import math
from collections.abc import Iterable, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
from jinja2 import Environment, PackageLoader, StrictUndefined

from tweeter.bench.animation.record import Recording
from tweeter.bench.figures import Table, cell

COLUMNS = 50  # of the grid
CELL, DOT = 10, 8
WIDTH, HEIGHT = 1000, 300  # of the plot
TICKS = 8  # at most, on the time axis
SPARE = 1.04  # the end of the time axis, relative to the last moment
FACTS = {
    "cpus": "CPUs", "cpu": "CPU", "system": "system", "python": "Python", "tweeter": "Tweeter", "redis": "redis-py",
    "hiredis": "hiredis", "sqlalchemy": "SQLAlchemy", "psycopg": "psycopg",
}  # fmt: skip


class Moment(NamedTuple):
    """Something that happened. `flag` is its label in the plot, if it has one."""

    at: float
    what: str
    flag: str = ""


def write_page(recording: Recording, path: Path) -> None:
    environment = Environment(
        loader=PackageLoader("tweeter.bench.animation", "."), autoescape=True, undefined=StrictUndefined,
        trim_blocks=True, lstrip_blocks=True,
    )  # fmt: skip
    environment.filters |= {"cell": cell, "ms": milliseconds}
    found = moments(recording)
    end = math.ceil(SPARE * max(each.at for each in found))
    late = recording.taken
    html = environment.get_template("animation.jinja2").render(
        recording=recording, sentence=sentence(recording), moments=found, end=end, ticks=ticks(end),
        table_of_moments=moments_table(recording), facts=facts_table(recording), dots=len(recording.arrivals),
        grid=(COLUMNS * CELL, math.ceil(len(recording.arrivals) / COLUMNS) * CELL), plot=(WIDTH, HEIGHT),
        first=squares(number for number, at in enumerate(recording.arrivals) if at < late),
        second=diamonds(number for number, at in enumerate(recording.arrivals) if at >= late),
        line=arrivals_line(recording.arrivals, end), steps=checkpoints_line(recording, end),
        bars=bars(recording, end),
        data={
            "arrivals": recording.arrivals, "late": late, "end": end, "columns": COLUMNS,
            "moments": [[each.at, each.what] for each in found],
        },
    )  # fmt: skip
    path.write_text(html, encoding="utf-8")


def sentence(recording: Recording) -> str:
    """The finding."""
    result = (
        f"All {recording.compared:,} timelines equal SQL's."
        if not recording.differed
        else f"{recording.differed:,} of {recording.compared:,} timelines differ from SQL's."
    )
    killed, gap = milliseconds(recording.killed), milliseconds(recording.taken - recording.killed)
    return (
        f"A tweet goes to {recording.followers:,} followers. The relay is killed after {killed}; "
        f"another one takes over {gap} later, and the last timeline has "
        f"the tweet {milliseconds(recording.last)} after the commit. {result}"
    )


def moments(recording: Recording) -> list[Moment]:
    """What happened, in its order."""
    page = recording.page
    has = "has" if page.shown else "lacks"
    found = [
        Moment(recording.began, "The author’s transaction begins"),
        Moment(0.0, "The tweet and its event are committed: the author has the response", "tweet committed"),
        Moment(min(recording.arrivals), "The first of the watched timelines has the tweet"),
        Moment(recording.killed, "Relay 1 is killed (SIGKILL)", "relay 1 killed"),
        Moment(
            page.at,
            f"A follower whose timeline lacks the tweet reads the home page: it {has} the tweet "
            f"(served by {page.served_by} in {milliseconds(page.took)})",
            "a page is read",
        ),
        Moment(recording.taken, "Relay 2 has the lease, and continues from the checkpoint", "relay 2 takes over"),
        Moment(recording.last, "The last of the watched timelines has the tweet", "last timeline"),
        Moment(recording.checkpoints[-1].at, "The checkpoint says that all followers are done"),
    ]
    return sorted(found, key=lambda moment: moment.at)


def moments_table(recording: Recording) -> Table:
    dots = len(recording.arrivals)
    rows = [
        [milliseconds(each.at), each.what, f"{recording.having(each.at):,}", f"{recording.having(each.at) / dots:.0%}"]
        for each in moments(recording)
    ]
    return Table(
        f"What happened, in milliseconds after the commit; and how many of {dots:,} watched timelines have the tweet",
        ["when", "what", "have it", "share"],
        rows,
    )


def facts_table(recording: Recording) -> Table:
    machine = [[name, str(recording.machine[key])] for key, name in FACTS.items() if recording.machine.get(key)]
    servers = [[f"{name} (server)", version] for name, version in recording.servers.items()]
    median, longest = recording.polls
    return Table(
        "The run",
        ["what", "value"],
        [
            ["recorded", recording.created.replace("T", " ").replace("+00:00", " UTC")],
            ["followers", f"{recording.followers:,}"],
            ["watched timelines", f"{len(recording.arrivals):,}"],
            ["between two polls: median, longest", f"{milliseconds(median)}, {milliseconds(longest)}"],
            ["timelines that both relays wrote to", f"{recording.twice:,}"],
            ["timelines compared with SQL", f"{recording.compared:,}"],
            ["timelines that differ", f"{recording.differed:,}"],
            ["attempts until the kill was in the middle", f"{recording.attempts}"],
            *machine,
            *servers,
        ],
    )


def milliseconds(value: float) -> str:
    return f"{value:,.0f} ms" if abs(value) >= 10 else f"{value:.1f} ms"


def ticks(end: float) -> list[int]:
    """Round numbers of milliseconds from 0 to the end."""
    steps = (size * 10**power for power in range(6) for size in (1, 2, 5))
    step = next(step for step in steps if end / step <= TICKS)
    return list(range(0, int(end) + 1, step))


def squares(numbers: Iterable[int]) -> str:
    """The path of a square for each of these dots."""
    return "".join(f"M{x} {y}h{DOT}v{DOT}h-{DOT}z" for x, y in map(_corner, numbers))


def diamonds(numbers: Iterable[int]) -> str:
    half = DOT // 2
    return "".join(f"M{x + half} {y}l{half} {half}-{half} {half}-{half}-{half}z" for x, y in map(_corner, numbers))


def _corner(number: int) -> tuple[int, int]:
    spare = (CELL - DOT) // 2
    return number % COLUMNS * CELL + spare, number // COLUMNS * CELL + spare


def arrivals_line(arrivals: Sequence[float], end: float) -> str:
    """The number of timelines that have the tweet, over time: a path from the commit to the end."""
    ordered = sorted(arrivals)
    last = [(at, count) for count, (at, later) in enumerate(pairwise([*ordered, math.inf]), 1) if later > at]
    return _steps([(0.0, 0.0), *((at, count / len(ordered)) for at, count in last)], end)


def checkpoints_line(recording: Recording, end: float) -> str:
    """How many followers are done by the checkpoint, over time."""
    return _steps([(0.0, 0.0), *((each.at, each.done / recording.followers) for each in recording.checkpoints)], end)


def bars(recording: Recording, end: float) -> list[tuple[float, float]]:
    """When each relay delivers: beginning and width."""
    first = recording.checkpoints[0].at
    spans = (first, recording.killed), (recording.taken, recording.checkpoints[-1].at)
    return [(round(WIDTH * begin / end, 1), round(WIDTH * max(0.0, until - begin) / end, 1)) for begin, until in spans]


def _steps(points: Sequence[tuple[float, float]], end: float) -> str:
    parts = [f"M0 {HEIGHT}"]
    for at, share in points:
        parts.append(f"H{WIDTH * at / end:.1f}V{HEIGHT * (1 - share):.1f}")
    return "".join(parts) + f"H{WIDTH}"


def read_data(path: Path) -> dict[str, Any]:
    """The data that a page contains."""
    text = path.read_text(encoding="utf-8")
    begin = '<script type="application/json" id="recording">'
    found: dict[str, Any] = msgspec.json.decode(text.partition(begin)[2].partition("</script>")[0])
    return found
