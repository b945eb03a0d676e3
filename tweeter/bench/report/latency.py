"""Latency under offered load, for the report and for `tweeter bench latency`: plots, tables, sentences."""

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import msgspec

from tweeter.bench import figures
from tweeter.bench.figures import Table, duration
from tweeter.bench.knees import knee, lines_of, mixes, title
from tweeter.bench.report import plots
from tweeter.bench.report.charts import Chart
from tweeter.bench.schema import Latency, Offered

HEAD = ["requests/s", "backend", "achieved", "median", "95 %", "99 %", "errors", "generator late by", "held"]
COMPONENTS = ("site", "", "generator")  # the database and stores come second
DISTURBED = 0.1  # of the CPUs
ONE_MACHINE = (
    "The load generator, the site, the database and the stores share the CPUs of one machine: a rate is that of the "
    "whole machine, and the generator's share is in the table of CPU times."
)


class Shown(NamedTuple):
    """The Report (`tweeter.bench.figures`) of `tweeter bench latency`."""

    latency: Latency

    @property
    def code(self) -> int:
        """The exit code: 1 if a page was wrong."""
        return 1 if any(point.differed for point in self.latency.points) else 0

    def show(self) -> None:
        tables = [knees_table(self.latency)]
        for processes, posts in mixes(self.latency):
            tables += [steps_table(self.latency, processes, posts), cpu_table(self.latency, processes, posts)]
        told = []
        for mix in mixes(self.latency):
            if sentence := capacity_sentence(lines_of(self.latency, *mix)):
                told.append(f"{title(*mix).capitalize()}. {sentence}")
        figures.show(
            *filter(None, [disturbance(self.latency)]),
            *tables,
            *told,
            readers_sentence(self.latency),
            ONE_MACHINE,
            checked(self.latency),
        )

    def data(self) -> dict[str, Any]:
        found: dict[str, Any] = msgspec.to_builtins(self.latency)
        return found


def latency_charts(latency: Latency | None, order: Sequence[str]) -> list[Chart]:
    """A chart for each mix."""
    found: list[Chart] = []
    if latency is None:
        return found
    for processes, posts in mixes(latency):
        lines = lines_of(latency, processes, posts)
        name, heading = f"latency-{processes}-{posts}", f"Latency: {title(processes, posts)}"
        lines = {backend: lines[backend] for backend in order if backend in lines}
        svg = plots.latency(name, heading, lines, latency.limit, order)
        says = f"{knees_sentence(latency, lines)} {capacity_sentence(lines)}"
        tables = [cpu_table(latency, processes, posts), steps_table(latency, processes, posts)]
        found.append(Chart(name, heading, says, svg, tables))
    return found


def knees_sentence(latency: Latency, lines: dict[str, list[Offered]]) -> str:
    """The knee of each backend: "Up to 253 requests/s sql keeps 99 % of the requests below 250 ms; redis …"."""
    told = []
    for backend, points in lines.items():
        held = knee(points)
        told.append(
            f"{backend} up to {held.offered:,.0f}{' or more' if points[-1].held else ''}"
            if held else f"{backend} not even {points[0].offered:,.0f}"
        )  # fmt: skip
    late = [backend for backend, points in lines.items() if (held := knee(points)) and held.late]
    note = f" The generator itself was late at the knee of {', '.join(late)}: it may lie higher." if late else ""
    return f"Requests a second with a 99th percentile below {duration(latency.limit)}: {'; '.join(told)}.{note}"


def capacity_sentence(lines: dict[str, list[Offered]]) -> str:
    """How many requests/s one CPU of PostgreSQL could serve, by its CPU time at the knee; empty without PostgreSQL."""
    told = []
    for backend, points in lines.items():
        held = knee(points)
        if held and (used := held.cpu.get("PostgreSQL")):
            told.append(f"{backend} {duration(used / 1000)}: {float(f'{1000 / used:.2g}'):,.0f} requests/s")
    if not told:
        return ""
    return (
        f"A request's CPU time in PostgreSQL, and the rate that one CPU of PostgreSQL could serve: {'; '.join(told)}."
    )


def disturbance(latency: Latency | None) -> str:
    """Whether other programs took so much that the rates are too low; empty if they did not."""
    if latency is None or latency.disturbance < DISTURBED:
        return ""
    return (
        f"Other programs used {latency.disturbance:.0%} of the CPUs during the load (median): "
        "the rates are too low, and their order may be chance."
    )


def readers_sentence(latency: Latency | None) -> str:
    """Who reads, how often a rate was offered, and what the generator can do by itself."""
    if latency is None:
        return ""
    who = latency.audience
    return (
        f"{who['readers']:,} signed-in readers have {who['median']:,.0f} followees (median), {who['mean']:,.0f} on "
        f"average, {who['most']:,} at most. Each rate was offered for {latency.seconds:g} s; one that failed was "
        f"offered again. Against a server of constants the generator needs {duration(1 / latency.ceiling)} of CPU time "
        f"for a request: it can send at most {latency.ceiling:,.0f} requests/s."
    )


def knees_table(latency: Latency) -> Table:
    """The knee of each backend in each mix."""
    rows: list[list[Any]] = []
    for processes, posts in mixes(latency):
        for backend, points in lines_of(latency, processes, posts).items():
            held = knee(points)
            figures_ = [round(held.offered), *_three(held)] if held else [None, "", "", ""]
            late = "late" if held and held.late else ""
            rows.append([title(processes, posts), backend, *figures_, late])
    limit = duration(latency.limit)
    head = ["mix", "backend", "requests/s", "median", "95 %", "99 %", "generator"]
    return Table(f"The knee: the highest rate with a 99th percentile below {limit}", head, rows)


def steps_table(latency: Latency, processes: int, posts: int) -> Table:
    """All rates of a mix."""
    rows = [
        [
            round(point.offered), backend, round(point.achieved), *_three(point), sum(point.errors.values()),
            f"{duration(point.lag)}{' (late)' if point.late else ''}", "yes" if point.held else "no",
        ]
        for backend, points in lines_of(latency, processes, posts).items()
        for point in points
    ]  # fmt: skip
    return Table(f"Latency from the moment a request was due: {title(processes, posts)}", HEAD, sorted(rows, key=_rate))


def cpu_table(latency: Latency, processes: int, posts: int) -> Table:
    """The CPU seconds of each component, at the knee."""
    lines = lines_of(latency, processes, posts)
    held = {backend: found for backend, points in lines.items() if (found := knee(points))}
    used = {name for point in held.values() for name in point.cpu}
    names = sorted(used, key=lambda name: (COMPONENTS.index(name) if name in COMPONENTS else 1, name))
    rows = [
        [backend, round(point.offered), *(f"{point.cpu[name]:.2f}" if name in point.cpu else "" for name in names)]
        for backend, point in held.items()
    ]
    head = ["backend", "requests/s", *names]
    return Table(f"CPU seconds per 1,000 requests, at the knee: {title(processes, posts)}", head, rows, left=1)


def checked(latency: Latency) -> str:
    pages, differed = (sum(getattr(point, name) for point in latency.points) for name in ("checked", "differed"))
    return f"{pages:,} pages that were shown under load were checked against SQL, {differed or 'none'} differed."


def _three(point: Offered) -> Iterator[str]:
    return (duration(value) for value in (point.p50, point.p95, point.p99))


def _rate(row: Sequence[Any]) -> int:
    return int(row[0])
