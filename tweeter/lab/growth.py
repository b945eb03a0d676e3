"""The steps of the talk against the dial: the warm home page of each reader, as a plot and as a table."""

import json
from collections.abc import Container, Mapping
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

from markupsafe import Markup

from tweeter.interfaces import ITimelines
from tweeter.lab import dial
from tweeter.lab.comparison import Cost, noise, read_in_turns
from tweeter.lab.plots import Axis, Line, plot
from tweeter.values import Cursor, Timeline

MOST = 90  # per cent of the measures whose rounds must agree


class Growth(NamedTuple):
    """`costs` has the warm page by step and number of followees; `noise` is empty if the rounds agree."""

    costs: dict[str, dict[int, Cost]]
    noise: str
    plot: Markup
    reference: str


def measure_growth(contenders: Mapping[str, ITimelines], readers: Mapping[int, int], limit: int) -> Growth:
    """Measures every step for each reader of the dial. `readers` are their ids by the number of followees."""
    costs: dict[str, dict[int, Cost]] = {name: {} for name in contenders}
    for size, reader in readers.items():
        timeline, cursor = Timeline("home", reader), Cursor(limit=limit)
        for timelines in contenders.values():
            timelines.page(timeline, cursor)  # warm from now on
        for name, cost in read_in_turns(contenders, timeline, cursor).items():
            costs[name][size] = cost
    reference = _reference()
    said = f"Home pages of 20 tweets in the committed run of {reference['date']}, on {reference['machine']}."
    told = noise((cost.rounds for each in costs.values() for cost in each.values()), MOST)
    backends = {str(timelines.name) for timelines in contenders.values()}
    return Growth(costs, told, _drawn(costs, backends), said)


@cache
def _reference() -> dict[str, Any]:
    """See docs/generate.py."""
    found: dict[str, Any] = json.loads(Path(__file__).with_name("reference.json").read_text(encoding="utf-8"))
    return found


def _drawn(costs: Mapping[str, Mapping[int, Cost]], backends: Container[str]) -> Markup:
    known = {name: points for name, points in _reference()["home_ms"].items() if name in backends}
    lines = [Line(f"{name}, reference", points, faint=True) for name, points in known.items()]
    for look, (name, each) in enumerate(costs.items()):
        lines.append(Line(name, [(size, cost.ms) for size, cost in each.items()], look))
    times = [ms for line in lines for _, ms in line.points]
    x = Axis(list(dial.READERS), "followees of the reader", logarithmic=True, shown=list(dial.READERS))
    y = Axis(times, "a warm page", logarithmic=True, unit=" ms")
    return plot("Time of a warm home page, by followees", lines, x, y)
