"""The result on a terminal."""

from collections.abc import Mapping, Sequence

from tweeter.bench.figures import duration, make_console
from tweeter.bench.report.page import costs_table, series_of
from tweeter.bench.report.schema import Measurement, Result, Run

SERIES = {"home": "Home page: median (99 %)", "delivered": "Post until delivered: median (99 %)"}


def show(result: Result) -> None:
    """Prints tables with the numbers of the report."""
    # Imported here, because importing it takes longer than most commands run.
    from rich.table import Table

    console = make_console()

    def table(title: str, head: Sequence[str], rows: Sequence[Sequence[str]], left: int = 1) -> None:
        made = Table(title=title, title_justify="left", title_style="bold")
        for number, name in enumerate(head):
            made.add_column(name, justify="left" if number < left else "right")
        for row in rows:
            made.add_row(*row)
        console.print(made)

    backends = result.backends
    for measure, title in SERIES.items():
        rows = []
        for series in dict.fromkeys(point.series for point in result.measurements):
            rows += _points(series, backends, series_of(result, series, measure))
        if rows:
            table(title, ["", *backends], rows)
    by_workload: dict[str, dict[str, Run]] = {}
    for run in result.workloads:
        by_workload.setdefault(run.workload, {})[run.backend] = run
    rates = [
        [name, *(f"{runs[b].rate:,.0f} ({duration(runs[b].seconds)})" if b in runs else "" for b in backends)]
        for name, runs in by_workload.items()
    ]
    if rates:
        table("Workloads: operations a second (total time)", ["", *backends], rates)
    if result.footprints:
        rows = [
            [f.backend, _megabytes(f.process), "" if f.servers is None else _megabytes(f.servers)]
            for f in result.footprints
        ]
        table(f"Memory of {result.footprints[0].timelines:,} home timelines", ["", "process", "servers"], rows)
    costs = costs_table(result)
    table(costs.caption, costs.head, costs.rows, left=2)
    console.print(verdict(result), style="bold red" if result.differed else "bold")


def verdict(result: Result) -> str:
    """How many pages were checked, and how many were wrong."""
    lines = [
        f"{result.checked:,} answers were checked against SQL, "
        + (f"{result.differed:,} differed." if result.differed else "none differed.")
    ]
    for answered in result.answers:
        if answered.late:
            lines.append(f"{answered.backend}: {answered.late:,} were right only once all was delivered.")
        if answered.backend != "sql":
            share = answered.fallbacks / max(answered.read, 1)
            reasons = ", ".join(f"{reason} {count:,}" for reason, count in answered.reasons.items())
            lines.append(
                f"{answered.backend}: {share:.1%} of {answered.read:,} pages from SQL{reasons and f' ({reasons})'}."
            )
        lines += [f"{answered.backend}, {example}" for example in answered.examples[:1]]
    return "\n".join(lines)


def _points(series: str, backends: Sequence[str], lines: Mapping[str, Sequence[Measurement]]) -> list[list[str]]:
    by_x: dict[int, dict[str, Measurement]] = {}
    for backend, points in lines.items():
        for point in points:
            by_x.setdefault(point.x, {})[backend] = point
    return [
        [f"{x:,} {series}", *(_time(found[b]) if b in found else "" for b in backends)]
        for x, found in sorted(by_x.items())
    ]


def _time(point: Measurement) -> str:
    return f"{duration(point.times.median)} ({duration(point.times.p99)})"


def _megabytes(size: int) -> str:
    return f"{size / 1024 / 1024:,.1f} MB"
