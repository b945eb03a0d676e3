"""The report as a self-contained HTML file."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined

from tweeter.bench.figures import Table, cell, duration
from tweeter.bench.noise import noise_of
from tweeter.bench.plan import Plan
from tweeter.bench.report import plots
from tweeter.bench.report.charts import Chart
from tweeter.bench.report.latency import ONE_MACHINE, disturbance, knees_table, latency_charts, readers_sentence
from tweeter.bench.schema import Measurement, Result, Times
from tweeter.bench.verdicts import best, factor

# For readers: what grows, and what is measured. Anything else is shown by its own name.
UNITS = {"followees": "followees of a user", "users": "users of the site", "tweets": "tweets on the site"}
MEASURES = {"home": "A home page", "delivered": "A post until it is delivered to its last follower"}
BESIDE = {  # further tables
    "home": {"cold": "A home page with backfill"},
    "delivered": {"commit": "Time until a post is committed"},
}

STANDS_OUT = 1.5  # a point so many times as high as both ends of its line is named in the sentence


def write_html(result: Result, path: Path) -> None:
    environment = Environment(
        loader=PackageLoader("tweeter.bench.report", "."), autoescape=True, undefined=StrictUndefined, trim_blocks=True,
        lstrip_blocks=True,
    )  # fmt: skip
    environment.filters["cell"] = cell
    html = environment.get_template("report.jinja2").render(
        result=result, noise=noise_of(result), one_machine=ONE_MACHINE, disturbance=disturbance(result.latency),
        readers=readers_sentence(result.latency),
        latency=latency_charts(result.latency, result.backends), knees=result.latency and knees_table(result.latency),
        growth=list(growth_charts(result)), workloads=workload_charts(result),
        memory=memory_charts(result), answers=answers_table(result), costs=costs_table(result),
        machine=machine_table(result), constant=constant_sentence(Plan(**result.plan)),
    )  # fmt: skip
    path.write_text(html, encoding="utf-8")


def series_of(result: Result, series: str, measure: str) -> dict[str, list[Measurement]]:
    """The points of each backend, by x, in the order of the backends."""
    found: dict[str, list[Measurement]] = {}
    for backend in result.backends:
        points = [p for p in result.measurements if (p.series, p.measure, p.backend) == (series, measure, backend)]
        if points:
            found[backend] = sorted(points, key=lambda point: point.x)
    return found


def growth_charts(result: Result) -> Iterator[Chart]:
    """Two charts per series: a home page and a post."""
    for series in dict.fromkeys(point.series for point in result.measurements):
        for measure, name in MEASURES.items():
            lines = series_of(result, series, measure)
            if not lines:
                continue
            unit = UNITS.get(series, series)
            heading = f"{name}, against {unit}"
            axes = f"{unit} (logarithmic)", "time (logarithmic)"
            svg = plots.growth(f"{series}-{measure}", heading, lines, *axes, result.backends)
            tables = [
                _times_table(caption, unit, others)
                for of, caption in {measure: name, **BESIDE[measure]}.items()
                if (others := series_of(result, series, of))
            ]
            yield Chart(f"{series}-{measure}", heading, growth_sentence(lines, unit), svg, tables)


def growth_sentence(lines: Mapping[str, Sequence[Measurement]], unit: str) -> str:
    """The summary: "From 10 to 5,000 followees of a user the median becomes: sql 14×, redis 1.1×."

    For a line that rises and falls again it adds the highest point: "sql 1.2×, but 9.5× at 100,000".
    """
    first, last = next((points[0].x, points[-1].x) for points in lines.values())
    factors = "; ".join(f"{backend} {_factors(points)}" for backend, points in lines.items())
    return f"From {first:,} to {last:,} {unit} the median becomes: {factors}."


def _factors(points: Sequence[Measurement]) -> str:
    """The ratio of the last point to the first, and the highest point if it is much higher."""
    first, last = points[0].times.median, points[-1].times.median
    highest = max(points, key=lambda point: point.times.median)
    grown = factor(last / first)
    if highest.times.median < STANDS_OUT * max(first, last):
        return grown
    return f"{grown}, but {factor(highest.times.median / first)} at {highest.x:,}"


def constant_sentence(plan: Plan) -> str:
    """The sizes that are constant while others grow."""
    return (
        f"Where they do not grow, a user has {plan.constant:,} followees and {plan.constant:,} followers, "
        f"and the site has {plan.base_users:,} users and {plan.base_users * plan.tweets_each:,} tweets; "
        f"while users grow, {plan.tweets_each:,} tweets come with each."
    )


def workload_charts(result: Result) -> list[Chart]:
    """The throughput of each mix."""
    rows = {
        name: {run.backend: run.throughput for run in result.workloads if run.workload == name}
        for name in dict.fromkeys(run.workload for run in result.workloads)
    }
    if not rows:
        return []
    svg = plots.dots("throughput", "Operations a second, by workload", rows, "operations a second (logarithmic)",
                     result.backends)  # fmt: skip
    table = Table(
        "Each workload as a whole: one client performs its operations in sequence",
        ["workload", "backend", "operations", "total", "operations a second"],
        [[run.workload, run.backend, run.count, duration(run.seconds), round(run.rate)] for run in result.workloads],
    )
    says = "; ".join(f"{name}: {best(values)}" for name, values in rows.items()) + "."
    return [Chart("throughput", "Throughput of the mixes", says, svg, [table, *_kinds_tables(result)])]


def _kinds_tables(result: Result) -> Iterator[Table]:
    for name in dict.fromkeys(run.workload for run in result.workloads):
        rows = [
            [kind, run.backend, times.count, *_three(times), f"{times.round_trips:.1f}", f"{times.sql:.1f}"]
            for run in result.workloads
            if run.workload == name
            for kind, times in run.operations.items()
        ]
        head = ["operation", "backend", "times", "median", "95 %", "99 %", "round trips", "SQL"]
        yield Table(
            f"Operations in {name}", head, sorted(rows, key=lambda row: (row[0], result.backends.index(row[1])))
        )


def memory_charts(result: Result) -> list[Chart]:
    if not result.footprints:
        return []
    megabyte = 1024 * 1024
    parts = {"MB in the site's process": {f.backend: f.process / megabyte for f in result.footprints}}
    if servers := {f.backend: f.servers / megabyte for f in result.footprints if f.servers is not None}:
        parts["MB in servers"] = servers
    heading = f"Memory of {result.footprints[0].timelines:,} home timelines"
    svg = plots.bars("memory", heading, parts, "megabytes", result.backends)
    table = Table(
        "Growth of resident memory, in bytes",
        ["backend", "timelines", "ids in them", "the site's process", "servers"],
        [[f.backend, f.timelines, f.ids, f.process, f.servers] for f in result.footprints],
    )
    says = (
        "How much memory grows when these timelines and their tweets are materialized: the filled part of a bar in "
        "the process of the site, the hatched part in the store's server."
    )
    return [Chart("memory", heading, says, svg, [table])]


def answers_table(result: Result) -> Table:
    rows = [[a.backend, a.checked, a.differed, a.late, a.fallbacks, a.why] for a in result.answers]
    head = ["backend", "checked", "differed", "late", "fallbacks", "why"]
    return Table("Pages that were compared with SQL", head, rows, left=1)


def costs_table(result: Result) -> Table:
    """The round trips and SQL statements of each page, over all series."""
    rows = []
    for measure, name in {"home": "home page, warm", "cold": "home page, cold", "delivered": "post"}.items():
        for backend in result.backends:
            points = [p.times for p in result.measurements if (p.measure, p.backend) == (measure, backend)]
            if points:
                trips, sql = ([getattr(times, what) for times in points] for what in ("round_trips", "sql"))
                rows.append([name, backend, _span(trips), _span(sql)])
    return Table(
        "Round trips to the store and SQL statements of a request", ["what", "backend", "round trips", "SQL"], rows
    )


def machine_table(result: Result) -> Table:
    rows = [*result.machine.items(), *result.servers.items(), *result.settings.items()]
    rows += [(f"plan: {name}", value) for name, value in result.plan.items()]
    return Table("The machine, the versions and the sizes", ["what", "value"], rows)


def _times_table(caption: str, unit: str, lines: Mapping[str, Sequence[Measurement]]) -> Table:
    rows: list[list[Any]] = [
        [point.x, backend, point.times.count, *_three(point.times)]
        for backend, points in lines.items()
        for point in points
    ]
    rows.sort(key=lambda row: row[0])
    return Table(caption, [unit, "backend", "times", "median", "95 %", "99 %"], rows)


def _three(times: Times) -> list[str]:
    return [duration(value) for value in (times.median, times.p95, times.p99)]


def _span(values: Sequence[float]) -> str:
    low, high = f"{min(values):.3g}", f"{max(values):.3g}"
    return low if low == high else f"{low} to {high}"
