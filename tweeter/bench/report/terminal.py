"""The result on a terminal."""

from collections.abc import Mapping, Sequence

from tweeter.bench import figures
from tweeter.bench.figures import Table, duration
from tweeter.bench.noise import noise_of
from tweeter.bench.report.latency import ONE_MACHINE, disturbance, knees_table, readers_sentence
from tweeter.bench.report.page import costs_table, series_of
from tweeter.bench.schema import Measurement, Result

SERIES = {"home": "Home page: median (99 %)", "delivered": "Post until delivered: median (99 %)"}


def show(result: Result) -> None:
    """Prints tables with the numbers of the report."""
    backends = result.backends
    tables = [knees_table(result.latency)] if result.latency else []
    for measure, title in SERIES.items():
        rows = []
        for series in dict.fromkeys(point.series for point in result.measurements):
            rows += _points(series, backends, series_of(result, series, measure))
        tables.append(Table(title, ["", *backends], rows, left=1))
    runs = {(run.workload, run.backend): f"{run.rate:,.0f} ({duration(run.seconds)})" for run in result.workloads}
    names = dict.fromkeys(run.workload for run in result.workloads)
    rates = [[name, *(runs.get((name, backend), "") for backend in backends)] for name in names]
    tables.append(Table("Workloads: operations a second (total time)", ["", *backends], rates, left=1))
    memory = [
        [f.backend, _megabytes(f.process), "" if f.servers is None else _megabytes(f.servers)]
        for f in result.footprints
    ]
    count = next((f.timelines for f in result.footprints), 0)
    tables.append(Table(f"Memory of {count:,} home timelines", ["", "process", "servers"], memory, left=1))
    figures.show(
        *filter(None, [noise_of(result), disturbance(result.latency)]),
        *(table for table in tables if table.rows),
        costs_table(result),
    )
    if result.latency:
        figures.show(readers_sentence(result.latency), ONE_MACHINE)
    figures.show(verdict(result), style="bold red" if result.differed else "bold")


def verdict(result: Result) -> str:
    """How many pages were checked, and how many were wrong."""
    lines = [
        f"{result.checked:,} pages were checked against SQL, "
        + (f"{result.differed:,} differed." if result.differed else "none differed.")
    ]
    for answered in result.answers:
        if answered.late:
            lines.append(f"{answered.backend}: {answered.late:,} were correct only after pending deliveries.")
        if answered.backend != "sql":
            share = answered.fallbacks / max(answered.read, 1)
            why = answered.why and f" ({answered.why})"
            lines.append(f"{answered.backend}: {share:.1%} of {answered.read:,} pages from SQL{why}.")
        lines += [f"{answered.backend}, {example}" for example in answered.examples[:1]]
    return "\n".join(lines)


def _points(series: str, backends: Sequence[str], lines: Mapping[str, Sequence[Measurement]]) -> list[list[str]]:
    times = {(point.x, backend): point.times for backend, points in lines.items() for point in points}
    told = {place: f"{duration(each.median)} ({duration(each.p99)})" for place, each in times.items()}
    return [
        [f"{x:,} {series}", *(told.get((x, backend), "") for backend in backends)]
        for x in sorted({x for x, _ in times})
    ]


def _megabytes(size: int) -> str:
    return f"{size / 1024 / 1024:,.1f} MB"
