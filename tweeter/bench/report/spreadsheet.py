"""The numbers of a result as a CSV table, one per line."""

import csv
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tweeter.bench.schema import Result, Times

COLUMNS = ("part", "name", "x", "backend", "measure", "figure", "value", "unit")


def write_csv(result: Result, path: Path) -> None:
    """Every number of the result, one per line."""
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(COLUMNS)
        writer.writerows(_rows(result))


def _rows(result: Result) -> Iterator[tuple[Any, ...]]:
    for point in result.measurements:
        for figure in _figures(point.times):
            yield "growth", point.series, point.x, point.backend, point.measure, *figure
    for run in result.workloads:
        whole = ("workload", run.workload, "", run.backend, "all")
        yield *whole, "count", run.count, ""
        yield *whole, "total", run.seconds, "s"
        yield *whole, "throughput", run.rate, "1/s"
        for kind, times in run.operations.items():
            for figure in _figures(times):
                yield "workload", run.workload, "", run.backend, kind, *figure
    for footprint in result.footprints:
        for name in ("process", "servers"):
            if (value := getattr(footprint, name)) is not None:
                yield "memory", name, footprint.timelines, footprint.backend, "growth", "total", value, "B"
    for offered in result.latency.points if result.latency else ():
        of = f"{offered.posts} % posts, {offered.processes} process(es)"
        rate = ("latency", of, offered.offered, offered.backend, "all")
        yield *rate, "achieved", offered.achieved, "1/s"
        for name in ("p50", "p95", "p99", "lag"):
            yield *rate, name, getattr(offered, name), "s"
        for component, seconds in offered.cpu.items():
            yield *rate, f"CPU of {component} per 1,000", seconds, "s"
        yield *rate, "errors", sum(offered.errors.values()), ""
    for answered in result.answers:
        for name in ("checked", "late", "differed", "fallbacks"):
            yield "answers", "", "", answered.backend, name, "count", getattr(answered, name), ""


def _figures(times: Times) -> Iterator[tuple[str, float, str]]:
    yield "count", times.count, ""
    for name in ("median", "p95", "p99", "mean"):
        yield name, getattr(times, name), "s"
    yield "round trips", times.round_trips, ""
    yield "sql", times.sql, ""
