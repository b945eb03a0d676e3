"""Plots as inline SVG: lines with their names at their ends. Colours and dashes are classes of lab.css."""

import math
from collections.abc import Sequence
from typing import NamedTuple

from markupsafe import Markup, escape

from tweeter.bench.labels import apart

WIDTH, HEIGHT = 720, 300
LEFT, RIGHT, TOP, BOTTOM = 78, 150, 28, 40
LOOKS = 7  # classes of lines


class Line(NamedTuple):
    """Points in ascending order of x. `look` chooses the colour and the dashes; a faint line is only for reference."""

    name: str
    points: Sequence[tuple[float, float]]
    look: int = 0
    faint: bool = False


class Axis:
    """A scale from 0 or the smallest value to the largest."""

    def __init__(
        self,
        values: Sequence[float],
        label: str,
        logarithmic: bool = False,
        unit: str = "",
        shown: Sequence[float] = (),
    ) -> None:
        """`shown` are the values with a tick; by default, round ones."""
        self.label = label
        self._unit = unit
        self._shown = shown
        self._log = logarithmic
        values = [value for value in values if value > 0 or not logarithmic] or [1.0]
        self._low = math.log10(min(values) / 1.2) if logarithmic else 0.0
        self._high = math.log10(max(values) * 1.2) if logarithmic else max(*values, 1e-9) * 1.02

    def place(self, value: float) -> float:
        """The place of a value, from 0 to 1."""
        shown = math.log10(max(value, 1e-12)) if self._log else value
        return min(1.0, max(0.0, (shown - self._low) / (self._high - self._low)))

    def ticks(self) -> list[tuple[float, str]]:
        """Places and texts of some round values."""
        if self._shown:
            values = list(self._shown)
        elif self._log:
            values = [10.0**power for power in range(math.ceil(self._low), math.floor(self._high) + 1)]
        else:
            rough = self._high / 4
            size = 10 ** math.floor(math.log10(rough))
            step = next(size * factor for factor in (1, 2, 5, 10) if size * factor >= rough)
            values = [step * number for number in range(int(self._high / step) + 1)]
        return [(self.place(value), f"{value:,.10g}{self._unit}") for value in values]


def plot(title: str, lines: Sequence[Line], x: Axis, y: Axis, marks: Sequence[tuple[float, str]] = ()) -> Markup:
    """The SVG element. `marks` are vertical lines at values of x, with a text each."""
    parts = [_grid(x, y)]
    for at, text in marks:
        place = _x(x.place(at))
        parts.append(f'<path class="event" d="M{place:.1f} {TOP}V{HEIGHT - BOTTOM}"/>')
        parts.append(f'<text class="soft" x="{place + 4:.1f}" y="{TOP + 10}">{escape(text)}</text>')
    ends = []
    for line in lines:
        places = [(_x(x.place(a)), _y(y.place(b))) for a, b in line.points]
        if not places:
            continue
        look = "faint" if line.faint else f"look{line.look % LOOKS}"
        parts.append(f'<path class="line {look}" d="M{"L".join(f"{a:.1f} {b:.1f}" for a, b in places)}"/>')
        if len(places) <= 10 and not line.faint:
            parts += [f'<circle class="{look}" cx="{a:.1f}" cy="{b:.1f}" r="3.5"/>' for a, b in places]
        if line.name:
            ends.append((*places[-1], line.name, look))
    parts += _names(ends)
    head = f'<svg class="plot" viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{escape(title)}">'
    return Markup(f"{head}{''.join(parts)}</svg>")  # noqa: S704 (texts are escaped, all other parts are numbers)


def _x(place: float) -> float:
    return LEFT + place * (WIDTH - LEFT - RIGHT)


def _y(place: float) -> float:
    return HEIGHT - BOTTOM - place * (HEIGHT - TOP - BOTTOM)


def _grid(x: Axis, y: Axis) -> str:
    right, bottom = WIDTH - RIGHT, HEIGHT - BOTTOM
    parts = [f'<path class="axis" d="M{LEFT} {TOP}V{bottom}H{right}"/>']
    for place, text in y.ticks():
        parts.append(f'<path class="grid" d="M{LEFT} {_y(place):.1f}H{right}"/>')
        parts.append(f'<text class="soft end" x="{LEFT - 8}" y="{_y(place) + 4:.1f}">{escape(text)}</text>')
    for place, text in x.ticks():
        parts.append(f'<text class="soft middle" x="{_x(place):.1f}" y="{bottom + 16}">{escape(text)}</text>')
    middle = (LEFT + right) / 2
    parts.append(f'<text class="soft middle" x="{middle}" y="{HEIGHT - 6}">{escape(x.label)}</text>')
    parts.append(f'<text class="soft" x="{LEFT - 8}" y="{TOP - 12}">{escape(y.label)}</text>')
    return "".join(parts)


def _names(ends: Sequence[tuple[float, float, str, str]]) -> list[str]:
    """The name of each line beside its end; names that would overlap are moved apart."""
    ends = sorted(ends, key=lambda end: end[1])
    heights = apart([end[1] for end in ends], TOP + 4, HEIGHT - 6.0)
    left = WIDTH - RIGHT + 12
    return [
        f'<path class="lead {look}" d="M{x + 5:.1f} {y:.1f}L{left - 3} {height:.1f}"/>'
        f'<text class="name {look}" x="{left}" y="{height + 4:.1f}">{escape(name)}</text>'
        for (x, y, name, look), height in zip(ends, heights, strict=True)
    ]
