"""Results of benchmarks: rotation of contenders, medians, ratios with targets, a table, data of the machine."""

import json
import math
import os
import platform
import statistics
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path
from typing import Any, NamedTuple, Protocol, TypeVar

from tweeter.bench.verdicts import NOISY, factor, spread
from tweeter.console.progress import Progress

T = TypeVar("T")

WIDTH = 120  # columns, without a terminal
PACKAGES = ("tweeter", "SQLAlchemy", "psycopg", "redis", "hiredis", "pymemcache", "pyramid", "waitress", "Jinja2")


class Report(Protocol):
    """The result of a benchmark."""

    def show(self) -> None:
        """Prints the report."""

    def data(self) -> dict[str, Any]:
        """Everything, for a JSON file."""


class Ratio(NamedTuple):
    """A claim with its target: `value` must be at least `least`, or at most `most`. Without either it only informs."""

    name: str
    value: float
    least: float | None = None
    most: float | None = None
    unit: str = ""

    @property
    def holds(self) -> bool:
        return (self.least is None or self.value >= self.least) and (self.most is None or self.value <= self.most)

    def __str__(self) -> str:
        line = f"{self.name} = {_short(self.value)}{self.unit and ' ' + self.unit}"
        for word, bound in (("at least", self.least), ("at most", self.most)):
            if bound is not None:
                line += f" ({word} {bound:g}{'' if self.holds else ': MISSED'})"
        return line


@dataclass
class Figures:
    """The Report of a benchmark: the values of each contender's runs, and the ratios between contenders."""

    title: str
    unit: str  # of all values
    runs: dict[str, list[float]] = field(default_factory=dict)
    ratios: list[Ratio] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    shares: dict[str, dict[str, float]] = field(default_factory=dict)  # of each whole, the shares of its parts
    _spreads: list[tuple[float, str]] = field(default_factory=list)  # of the ratio of each round

    def add(self, runs: Mapping[str, Sequence[float]]) -> None:
        self.runs |= {name: list(values) for name, values in runs.items()}

    @property
    def noise(self) -> str:
        """The ratio whose rounds differ most, if that leaves no conclusion; the first line."""
        most, name = max(self._spreads, default=(1.0, ""))
        if most <= NOISY:
            return ""
        return f"Rounds differ by up to {factor(most)} ({name}): smaller ratios are no conclusion."

    def compare(self, name: str, one: str, other: str, least: float | None = None, most: float | None = None) -> None:
        """The median of the ratios of each round: only values that are close in time are compared."""
        rounds = [a / b for a, b in zip(self.runs[one], self.runs[other], strict=True)]
        self._spreads.append((spread(rounds), name))
        self.claim(name, statistics.median(rounds), least=least, most=most)

    def claim(self, name: str, value: float, **target: Any) -> None:
        """Adds a Ratio."""
        self.ratios.append(Ratio(name, value, **target))

    def show(self) -> None:
        several = any(len(values) > 1 for values in self.runs.values())
        head = ("", "median", "least", "most") if several else ("", "")
        values = {name: (statistics.median(some), min(some), max(some)) for name, some in self.runs.items()}
        rows = [[name, *map(_short, all_three[: len(head) - 1])] for name, all_three in values.items()]
        tables = [Table(f"{self.title}; {self.unit}", head, rows, left=1)] if rows else []
        for whole, parts in self.shares.items():
            tables.append(Table(whole, (), [[part, f"{share:.1%}"] for part, share in parts.items()]))
        show(*filter(None, [self.noise]), *tables, *map(str, self.ratios), *self.notes)

    def data(self) -> dict[str, Any]:
        told = {name: value for name, value in vars(self).items() if not name.startswith("_")}
        ratios = [ratio._asdict() | {"holds": ratio.holds} for ratio in self.ratios]
        return told | {"ratios": ratios, "noise": self.noise}


def rotate(
    progress: Progress, contenders: Mapping[str, Callable[[], float]], rounds: int, name: str = "Measuring"
) -> dict[str, list[float]]:
    """Runs every contender once, then all of them again: A B C, A B C. Returns the values of each."""
    progress.phase(name, rounds * len(contenders))
    figures: dict[str, list[float]] = {contender: [] for contender in contenders}
    for _ in range(rounds):
        for contender, run in contenders.items():
            figures[contender].append(run())
            progress.advance(1)
    return figures


def rotated(contenders: Sequence[T], number: int) -> list[T]:
    """The contenders in the order of this round: another one begins each."""
    first = number % len(contenders)
    return [*contenders[first:], *contenders[:first]]


def percentile(values: Iterable[float], percent: float) -> float:
    """The smallest value that at least so many percent of the values do not exceed (nearest rank)."""
    ordered = sorted(values)
    if not ordered:
        raise ValueError("there are no values")
    return ordered[max(0, math.ceil(len(ordered) * percent / 100) - 1)]


def machine() -> dict[str, Any]:
    """The machine on which the values were measured."""
    return {
        "cpus": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
        "cpu": _cpu(),
        "system": f"{platform.system()} {platform.release()}",
        "python": platform.python_version(),
        **{package.lower(): version(package) for package in PACKAGES},
    }


def save(path: str, report: Report, servers: Mapping[str, str], arguments: Mapping[str, Any]) -> None:
    """Writes the raw numbers as JSON, with the machine and the arguments."""
    content = {"machine": machine(), "servers": dict(servers), "arguments": dict(arguments)} | report.data()
    Path(path).write_text(json.dumps(content, indent=2, default=str) + "\n", encoding="utf-8")


def _cpu() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor()
    return next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), "")


def _short(value: float) -> str:
    """Three significant digits."""
    if abs(value) >= 100:
        return f"{value:,.0f}"
    return f"{value:,.1f}" if abs(value) >= 10 else f"{value:,.2f}"


def duration(seconds: float, _: Any = None) -> str:
    """A duration in a suitable unit: 1.2 ms."""
    for unit, size in (("s", 1.0), ("ms", 1e-3), ("µs", 1e-6)):
        if seconds >= size or unit == "µs":
            return f"{float(f'{seconds / size:.3g}'):,g} {unit}"
    raise AssertionError


class Table(NamedTuple):
    """Columns of names first, then of values, shown as `cell` writes them. `styles` has those of some rows."""

    caption: str
    head: Sequence[str]
    rows: Sequence[Sequence[Any]]
    left: int = 2  # columns of names
    styles: Mapping[int, str] = {}


def cell(value: Any) -> str:
    """A value in a table: numbers with separators of thousands, nothing for None."""
    if isinstance(value, list):
        return ", ".join(map(cell, value))
    return f"{value:,}" if isinstance(value, int) else "" if value is None else str(value)


def show(*parts: Table | str, style: str = "") -> None:
    """Prints tables and lines; as wide as the terminal, or wide enough for a file."""
    # Imported here, because importing it takes longer than most commands run.
    import rich.table
    from rich.console import Console

    console = Console(highlight=False)
    if not console.is_terminal:
        console = Console(highlight=False, width=WIDTH)
    for part in parts:
        if isinstance(part, str):
            console.print(part, style=style, markup=False, soft_wrap=True)
            continue
        table = rich.table.Table(
            title=part.caption, title_justify="left", title_style="bold", show_header=bool(part.head)
        )
        for number, name in enumerate(part.head):
            table.add_column(name, justify="left" if number < part.left else "right")
        for number, row in enumerate(part.rows):
            table.add_row(*map(cell, row), style=part.styles.get(number))
        console.print(table)
