"""The result of a run of all workloads, as a JSON file.

The JSON file is a `Result`, and its field names are those of the classes below. Times are in seconds, memory is in
bytes. `version` increases when a field changes its meaning or is removed; readers may rely on all other fields.
"""

import statistics
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

from tweeter.bench.figures import percentile
from tweeter.console.commands import CommandError, describe
from tweeter.measure import Meter

SCHEMA = "tweeter-bench"
VERSION = 1


class Times(msgspec.Struct, frozen=True):
    """The durations of an operation that was repeated `count` times; `rounds` has the median of each round.

    Round trips to the store and SQL statements are averages per repetition.
    """

    count: int
    median: float
    p95: float
    p99: float
    mean: float
    rounds: list[float]
    round_trips: float = 0.0
    sql: float = 0.0


class Measurement(msgspec.Struct, frozen=True):
    """One point of a growth series: `measure` at `x` of the quantity that names the series.

    Measures: `home` is a warm home page, `cold` one that was backfilled first; of a post, `commit` is the time until
    its transaction is committed, `delivered` until it is in the last follower's timeline.
    """

    series: str
    x: int
    backend: str
    measure: str
    times: Times


class Run(msgspec.Struct, frozen=True):
    """A workload on a backend. `seconds` covers all operations and the delivery of the events pending at the end.

    `throughput` is operations per second of each round; `operations` has the times of each kind.
    """

    workload: str
    backend: str
    count: int
    seconds: float
    throughput: list[float]
    operations: dict[str, Times]

    @property
    def rate(self) -> float:
        """Operations per second over all rounds."""
        return self.count / self.seconds


class Footprint(msgspec.Struct, frozen=True):
    """The growth of memory while home timelines are materialized: of the site's process and of the store's server.

    `servers` is None if the server's memory cannot be measured.
    """

    backend: str
    timelines: int
    ids: int
    process: int
    servers: int | None


class Answered(msgspec.Struct, frozen=True):
    """Pages that were compared with SQL's result for the same request.

    `late` pages were correct once pending events were delivered; `differed` ones stayed wrong. `fallbacks` are pages
    that SQL served instead of the backend, out of all that were `read`; `reasons` counts them by reason.
    """

    backend: str
    checked: int
    late: int
    differed: int
    fallbacks: int
    examples: list[str]
    read: int = 0
    reasons: dict[str, int] = {}

    @property
    def why(self) -> str:
        """The reasons in words."""
        return ", ".join(f"{reason} {count:,}" for reason, count in self.reasons.items())


class Offered(msgspec.Struct, frozen=True):
    """Home pages, of which `posts` percent are posts instead, offered over HTTP at moments fixed beforehand.

    `offered` and `achieved` are requests per second; `p50`, `p95` and `p99` are the seconds from the moment at which a
    request was due. `held` means: no errors, a p99 below the limit, and at least 95 % achieved. `lag` is the lateness
    of the generator itself (99 %); with `late` it was too late to judge the backend. `cpu` has the CPU seconds of
    each component per 1,000 requests, `others` those of other programs. `checked` pages were compared with SQL's.
    `fallbacks` counts the pages that SQL served instead of the backend, by reason.
    """

    backend: str
    processes: int
    posts: int
    offered: float
    achieved: float
    count: int
    p50: float
    p95: float
    p99: float
    errors: dict[str, int]
    held: bool
    lag: float
    late: bool
    cpu: dict[str, float]
    others: float
    checked: int
    differed: int
    fallbacks: dict[str, int] = {}

    @property
    def cpu_time(self) -> float:
        """CPU seconds per request of all components but the generator."""
        return sum(seconds for name, seconds in self.cpu.items() if name != "generator") / 1000


class Latency(msgspec.Struct, frozen=True):
    """Latency under offered load. `audience` has the distribution of the readers' followees, `limit` that of the p99.

    `ceiling` is the rate for which the CPU time of the generator is enough, against a server of constants.
    """

    points: list[Offered]
    audience: dict[str, float]
    limit: float
    ceiling: float
    seconds: float
    cpus: int

    @property
    def disturbance(self) -> float:
        """The share of the CPUs that other programs used during the run, in the median of all steps."""
        shares = [point.others * point.achieved / 1000 / self.cpus for point in self.points]
        return min(1.0, statistics.median(shares)) if shares else 0.0


class Noise(msgspec.Struct, frozen=True):
    """How noisy the machine was before the run: the seconds of the same calculation, repeated on every CPU."""

    fastest: float
    median: float
    p95: float
    count: int

    @property
    def spread(self) -> float:
        """95 % of the repetitions took at most so many times the shortest."""
        return self.p95 / self.fastest


class Result(msgspec.Struct, frozen=True):
    """A whole report. `sources` names the origin of each workload's mix; `plan` has the sizes."""

    schema: str
    version: int
    created: str
    seconds: float
    seed: int
    quick: bool
    plan: dict[str, Any]
    machine: dict[str, Any]
    servers: dict[str, str]
    settings: dict[str, Any]
    backends: list[str]
    sources: dict[str, str]
    measurements: list[Measurement]
    workloads: list[Run]
    footprints: list[Footprint]
    answers: list[Answered]
    latency: Latency | None = None
    noise: Noise | None = None

    @property
    def _checks(self) -> list[Answered | Offered]:
        return [*self.answers, *(self.latency.points if self.latency else ())]

    @property
    def checked(self) -> int:
        return sum(each.checked for each in self._checks)

    @property
    def differed(self) -> int:
        return sum(each.differed for each in self._checks)


class Cost(NamedTuple):
    """The cost of one operation."""

    seconds: float
    round_trips: int = 0
    sql: int = 0

    @classmethod
    def of(cls, meter: Meter) -> "Cost":
        """The costs so far."""
        return cls(meter.seconds, meter.round_trips, meter.sql)


def summarize(rounds: Sequence[Sequence[Cost]]) -> Times:
    """The Times of all operations, in rounds."""
    every = [cost for batch in rounds for cost in batch]
    seconds = [cost.seconds for cost in every]
    return Times(
        len(every),
        statistics.median(seconds),
        percentile(seconds, 95),
        percentile(seconds, 99),
        statistics.fmean(seconds),
        [statistics.median(cost.seconds for cost in batch) for batch in rounds if batch],
        statistics.fmean(cost.round_trips for cost in every),
        statistics.fmean(cost.sql for cost in every),
    )


def write_json(result: Result, path: Path) -> None:
    path.write_bytes(msgspec.json.format(msgspec.json.encode(result), indent=1) + b"\n")


def read_json(path: Path) -> Result:
    """Raises CommandError for a file that can't be read or is not a Result of this version."""
    try:
        content = path.read_bytes()
        found = msgspec.json.decode(content)
    except OSError as error:
        raise CommandError(f"{path} can't be read: {describe(error)}") from error
    except msgspec.DecodeError as error:
        raise CommandError(f"{path} is not JSON: {error}") from error
    if not isinstance(found, dict) or found.get("schema") != SCHEMA:
        raise CommandError(f"{path} is not a report of `tweeter bench`")
    if found.get("version") != VERSION:
        raise CommandError(f"{path} is a report of version {found.get('version')}; this Tweeter reads {VERSION}")
    try:
        return msgspec.convert(found, Result)
    except msgspec.ValidationError as error:
        raise CommandError(f"{path} is a damaged report: {error}") from error


def label(backend: str) -> str:
    """The name of a backend in reports: the last part of its dotted name."""
    return backend.rpartition(".")[2]
