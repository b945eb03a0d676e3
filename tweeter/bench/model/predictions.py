"""Points that the model was not fitted on, as it predicts them, beside the measured values."""

from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

from tweeter.bench.model.fits import (
    GENERATOR,
    POSTS,
    WORKLOADS,
    Line,
    elapsed,
    ends,
    fitted,
    latency_of,
    medians,
    operations_of,
    split,
    stream,
)
from tweeter.bench.model.needs import REDIS, SQL
from tweeter.bench.model.simulation import Machine
from tweeter.bench.report.latency import lines_of, mixes, title
from tweeter.bench.schema import Latency, Offered, Result, Times
from tweeter.timelines.projector import SMALL

FITTED = {
    "home": "the first and the last point: a line for sql, their mean for the others",
    "cold": "a line through the first and the last point",
    "delivered": f"up to {SMALL} followers the first point; above, where delivery is a stream, the first and the last",
}
TARGET = 0.1  # the error that a prediction may have


class Prediction(NamedTuple):
    """A point. `low` and `high` are the lowest and the highest measured round, or the bounds of a knee."""

    what: str
    backend: str
    predicted: float
    measured: float
    low: float
    high: float
    interval: bool = False  # the measured value is only known to lie between the bounds

    @property
    def error(self) -> float:
        """Relative to the measured value; of an interval, relative to its nearer end, and 0 within."""
        if self.interval and self.low <= self.predicted <= self.high:
            return 0.0
        nearest = min((self.low, self.high), key=lambda end: abs(end - self.predicted))
        return self.predicted / (nearest if self.interval else self.measured) - 1

    @property
    def verdict(self) -> str:
        if abs(self.error) <= TARGET:
            return ""
        inside = not self.interval and self.low <= self.predicted <= self.high
        return "MISSED, within the rounds" if inside else "MISSED"


class Part(NamedTuple):
    """Predictions of one kind. `basis` says what was fitted; values are shown in `unit`, times `factor`."""

    heading: str
    basis: str
    unit: str
    factor: float
    points: list[Prediction]


def predictions(result: Result, deliveries: Mapping[int, float], memory: Mapping[int, float]) -> list[Part]:
    """All parts that there are points for. Of Redis: timelines a second by followers, bytes of a timeline by ids."""
    found = [
        *_growths(result),
        _deliveries(result, deliveries),
        _memory(memory),
        _requests(result),
        *_loads(result),
        _workloads(result),
    ]
    return [part for part in found if part.points]


def _growths(result: Result) -> Iterator[Part]:
    """Pages by followees and posts by followers: a line through the first and the last point of each series."""
    for series, measure, what in (
        ("followees", "home", "Home pages by followees"),
        ("followees", "cold", "Backfilled pages by followees"),
        ("followers", "delivered", "Posts until the last follower has them"),
    ):
        points: list[Prediction] = []
        for backend in result.backends:
            for line, held_out in _lines(backend, measure, medians(result, series, backend, measure)):
                for x, times in held_out:
                    rounds = times.rounds or [times.median]
                    name = f"{x:,} {series}"
                    points.append(Prediction(name, backend, line.at(x), times.median, min(rounds), max(rounds)))
        yield Part(what, FITTED[measure], "ms", 1000, points)


def _lines(backend: str, measure: str, every: dict[int, Times]) -> Iterator[tuple[Line, list[tuple[int, Times]]]]:
    """Each line with the points that it was not fitted on."""
    if measure == "delivered":
        few, many = split(every)
        if few:
            first, *others = few.items()
            yield Line(first[1].median, 0.0), others
        if len(many) > 2:
            yield stream(every), list(many.items())[1:-1]
    elif len(every) > 2:
        line = ends(every)
        if measure == "home" and backend != SQL:  # a warm page costs the same for all readers
            line = Line((line.at(min(every)) + line.at(max(every))) / 2, 0.0)
        yield line, list(every.items())[1:-1]


def _deliveries(result: Result, deliveries: Mapping[int, float]) -> Part:
    """Seconds until the last of very many followers."""
    series = medians(result, "followers", REDIS, "delivered")
    points = []
    if len(series) > 1:
        line, most = stream(series), max(series)
        for followers, rate in sorted(deliveries.items()):
            if followers > most:
                took = followers / rate
                points.append(Prediction(f"{followers:,} followers", REDIS, line.at(followers), took, took, took))
    return Part("Delivery to very many followers", "the line of streams in the series above", "s", 1, points)


def _memory(sizes: Mapping[int, float]) -> Part:
    """Bytes of a timeline in Redis: a header and so much for each id."""
    points = []
    if len(sizes) > 2:
        (low, first), *others, (high, last) = sorted(sizes.items())
        each = (last - first) / (high - low)
        points = [
            Prediction(f"{ids:,} ids", REDIS, first + each * (ids - low), size, size, size) for ids, size in others
        ]
    return Part("Memory of a timeline", "a line through the smallest and the largest of --memory", "bytes", 1, points)


def _requests(result: Result) -> Part:
    """CPU time of a request in the mixes that were not fitted."""
    latency, points = latency_of(result), []
    for processes, posts in mixes(latency):
        if processes != 1 or posts in POSTS:
            continue
        for backend, steps in lines_of(latency, processes, posts).items():
            held = [step for step in steps if step.held]
            for name, use in fitted(latency, backend).items() if held else ():
                number = sum(step.count for step in held)
                rates = [step.cpu.get(name, 0.0) / 1000 for step in held]
                measured = sum(step.count * rate for step, rate in zip(held, rates, strict=True)) / number
                if name == GENERATOR or not measured:
                    continue
                predicted = use.seconds(number, posts, sum(map(elapsed, held))) / number
                points.append(
                    Prediction(f"{posts} % posts, {name}", backend, predicted, measured, min(rates), max(rates))
                )
    basis = "the CPU seconds of a page, of a post and of each second that passes, at 0 and 30 % posts"
    return Part("CPU time of a request", basis, "ms", 1000, points)


def _loads(result: Result) -> Iterator[Part]:
    """The knees, and the rate that is achieved where more is offered."""
    latency = latency_of(result)
    knees, full = [], []
    for processes, posts in mixes(latency):
        for backend, steps in lines_of(latency, processes, posts).items():
            uses = fitted(latency, backend, low=True)
            if not uses:
                continue
            machine = Machine(uses, latency.cpus, processes, latency.disturbance)
            what = title(processes, posts)
            held = [step.offered for step in steps if step.held]
            failed = [step for step in steps if not step.held]
            low, high = max(held, default=0.0), min((step.offered for step in failed), default=float("inf"))
            predicted = machine.knee(posts, latency.seconds, latency.limit)
            knees.append(Prediction(what, backend, predicted, low, low, high, interval=True))
            full += [_achieved(machine, latency, what, step) for step in failed if not step.errors]
    basis = "a simulation with the CPU times of the lower half of the rates, at 0 and 30 % posts, in one process"
    yield Part("Knees: between the last rate that was held and the first that was not", basis, "requests/s", 1, knees)
    yield Part("Rate achieved where more was offered", basis, "requests/s", 1, full)


def _achieved(machine: Machine, latency: Latency, what: str, step: Offered) -> Prediction:
    """With the load of other programs during this step."""
    others = min(1.0, step.others * step.achieved / 1000 / latency.cpus)
    found = machine._replace(others=others).offer(step.offered, step.posts, latency.seconds, step.count)
    name = f"{what}, {step.offered:,.0f} offered"
    return Prediction(name, step.backend, found.achieved, step.achieved, step.achieved, step.achieved)


def _workloads(result: Result) -> Part:
    """Operations per second of the workloads that were not fitted."""
    points = []
    for run in result.workloads:
        costs = operations_of(result, run.backend)
        if costs is None or run.workload in WORKLOADS:
            continue
        seconds = sum(times.count * costs.seconds(times) for times in run.operations.values())
        number = sum(times.count for times in run.operations.values())
        predicted = run.count / seconds if number else 0.0
        points.append(
            Prediction(run.workload, run.backend, predicted, run.rate, min(run.throughput), max(run.throughput))
        )
    basis = f"the time of entering SQL, of a statement and of a round trip, in {' and '.join(WORKLOADS)}"
    return Part("Workloads", basis, "operations/s", 1, points)


def rows_of(part: Part) -> Sequence[Sequence[str]]:
    """The rows of a table: what, backend, predicted, measured, rounds, error, verdict."""
    return [
        [
            point.what, point.backend, number(point.predicted * part.factor),
            f"{number(point.low)} to {number(point.high)}" if point.interval else number(point.measured * part.factor),
            f"{point.error:+.0%}", point.verdict,
        ]
        for point in part.points
    ]  # fmt: skip


def number(value: float) -> str:
    """Three significant digits."""
    if value == float("inf"):
        return "more"
    return f"{float(f'{value:.3g}'):,g}" if value < 1000 else f"{value:,.0f}"
