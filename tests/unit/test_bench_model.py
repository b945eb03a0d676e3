"""`tweeter bench model`: it finds the costs from which a report was calculated, and predicts the other points."""

import random
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest

from tweeter.bench.model.command import ASSUMED, SIZES
from tweeter.bench.model.fits import Use, ends, fitted, least_squares, medians, operations_of
from tweeter.bench.model.needs import Assumptions, Design, designs, limits, needs, pushed
from tweeter.bench.model.predictions import Part, Prediction, predictions
from tweeter.bench.model.published import compare, factors
from tweeter.bench.model.simulation import CPUS, Machine, Stage, simulate
from tweeter.bench.schema import SCHEMA, VERSION, Latency, Measurement, Offered, Result, Run, Times, write_json
from tweeter.cli import main

USES = {
    "sql": {"site": Use(0.002, 0.005, 0.03), "PostgreSQL": Use(0.0015, 0.002, 0.0)},
    "redis": {"site": Use(0.001, 0.006, 0.05), "PostgreSQL": Use(0.0001, 0.0015, 0.01), "Redis": Use(0.0001, 0.0, 0.0)},
}
AUDIENCE = {"readers": 200, "median": 13, "mean": 35.0, "p90": 60, "most": 270}
GIVEN = Assumptions(**{name: value for name, (value, _) in ASSUMED.items()})
SECONDS, LIMIT = 2.0, 0.25


def times(seconds: float, count: int = 100, round_trips: float = 0.0, sql: float = 0.0) -> Times:
    return Times(count, seconds, seconds, seconds, seconds, [seconds] * 5, round_trips, sql)


def step(backend: str, processes: int, posts: int, rate: float) -> Offered:
    """A step as the model describes it."""
    uses, number = USES[backend], round(rate * SECONDS)
    found = Machine(uses, 2, processes).offer(rate, posts, SECONDS, number, seed=7)
    elapsed = number / found.achieved
    cpu = {name: 1000 * use.seconds(number, posts, elapsed) / number for name, use in uses.items()}
    return Offered(
        backend, processes, posts, rate, found.achieved, number, 0.01, 0.02, found.p99, {},
        found.p99 <= LIMIT and found.achieved >= 0.95 * rate, 0.0, False, cpu, 0.0, 1, 0,
    )  # fmt: skip


def climb(backend: str, processes: int, posts: int) -> list[Offered]:
    points = [step(backend, processes, posts, 50.0)]
    while points[-1].held:
        points.append(step(backend, processes, posts, points[-1].offered * 1.5))
    return points


def workload(name: str, backend: str, counts: dict[str, int]) -> Run:
    """Entering SQL takes 1 ms, a statement 0.5 ms, a round trip 0.2 ms."""
    shape = {"Post": (0, 3), "Follow": (0, 7), "ReadHome": (1, 0.4), "ReadNews": (1.2, 0.1), "ReadTweet": (0, 1)}
    found = {}
    for kind, count in counts.items():
        trips, statements = shape[kind]
        found[kind] = times(0.001 * min(1, statements) + 0.0005 * statements + 0.0002 * trips, count, trips, statements)
    seconds = sum(each.count * each.mean for each in found.values())
    number = sum(counts.values())
    return Run(name, backend, number, seconds, [number / seconds] * 5, found)


@pytest.fixture(scope="module")
def report() -> Result:
    growth = [
        *(Measurement("followees", x, "sql", "home", times(0.0016 + 5e-6 * x)) for x in (10, 100, 1000, 5000)),
        *(Measurement("followees", x, "redis", "home", times(0.0002)) for x in (10, 100, 1000, 5000)),
        *(
            Measurement("followers", x, "redis", "delivered", times(0.012 + 4e-6 * x))
            for x in (10, 300, 1000, 3000, 10_000)
        ),
    ]
    mixes = [(1, 0), (1, 10), (1, 30), (2, 10)]
    points = [point for processes, posts in mixes for backend in USES for point in climb(backend, processes, posts)]
    runs = [
        workload("retwis", "redis", {"Post": 30, "Follow": 15, "ReadHome": 50}),
        workload("twip", "redis", {"Post": 1, "Follow": 10, "ReadNews": 100, "ReadTweet": 7}),
    ]
    return Result(
        SCHEMA, VERSION, "2026-11-26", 1.0, 1, False, {}, {"cpus": 2}, {}, {}, list(USES), {}, growth, runs, [], [],
        Latency(points, AUDIENCE, LIMIT, 9000.0, SECONDS, 2),
    )  # fmt: skip


@pytest.fixture
def save(tmp_path: Path) -> Callable[[Result], str]:
    def saved(result: Result) -> str:
        write_json(result, tmp_path / "bench.json")
        return str(tmp_path / "bench.json")

    return saved


# the parameters


def test_finds_the_cpu_times_of_a_page_a_post_and_a_second(report: Result) -> None:
    assert report.latency
    for backend, uses in USES.items():
        for low in (False, True):
            found = fitted(report.latency, backend, low)
            assert found.keys() == uses.keys()
            for name, use in uses.items():
                assert found[name] == pytest.approx(use, abs=1e-9)


def test_finds_the_line_of_sql_and_the_costs_of_operations(report: Result) -> None:
    assert ends(medians(report, "followees", "sql", "home")) == pytest.approx((0.0016, 5e-6))
    assert operations_of(report, "redis") == pytest.approx((0.001, 0.0005, 0.0002))
    assert operations_of(report, "sql") is None


def test_no_parameter_is_negative() -> None:
    assert least_squares([[1, 2], [2, 1], [3, 3]], [2, 1, 3]) == pytest.approx([0, 1])
    assert least_squares([[1, 1], [2, 1], [3, 1]], [3, 2, 1]) == pytest.approx([0, 2])
    assert least_squares([[0, 1], [0, 1]], [4, 4]) == pytest.approx([0, 4])


# the simulation


def test_requests_wait_for_a_process_and_for_a_cpu() -> None:
    half = Stage(1.0, ("site 0", CPUS))
    other = Stage(1.0, (CPUS,))
    assert simulate([0, 0], [[half], [half]], {"site 0": 1, CPUS: 2}) == [1, 2]
    assert simulate([0, 0], [[half], [other]], {"site 0": 1, CPUS: 2}) == [1, 1]
    assert simulate([0, 0], [[half], [other]], {"site 0": 1, CPUS: 1}) == [1, 2]
    assert simulate([0, 5], [[half, other], [half]], {"site 0": 1, CPUS: 2}) == [2, 6]
    assert simulate([], [], {CPUS: 1}) == []


def test_a_full_machine_achieves_what_its_cpus_allow() -> None:
    """No process or CPU is idle while requests wait, and none works for two requests at once."""
    chance = random.Random(3)
    due = sorted(chance.uniform(0, 1) for _ in range(500))
    routes = [[Stage(0.004, (f"site {turn % 2}", CPUS)), Stage(0.004, (CPUS,))] for turn in range(len(due))]
    done = simulate(due, routes, {"site 0": 1, "site 1": 1, CPUS: 2})
    assert max(done) == pytest.approx(500 * 0.008 / 2, rel=0.02)
    assert all(end >= moment + 0.008 - 1e-9 for moment, end in zip(due, done, strict=True))


def test_a_knee_is_near_the_bottleneck_and_falls_with_posts_and_other_programs() -> None:
    uses = {"site": Use(0.002, 0.008, 0.0), "PostgreSQL": Use(0.001, 0.001, 0.0)}
    one = Machine(uses, 2, 1)
    assert one.knee(0, 3, LIMIT) == pytest.approx(500, rel=0.15)
    assert one.knee(30, 3, LIMIT) == pytest.approx(1 / 0.0038, rel=0.15)
    assert Machine(uses, 2, 2).knee(0, 3, LIMIT) == pytest.approx(2 / 0.003, rel=0.15)
    assert Machine(uses, 2, 1, others=0.5).knee(0, 3, LIMIT) == pytest.approx(250, rel=0.15)


# predictions


def test_predicts_the_points_it_was_not_fitted_on(report: Result) -> None:
    parts = {
        part.heading.split(";")[0]: part
        for part in predictions(report, {1_000_000: 24e4}, {10: 400, 100: 1400, 800: 8400})
    }
    assert len(parts) == 8
    for part in parts.values():
        assert part.points
        assert not [point for point in part.points if point.verdict], part.heading
    held_out = {(point.what, point.backend) for part in parts.values() for point in part.points}
    assert {
        ("1,000 followees", "sql"),
        ("3,000 followers", "redis"),
        ("1,000,000 followers", "redis"),
        ("100 ids", "redis"),
    } <= held_out
    assert {("10 % posts, site", "redis"), ("2 processes, 10 % posts", "sql"), ("twip", "redis")} <= held_out
    assert not {what for what, _ in held_out} & {"10 followees", "5,000 followees", "30 % posts, site", "retwis"}


def test_a_miss_stays_visible() -> None:
    assert Prediction("", "", 1.2, 1.0, 0.9, 1.1).verdict == "MISSED"
    assert Prediction("", "", 1.2, 1.0, 0.9, 1.3).verdict == "MISSED, within the rounds"
    assert Prediction("", "", 1.09, 1.0, 1.0, 1.0).verdict == ""
    knee = Prediction("", "", 300.0, 200.0, 200.0, 400.0, interval=True)
    assert (knee.error, knee._replace(predicted=440.0).error) == (0.0, pytest.approx(0.1))
    assert knee._replace(predicted=150.0).verdict == "MISSED"
    assert knee._replace(predicted=900.0, high=float("inf")).error == 0.0


# needs


def test_needs_grow_with_the_users(report: Result) -> None:
    every = {design.name: design for design in designs(report, {7_000_000: 500_000.0}, SIZES, GIVEN)}
    assert list(every) == ["sql", "redis", "hybrid"]
    one, ten = (needs(every["redis"], users, GIVEN) for users in (1e6, 1e7))
    assert ten[:-2] == pytest.approx([10 * value for value in one[:-2]])
    assert one.memory == pytest.approx(1e6 * GIVEN.active * SIZES["redis"] * 2)
    assert one.one_relay == pytest.approx(14)
    assert needs(every["hybrid"], 1e6, GIVEN).one_relay == pytest.approx(0.2)
    assert needs(every["sql"], 1e6, GIVEN).memory == 0
    many = needs(every["redis"], 1e11, GIVEN)
    assert many.all_relays < many.one_relay / 10


def test_sql_pays_for_more_followees(report: Result) -> None:
    few, many = (
        designs(report, {}, SIZES, GIVEN._replace(followers=followers))[0].sql.page for followers in (35, 1035)
    )
    assert few == pytest.approx(USES["sql"]["PostgreSQL"].page)
    assert many == pytest.approx(few + 1000 * 5e-6)


def test_a_part_is_full_at_the_limit(report: Result) -> None:
    every = {design.name: design for design in designs(report, {}, SIZES, GIVEN)}
    full = limits(every["redis"], GIVEN)
    assert needs(every["redis"], full["SQL's primary"], GIVEN).sql == pytest.approx(GIVEN.cpus)
    assert needs(every["redis"], full["one relay"], GIVEN).relays == pytest.approx(1)
    assert needs(every["redis"], full["one server's CPU"], GIVEN).store == pytest.approx(1)
    assert set(limits(every["sql"], GIVEN)) == {"SQL's primary", "its writes"}
    memory = Design("memory", *every["redis"][1:])
    assert limits(memory, GIVEN)["one process's memory"] < full["one server's memory"]


def test_celebrities_have_a_share_of_all_deliveries() -> None:
    assert pushed(GIVEN._replace(threshold=1.0)) == 0
    assert 0.5 < pushed(GIVEN._replace(threshold=10_000.0)) < pushed(GIVEN) < 1


def test_the_factors_of_the_gap_to_twitter_multiply_to_it(report: Result) -> None:
    redis = designs(report, {7_000_000: 500_000.0}, SIZES, GIVEN)[1]
    memory, *_ = compare(redis, SIZES["redis"])
    product = 1.0
    for factor in factors(SIZES["redis"]).values():
        product *= factor
    assert product == pytest.approx(memory.ratio)
    assert memory.twitter == 40


# the command


def only_fitted(report: Result) -> Result:
    """Without the loads that are predicted, which take longest."""
    assert report.latency
    points = [point for point in report.latency.points if point.processes == 1 and point.posts != 10]
    return msgspec.structs.replace(report, latency=msgspec.structs.replace(report.latency, points=points))


def test_prints_predictions_and_needs(
    report: Result, save: Callable[[Result], str], capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["bench", "model", save(only_fitted(report)), "--users", "5000000", "--delivery", "7000000=300000"]
    assert main(words) == 0
    shown = capsys.readouterr().out
    for expected in ("7,000,000 followers", "MISSED", "5,000,000 users, at the peak", "Twitter's published figures",
                     "one server's CPU", "predictions within 10% = "):  # fmt: skip
        assert expected in shown


def test_refuses_what_is_no_report_with_latency(
    report: Result, save: Callable[[Result], str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert report.latency
    (tmp_path / "other.json").write_text('{"schema": "other"}')
    few = msgspec.structs.replace(
        report.latency, points=[point for point in report.latency.points if point.posts == 10]
    )
    for path, reason in (
        (str(tmp_path / "other.json"), "is not a report"),
        (str(tmp_path / "absent.json"), "can't be read"),
        (save(msgspec.structs.replace(report, latency=None)), "has no latency under offered load"),
    ):
        assert main(["bench", "model", path]) == 1
        assert reason in capsys.readouterr().err
    assert main(["bench", "model", save(msgspec.structs.replace(report, latency=few))]) == 1
    assert "no load with 0 % and 30 % posts" in capsys.readouterr().err
    for words in (["--active", "0"], ["--load", "1.5"], ["--delivery", "100=x"], ["--users", "many"]):
        with pytest.raises(SystemExit):
            main(["bench", "model", "bench.json", *words])
        assert words[0] in capsys.readouterr().err


def test_a_part_without_points_is_left_out(report: Result) -> None:
    found: list[Part] = predictions(only_fitted(msgspec.structs.replace(report, measurements=[], workloads=[])), {}, {})
    assert [part.unit for part in found] == ["requests/s", "requests/s"]
