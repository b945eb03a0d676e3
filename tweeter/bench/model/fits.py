"""The parameters of the model, and how each is fitted: lines through two points, CPU times by least squares."""

from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

import numpy as np

from tweeter.bench.schema import Latency, Offered, Result, Times
from tweeter.console.commands import CommandError
from tweeter.timelines.projector import SMALL

GENERATOR = "generator"
POSTS = (0, 30)  # percentages of posts on which the CPU times are fitted; the others are predicted
WORKLOADS = ("retwis", "replay")  # on which the costs of operations are fitted


class Line(NamedTuple):
    """A fixed part, and a part that grows with x."""

    fixed: float
    each: float

    def at(self, x: float) -> float:
        return self.fixed + self.each * x


class Use(NamedTuple):
    """CPU seconds of one component: of a page, of a post, and of each second that passes."""

    page: float
    post: float
    background: float

    def seconds(self, requests: float, posts: float, elapsed: float) -> float:
        """The CPU seconds of so many requests, of which `posts` percent are posts."""
        return requests * self.request(posts) + self.background * elapsed

    def request(self, posts: float) -> float:
        """The CPU seconds of one request."""
        return self.page + (self.post - self.page) * posts / 100


class Operation(NamedTuple):
    """Seconds of an operation: to begin with SQL, of each statement, and of each round trip to the store."""

    session: float
    statement: float
    round_trip: float

    def seconds(self, times: Times) -> float:
        """The time that an operation with so many statements and round trips takes on average."""
        return sum(cost * number for cost, number in zip(self, _counts(times), strict=True))


def medians(result: Result, series: str, backend: str, measure: str) -> dict[int, Times]:
    """The points of a growth series."""
    return {
        point.x: point.times
        for point in sorted(result.measurements, key=lambda point: point.x)
        if (point.series, point.backend, point.measure) == (series, backend, measure)
    }


def ends(points: Mapping[int, Times]) -> Line:
    """The line through the medians of the first and the last point."""
    (low, first), *_, (high, last) = points.items()
    each = (last.median - first.median) / (high - low)
    return Line(first.median - each * low, each)


def split(points: Mapping[int, Times]) -> tuple[dict[int, Times], dict[int, Times]]:
    """Posts to few followers, which are delivered in batches, and to many, which are delivered as streams."""
    few = {x: times for x, times in points.items() if x <= SMALL}
    return few, {x: times for x, times in points.items() if x > SMALL}


def stream(points: Mapping[int, Times]) -> Line:
    """The line of posts to many followers."""
    _, many = split(points)
    return ends(many if len(many) > 1 else points)


def latency_of(result: Result) -> Latency:
    """Raises CommandError if the report has no latency under load, or not of the mixes on which the model is fitted."""
    if result.latency is None:
        raise CommandError(
            "The report has no latency under offered load, which the model is fitted on. Make one with `tweeter bench`."
        )
    missing = [f"{posts} %" for posts in POSTS if not _held(result.latency.points, [posts])]
    if missing:
        raise CommandError(
            f"The report has no load with {' and '.join(missing)} posts on one process of the site that was held; the "
            "model is fitted on these. A run of `tweeter bench` without --quick has them."
        )
    return result.latency


def fitted(latency: Latency, backend: str, low: bool = False) -> dict[str, Use]:
    """The CPU times of each component, fitted on the rates that were held by one process, with 0 and 30 % posts.

    With `low`, only the lower half of these rates is used. Empty if the backend lacks one of the two mixes.
    """
    every: list[Offered] = []
    for posts in POSTS:
        points = [point for point in _held(latency.points, [posts]) if point.backend == backend]
        if not points:
            return {}
        every += points[: max(2, (len(points) + 1) // 2)] if low else points
    names = dict.fromkeys(name for point in every for name in point.cpu)
    return {name: _use(every, name) for name in names}


def _held(points: Iterable[Offered], posts: Sequence[int]) -> list[Offered]:
    found = [point for point in points if point.processes == 1 and point.posts in posts and point.held]
    return sorted(found, key=lambda point: point.offered)


def elapsed(point: Offered) -> float:
    """The seconds of a step."""
    return point.count / point.achieved


def _use(points: Sequence[Offered], name: str) -> Use:
    rows = [
        (point.count * (1 - point.posts / 100), point.count * point.posts / 100, elapsed(point)) for point in points
    ]
    return Use(*least_squares(rows, [point.cpu.get(name, 0.0) * point.count / 1000 for point in points]))


def operations_of(result: Result, backend: str) -> Operation | None:
    """The costs of an operation, fitted on the workloads of `WORKLOADS`: relative errors count, each operation once."""
    every = [
        times
        for run in result.workloads
        if run.backend == backend and run.workload in WORKLOADS
        for times in run.operations.values()
        if times.mean
    ]
    if len(every) < len(Operation._fields):
        return None
    rows = [[count / times.mean for count in _counts(times)] for times in every]
    return Operation(*least_squares(rows, [1.0] * len(rows)))


def _counts(times: Times) -> tuple[float, float, float]:
    # Most operations enter SQL always or never; of pages, those that are cold.
    return min(1.0, times.sql), times.sql, times.round_trips


def least_squares(rows: Sequence[Sequence[float]], values: Sequence[float]) -> list[float]:
    """The parameters that fit best. None is negative: the most negative one is left out, until there is none."""
    matrix, found = np.array(rows, float), np.zeros(len(rows[0]))
    used = [column for column in range(matrix.shape[1]) if matrix[:, column].any()]
    while used:
        solution = np.linalg.lstsq(matrix[:, used], np.array(values, float), rcond=None)[0]
        if solution.min() >= 0:
            found[used] = solution
            break
        del used[int(solution.argmin())]
    return [float(value) for value in found]
