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
from typing import Any, NamedTuple, Protocol

from tweeter.console.progress import Progress

WIDTH = 120  # columns, without a terminal
LEAST_ROUNDS = 5  # of each; fewer allow no conclusion about which contender is faster
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

    def add(self, runs: Mapping[str, Sequence[float]]) -> None:
        self.runs |= {name: list(values) for name, values in runs.items()}

    def compare(self, name: str, one: str, other: str, least: float | None = None, most: float | None = None) -> None:
        """The median of the ratios of each round: only values that are close in time are compared."""
        rounds = [a / b for a, b in zip(self.runs[one], self.runs[other], strict=True)]
        self.ratios.append(Ratio(name, statistics.median(rounds), least, most))

    def show(self) -> None:
        # Imported here, because importing it takes longer than most commands run.
        from rich.console import Console
        from rich.table import Table

        console = Console(highlight=False)
        table = Table(title=f"{self.title}; {self.unit}", title_justify="left", title_style="bold")
        table.add_column("")
        several = any(len(values) > 1 for values in self.runs.values())
        for name in ("median", "least", "most") if several else ("",):
            table.add_column(name, justify="right")
        for name, values in self.runs.items():
            all_three = (statistics.median(values), min(values), max(values))
            table.add_row(name, *map(_short, all_three[: len(table.columns) - 1]))
        if self.runs:
            console.print(table)
        for whole, parts in self.shares.items():
            table = Table(title=whole, title_justify="left", title_style="bold", show_header=False)
            for part, share in parts.items():
                table.add_row(part, f"{share:.1%}")
            console.print(table)
        for line in (*map(str, self.ratios), *self.notes):
            console.print(line, markup=False, soft_wrap=True)

    def data(self) -> dict[str, Any]:
        return {
            "title": self.title,
            "unit": self.unit,
            "runs": self.runs,
            "ratios": [ratio._asdict() | {"holds": ratio.holds} for ratio in self.ratios],
            "notes": self.notes,
            "shares": self.shares,
        }


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


def significant(one: Sequence[float], other: Sequence[float]) -> bool:
    """Whether all values of `one` are above all values of `other`.

    With five rounds each, this happens by chance once in 126 times (H. Mann and D. Whitney, 1947: the maximal U among
    all 252 orders, on either side).
    """
    if min(len(one), len(other)) < LEAST_ROUNDS:
        return False
    return max(one) < min(other) or max(other) < min(one)


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


def make_console() -> Any:
    """The rich Console for tables: as wide as the terminal, or wide enough for a file."""
    # Imported here, because importing it takes longer than most commands run.
    from rich.console import Console

    console = Console(highlight=False)
    return console if console.is_terminal else Console(highlight=False, width=WIDTH)
