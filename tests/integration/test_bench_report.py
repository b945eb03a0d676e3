"""`tweeter bench`: a small full run on real servers; its files agree, and wrong pages are counted."""

import csv
import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import msgspec
import pytest

from tests.conftest import write_ini
from tests.integration.test_packaging import ROOT
from tweeter.bench import plan
from tweeter.bench.contender import Answers, contenders
from tweeter.bench.knees import lines_of
from tweeter.bench.latency import Climbing
from tweeter.bench.noise import noise_of, noise_sentence
from tweeter.bench.report import command
from tweeter.bench.report.compare import ONCE, changes, differences
from tweeter.bench.report.latency import capacity_sentence, disturbance, knees_sentence
from tweeter.bench.report.page import constant_sentence, growth_sentence, series_of, write_html
from tweeter.bench.report.plots import duration
from tweeter.bench.report.spreadsheet import write_csv
from tweeter.bench.schema import (
    Cost,
    Latency,
    Measurement,
    Noise,
    Offered,
    Result,
    read_json,
    summarize,
    write_json,
)
from tweeter.bench.scratch import Scratch
from tweeter.bench.verdicts import best, significant
from tweeter.cli import main
from tweeter.cli.bench import in_order
from tweeter.console.commands import read_settings
from tweeter.console.progress import Lines
from tweeter.devtools.servers import Memcached, Redis
from tweeter.plugins import built_in
from tweeter.services.actions import acting
from tweeter.timelines import BACKENDS

pytestmark = pytest.mark.slow
WEEK = ROOT / "tests" / "data" / "week"
TINY = plan.QUICK._replace(
    followees=(5, 20), followers=(5, 40), users=(60,), tweets=(200,), base_users=60, follows_each=5, rounds=2,
    reads=3, posts=1, workload_users=40, operations=60, replayed=10, reads_per_post=3, timelines=10,
)  # fmt: skip


@pytest.fixture(autouse=True)
def _tiny(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(command, "QUICK", TINY)
    monkeypatch.setattr(command, "QUICK_CLIMB", Climbing(mixes=()))


@pytest.fixture(scope="module")
def done(
    redis_server: Redis, memcached_server: Memcached, sqlite_template: Path, tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """The folder of a report on everything: all backends, all workloads, and a replay."""
    folder = tmp_path_factory.mktemp("bench")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(command, "QUICK", TINY)
        patch.setattr(command, "QUICK_CLIMB", Climbing(mixes=()))  # test_bench measures it
        words = ["bench", write_ini(folder, f"sqlite:///{sqlite_template}"), "--quick", "--seed", "5",
                 "--follows", str(WEEK / "follows.txt.gz"), "--tweets", str(WEEK / "tweets.jsonl.gz"),
                 "--database", "sqlite", "--redis", redis_server.url, "--memcached", memcached_server.address,
                 "--output", str(folder)]  # fmt: skip
        assert main(words) == 0
    return folder


@pytest.fixture
def result(done: Path) -> Result:
    return read_json(done / "bench.json")


# a run


def test_every_backend_is_measured_in_every_series_and_workload(result):
    backends = set(built_in(BACKENDS))
    assert result.backends[0] == "sql"
    assert set(result.backends) == backends
    assert (result.seed, result.quick, result.plan["followers"]) == (5, True, [5, 40])
    for measure in ("home", "commit", "delivered"):
        found = {(p.series, p.x, p.backend) for p in result.measurements if p.measure == measure}
        assert found == {
            (series, x, backend)
            for series in ("followees", "followers", "users", "tweets")
            for x in getattr(TINY, series)
            for backend in backends
        }
    runs = {(run.workload, run.backend): run for run in result.workloads}
    assert set(runs) == {
        (name, backend) for name in ("retwis", "twip", "benchbase-twitter", "replay") for backend in backends
    }
    assert {footprint.backend for footprint in result.footprints} == backends
    assert {run.count for (name, _), run in runs.items() if name != "replay"} == {60}
    for backend in backends:
        operations = runs["replay", backend].operations
        assert {kind: times.count for kind, times in operations.items()} == {"Post": 10, "ReadHome": 30}


def test_every_backend_was_given_the_same_work(result):
    for name in {run.workload for run in result.workloads}:
        counts = [
            {kind: times.count for kind, times in run.operations.items()}
            for run in result.workloads
            if run.workload == name
        ]
        assert all(each == counts[0] for each in counts)


def test_figures_are_consistent(result):
    for point in result.measurements:
        times = point.times
        assert 0 < times.median <= times.p95 <= times.p99
        assert len(times.rounds) == TINY.rounds
        assert times.count == TINY.rounds * {"home": TINY.reads, "cold": TINY.cold}.get(point.measure, TINY.posts)
    home = {p.backend: p.times for p in result.measurements if p.measure == "home"}
    assert (home["sql"].round_trips, home["sql"].sql) == (0, 1)
    for backend in set(result.backends) - {"sql"}:
        assert home[backend].round_trips == {"redis": 1, "table": 0}.get(backend, 2)  # ids, tweets
    assert home["table"].sql == 2
    for run in result.workloads:
        alone = sum(times.mean * times.count for times in run.operations.values())
        assert run.seconds >= alone * 0.999
        assert run.rate == pytest.approx(run.count / run.seconds)


def test_pages_are_checked_and_none_differs(result):
    assert {answered.backend for answered in result.answers} == set(result.backends)
    for answered in result.answers:
        assert answered.checked >= 20
        assert (answered.differed, answered.examples) == (0, [])
        assert answered.fallbacks <= sum(answered.reasons.values())
        assert set(answered.reasons) <= {"stale"}  # on a busy machine a relay may be more than a second behind


def test_the_files_of_a_report_agree(done, result):
    with (done / "bench.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    figures = {
        (row["part"], row["name"], row["x"], row["backend"], row["measure"], row["figure"]): float(row["value"])
        for row in rows
    }
    assert len(figures) == len(rows)
    page = (done / "bench.html").read_text(encoding="utf-8")
    raw = json.loads((done / "bench.json").read_text(encoding="utf-8"))
    for point in raw["measurements"]:
        times = point["times"]
        key = ("growth", point["series"], str(point["x"]), point["backend"], point["measure"])
        for figure in ("median", "p95", "p99", "mean", "count"):
            assert figures[*key, figure] == times[figure]
        cells = [f"{point['x']:,}", point["backend"], f"{times['count']:,}"]
        cells += [duration(times[figure]) for figure in ("median", "p95", "p99")]
        assert "<tr>" + "".join(f"<td>{cell}</td>" for cell in cells) + "</tr>" in page
    for run in raw["workloads"]:
        assert figures["workload", run["workload"], "", run["backend"], "all", "total"] == run["seconds"]
        assert f"<td>{run['workload']}</td><td>{run['backend']}</td><td>{run['count']:,}</td>" in page
    checked = sum(value for key, value in figures.items() if key[0] == "answers" and key[4] == "checked")
    assert f"{checked:,.0f} pages were checked against SQL" in " ".join(page.split())
    assert "none differed" in page


def test_page_is_self_contained_and_readable_without_colours(done, result):
    page = (done / "bench.html").read_text(encoding="utf-8")
    assert not re.search(r'(?:src|href)="(?!#)', page)
    assert "url(http" not in page
    assert "@import" not in page
    assert "<script" not in page
    plots = re.findall(r"<svg.*?</svg>", page, re.DOTALL)
    assert len(plots) == 4 * 2 + 2
    ids = re.findall(r' id="([^"]+)"', page)
    assert len(ids) == len(set(ids))
    for plot in plots:
        assert re.search(r'role="img" aria-labelledby="[\w-]+-title"><title', plot)
        assert len(plot) < 40_000
        for backend in result.backends:
            assert f">{backend}" in plot  # its name is at the end of its line
    lines = plots[0]
    assert len(set(re.findall(r"stroke-dasharray: ([\d. ,]+)", lines))) >= len(result.backends) - 1


def test_the_same_numbers_make_the_same_page(done, result, tmp_path):
    write_html(result, tmp_path / "again.html")
    assert (tmp_path / "again.html").read_bytes() == (done / "bench.html").read_bytes()


def test_wrong_backend_is_detected(ini, given, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(command, "QUICK", TINY._replace(users=(), tweets=(), timelines=0))
    words = ["bench", ini, "--quick", *given, "--output", str(tmp_path / "out"), "--workloads", "retwis"]
    assert main([*words, "--backends", "sql,tests.thirdparty.forgetful"]) == 1
    told = " ".join(capsys.readouterr().out.split())
    result = read_json(tmp_path / "out" / "bench.json")
    wrong = {answered.backend: answered.differed for answered in result.answers}
    assert wrong["sql"] == 0
    assert wrong["forgetful"] > 0
    assert f"{result.checked:,} pages were checked against SQL, {result.differed:,} differed." in told
    page = " ".join((tmp_path / "out" / "bench.html").read_text(encoding="utf-8").split())
    assert f"{result.differed:,} differed." in page
    assert "forgetful, for example:" in page
    assert result.answers[1].examples[0] in page


# invalid arguments


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        (["--backends", "nonesuch"], "--backends = nonesuch: no such module; built-in modules: "),
        (["--backends", "sql,tweeter.backends.sql"], "Two of the backends have the same name"),
        (["--workloads", "nonesuch"], "there is no workload nonesuch; retwis, twip"),
        (["--workloads", "replay"], "A replay needs both --follows and --tweets."),
        (["--tweets", "t.jsonl"], "A replay needs both --follows and --tweets."),
        (["--follows", "no.txt", "--tweets", "no.jsonl"], "no.txt can't be read: no.txt: No such file"),
        (["--output", "/dev/null/folder"], "/dev/null"),
        (["--backends", "sql,tests.thirdparty.shared"], "tests.thirdparty.shared can't be measured: its store "),
        (["--database", "postgresql://localhost:1/mine"], "give no --database, or `sqlite` or `postgresql`"),
    ],
)
def test_impossible_measurement_is_reported_at_once(ini, words, reason, capsys):
    assert main(["bench", ini, "--quick", "--database", "sqlite", *words]) == 1
    assert reason in capsys.readouterr().err


def test_unwritable_files_are_reported_before_measuring(ini, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr("tweeter.bench.report.measure.measure", None)
    words = ["bench", ini, "--database", "sqlite", "--backends", "sql", "--output", str(tmp_path)]
    (tmp_path / "bench.html").mkdir()
    assert main(words) == 1
    assert f"{tmp_path / 'bench.html'} can't be written." in capsys.readouterr().err
    (tmp_path / "bench.html").rmdir()
    assert main([*words, "--json", str(tmp_path)]) == 1
    assert f"{tmp_path} can't be written." in capsys.readouterr().err
    # Root can write everywhere, so the check itself is replaced.
    access = os.access
    monkeypatch.setattr(os, "access", lambda path, mode: Path(path) != tmp_path and access(path, mode))
    assert main(words) == 1
    assert f"{tmp_path / 'bench.json'} can't be written." in capsys.readouterr().err


@pytest.mark.parametrize("words", [["--seed", "x"], ["--seed", "-1"], ["--backends", " , "], []])
def test_usage(ini, words, capsys):
    with pytest.raises(SystemExit) as ended:
        main(["bench", *([ini] if words else []), "--quick", *words])
    assert ended.value.code == 2
    assert "usage: tweeter bench report" in capsys.readouterr().err


def test_without_the_extra_only_bench_fails_and_names_the_extra(ini, tmp_path):
    code = "import sys; sys.modules |= {'numpy': None, 'matplotlib': None}; import tweeter.cli as c; sys.exit(c.main())"
    reports = [str(ROOT / "docs" / "results" / "bench.json")] * 2
    for words, status in (
        (["load", "--help"], 0),
        (["bench", "--help"], 0),
        (["bench", "--compare", *reports], 0),
        (["bench", "compare", *reports], 0),
        *((["bench", ini, "--database", "sqlite", *more], 1) for more in ([], ["--workloads", "retwis"])),
    ):
        ran = subprocess.run([sys.executable, "-c", code, *words], capture_output=True, text=True, check=False)
        assert ran.returncode == status, ran.stderr
        assert "Traceback" not in ran.stderr
        if status:
            assert ran.stderr.startswith("tweeter: numpy is not installed. It belongs to the extra `bench`: ")
            assert "pip install '.[bench]'" in ran.stderr
            assert ran.stderr.count("\n") == 1


def test_no_text_installs_tweeter_from_the_package_index():
    """On the package index that name belongs to another project."""
    paths = [*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md"), *(ROOT / "tweeter").rglob("*.*"), ROOT / "Makefile"]
    for path in paths:
        if path.suffix in {".md", ".py", ".jinja2", ".js", ".ini", ""}:
            found = re.findall(r"pip3? install (?:-\S+ )*['\"]?tweeter(?![\w.-]).*", path.read_text("utf-8"))
            assert not found, (path, found)


def test_a_file_without_tweets_can_not_be_replayed(ini, tmp_path, capsys):
    (tmp_path / "f").write_text("a b\n")
    (tmp_path / "t").write_text("nonsense\n\n")
    words = ["--quick", "--database", "sqlite", "--backends", "sql", "--output", str(tmp_path / "out")]
    assert main(["bench", ini, *words, "--follows", str(tmp_path / "f"), "--tweets", str(tmp_path / "t")]) == 1
    told = capsys.readouterr().err
    assert "1 bad line" in told
    assert f"{tmp_path / 't'} has no tweets" in told


def test_report_is_the_default_benchmark():
    assert in_order(["x.ini", "--quick"]) == ["report", "x.ini", "--quick"]
    assert in_order(["x.ini", "delivery"]) == ["delivery", "x.ini"]
    assert in_order(["x.ini", "--quick", "page"]) == ["page", "x.ini", "--quick"]
    assert in_order(["x.ini", "--backends", "memory"]) == ["report", "x.ini", "--backends", "memory"]
    assert in_order(["--compare", "a", "b"]) == ["compare", "a", "b"]
    assert in_order(["--help"]) == ["--help"]


# comparing


@pytest.fixture
def slower(result: Result, tmp_path: Path) -> tuple[Path, Path]:
    """Two reports of five rounds each; in the second `sql` needs twice the time for home pages."""

    def rounds(times: Any, factor: float) -> Any:
        every = [times.median * factor * (1 + n / 100) for n in range(5)]
        return msgspec.structs.replace(times, median=times.median * factor, rounds=every)

    paths = tmp_path / "before.json", tmp_path / "after.json"
    for path, factor in zip(paths, (1, 2), strict=True):
        points = [
            msgspec.structs.replace(
                p, times=rounds(p.times, factor if (p.backend, p.measure) == ("sql", "home") else 1)
            )
            for p in result.measurements
        ]
        write_json(msgspec.structs.replace(result, measurements=points, seed=factor), path)
    return paths


def test_two_reports_are_compared(slower, capsys):
    assert main(["bench", "--compare", *map(str, slower)]) == 0
    told = capsys.readouterr().out
    lines = [line for line in told.splitlines() if "slower" in line or "faster" in line]
    assert len(lines) == 6
    assert all("sql" in line and "2.00" in line for line in lines)
    assert "6 of " in told
    assert "seed: 1 and 2" in told


def test_a_report_does_not_differ_from_itself(done, capsys):
    path = str(done / "bench.json")
    assert main(["bench", "compare", path, path]) == 0
    told = capsys.readouterr().out
    assert "0 of " in told
    assert "The runs differ" not in told


def test_other_machines_and_sizes_are_reported(result):
    other = msgspec.structs.replace(
        result, machine=result.machine | {"cpus": 64}, plan=result.plan | {"reads": 1}, backends=["sql"]
    )
    told = list(differences(result, other))
    assert f"machine: cpus is {result.machine['cpus']} and 64" in told
    assert f"plan: reads is {TINY.reads} and 1" in told
    assert any(line.startswith("backends: ") for line in told)


def test_figures_of_only_one_report_are_not_compared(result):
    other = msgspec.structs.replace(result, measurements=result.measurements[:3], workloads=[], latency=None)
    assert len(list(changes(result, other))) == 3


@pytest.mark.parametrize(
    ("one", "other", "clear"),
    [
        ([1, 2, 3, 4, 5], [6, 7, 8, 9, 10], True),
        ([6, 7, 8, 9, 10], [1, 2, 3, 4, 5], True),
        ([1, 2, 3, 4, 6], [5, 7, 8, 9, 10], False),
        ([1, 2, 3, 4], [6, 7, 8, 9], False),
    ],
)
def test_significance(one, other, clear):
    assert significant(one, other) is clear


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        ("", "is not JSON"),
        ("[1]", "is not a report of `tweeter bench`"),
        ('{"schema": "tweeter-bench", "version": 99}', "is a report of version 99; this Tweeter reads 1"),
        ('{"schema": "tweeter-bench", "version": 1}', "is a damaged report"),
        (None, "can't be read: "),
    ],
)
def test_invalid_report_is_refused(tmp_path, done, content, reason, capsys):
    path = tmp_path / "report.json"
    if content is not None:
        path.write_text(content)
    assert main(["bench", "--compare", str(done / "bench.json"), str(path)]) == 1
    assert f"{path} {reason}" in capsys.readouterr().err


# the parts


def test_times_are_of_all_rounds():
    times = summarize([[Cost(1.0, 2, 1), Cost(3.0, 4, 0)], [Cost(2.0), Cost(10.0)]])
    assert (times.count, times.median, times.p95, times.p99, times.mean) == (4, 2.5, 10.0, 10.0, 4.0)
    assert times.rounds == [2.0, 6.0]
    assert (times.round_trips, times.sql) == (1.5, 0.25)


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(0.0012, "1.2 ms"), (1, "1 s"), (0.0009996, "1,000 µs"), (123.4, "123 s"), (0.00000123, "1.23 µs"), (0, "0 µs")],
)
def test_durations_have_the_unit_that_fits(seconds, words):
    assert duration(seconds) == words


def test_growth_sentence(result):
    lines = series_of(result, "followers", "home")
    sentence = growth_sentence(lines, "followers")
    assert sentence.startswith("From 5 to 40 followers the median becomes: sql ")
    assert all(f"{backend} " in sentence for backend in result.backends)


def test_sentence_names_the_highest_point_of_a_line_that_falls_again():
    def line(*medians: float) -> list[Measurement]:
        every = enumerate(medians)
        return [Measurement("users", 10**n, "any", "home", summarize([[Cost(seconds)]])) for n, seconds in every]

    lines = {"sql": line(1, 2, 9.5, 1.2), "redis": line(1, 1.3, 1.1), "memory": line(1, 2, 3)}
    assert growth_sentence(lines, "users").replace("\xa0", "") == (
        "From 1 to 1,000 users the median becomes: sql 1.2×, but 9.5× at 100; redis 1.1×; memory 3×."
    )


@pytest.mark.parametrize(
    ("rounds", "words"),
    [
        ({"sql": [1, 2, 3, 4, 5], "redis": [10, 11, 12, 13, 14]}, "redis is fastest"),
        (
            {"sql": [9.0, 9, 9, 9, 9.1], "redis": [100, 101, 102, 103, 104], "memory": [99, 100, 101, 102, 103]},
            "redis and memory differ by at most 1%; the others are slower",
        ),
        # Not alike, whatever the order of their rounds.
        (
            {"sql": [34, 34, 34, 34, 230], "redis": [222, 225, 220, 221, 223]},
            "rounds differ by up to 6.8 ×: no conclusion about redis and sql",
        ),
        (
            {"sql": [10, 10, 10, 10, 15], "redis": [14, 14, 14, 14, 14]},
            "rounds differ by up to 1.5 ×: no conclusion about redis and sql",
        ),
        ({"sql": [10, 10], "redis": [20, 20]}, "2 rounds: no conclusion about redis and sql"),
        ({"sql": [1, 2]}, "sql alone"),
    ],
)  # fmt: skip
def test_words_of_a_comparison(rounds, words):
    assert best(rounds).replace("\xa0", " ") == words


def test_page_states_the_constant_sizes(done):
    assert "20,000 users and 200,000 tweets" in constant_sentence(plan.FULL)
    page = (done / "bench.html").read_text(encoding="utf-8")
    assert "a user has 60 followees and 60 followers, and the site has 60 users and 300 tweets;" in page


def test_report_begins_with_the_noise_of_the_machine(done, result):
    assert result.noise.fastest <= result.noise.median <= result.noise.p95
    assert noise_of(result).startswith("The machine was ")
    page = " ".join((done / "bench.html").read_text(encoding="utf-8").split())
    assert f"<h1>How timelines scale</h1> <p><strong>{noise_of(result)[:40]}" in page


@pytest.mark.parametrize(
    ("p95", "rounds", "words"),
    [
        (1.1, [[1, 1.05, 1.1]], "The machine was quiet: the same calculation took up to 1.1 × its shortest time"),
        (1.1, [[1, 3.1]] * 10, "nine of ten by up to 3.1 ×. Ratios below 3.1 × are no conclusion."),
        (2.4, [], "The machine was noisy: the same calculation took up to 2.4 × its shortest time"),
    ],
)
def test_noise_in_words(p95, rounds, words):
    assert words in noise_sentence(Noise(1, 1, p95, 50), rounds).replace("\xa0", " ")


def test_latency_in_words(result, tmp_path):
    def point(backend: str, rate: float, held: bool, late: bool = False) -> Offered:
        return Offered(
            backend, 1, 10, rate, rate, 100, 0.01, 0.02, 0.03, {}, held, 0.0, late, {"PostgreSQL": 2.0}, 5.0, 3, 1
        )

    points = [
        point("sql", 100, True),
        point("sql", 200, False),
        point("redis", 200, True, True),
        point("memory", 100, False),
    ]
    latency = Latency(points, {"readers": 9, "median": 14, "mean": 35, "most": 90}, 0.25, 9000, 3, 2)
    told = knees_sentence(latency, lines_of(latency, 1, 10))
    assert "below 250 ms: sql up to 100; redis up to 200 or more; memory not even 100." in told
    assert "late at the knee of redis" in told
    assert "sql 2 ms: 500 requests/s; redis" in capacity_sentence(lines_of(latency, 1, 10))
    assert disturbance(latency).startswith("Other programs used 38% of the CPUs")
    whole = msgspec.structs.replace(result, latency=latency)
    cheaper = msgspec.structs.replace(latency, points=[msgspec.structs.replace(p, cpu={"site": 1.0}) for p in points])
    compared = [change for change in changes(whole, msgspec.structs.replace(result, latency=cheaper)) if change.unclear]
    assert [(change.what, change.backend, change.ratio) for change in compared if change.unclear == ONCE] == [
        ("seconds per request at the knee, one process, 10 % posts", "sql", 1),
        ("CPU time of a request, one process, 10 % posts", "sql", 0.5),
        ("seconds per request at the knee, one process, 10 % posts", "redis", 1),
        ("CPU time of a request, one process, 10 % posts", "redis", 0.5),
    ]
    assert (whole.checked, whole.differed) == (result.checked + 12, result.differed + 4)
    write_json(whole, tmp_path / "whole.json")
    assert read_json(tmp_path / "whole.json") == whole
    write_csv(whole, tmp_path / "whole.csv")
    text = (tmp_path / "whole.csv").read_text(encoding="utf-8")
    assert '"10 % posts, 1 process(es)",200,redis,all,p99,0.03,s' in text


def test_json_round_trips(result, tmp_path):
    write_json(result, tmp_path / "again.json")
    assert read_json(tmp_path / "again.json") == result
    write_csv(result, tmp_path / "again.csv")
    assert (tmp_path / "again.csv").read_text().startswith("part,name,x,backend,measure,figure,value,unit\ngrowth,")


def test_each_contender_has_its_own_database_removed_afterwards(ini):
    answers = {"sql": Answers("sql"), "tests.thirdparty.texts": Answers("texts")}
    with Scratch(read_settings(ini), Lines(), "sqlite") as scratch:
        url = scratch.new_database()
        with contenders(scratch, answers, url) as (one, other):
            with acting(one.registry) as actions:
                user = actions.sign_up("ada", "a password").id
            one.post(user, "hello")
            urls = {str(each.registry.database.engine.url) for each in (one, other)}
            assert url not in urls
            assert len(urls) == 2
            with acting(other.registry) as actions:
                assert actions.sign_up("ada", "a password").id == user
        assert [Path(each.removeprefix("sqlite:///")).exists() for each in urls] == [False, False]
