"""`tweeter bench`: small runs of all benchmarks on real servers; they leave nothing behind."""

import html
import json
import multiprocessing
import os
import signal
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import closing
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from multiprocessing import resource_tracker
from pathlib import Path
from typing import Any, ClassVar

import msgspec
import pytest
import redis
from sqlalchemy import inspect

from tests.conftest import engine_on, running, serving
from tweeter.bench import memory, relay
from tweeter.bench.animation.page import facts_table, moments_table, read_data, sentence
from tweeter.bench.animation.record import Recording
from tweeter.bench.at_once import at_once
from tweeter.bench.children import Child, ChildError
from tweeter.bench.figures import Figures, Ratio, percentile, rotate
from tweeter.bench.given import memcached_client, memcached_names
from tweeter.bench.latency import Climbing
from tweeter.bench.load import WrongAnswer, load
from tweeter.bench.machinery import caught_up
from tweeter.bench.offered import Offer, arrivals, gather, offer
from tweeter.bench.scratch import Scratch
from tweeter.cli import main
from tweeter.console.commands import CommandError, read_settings
from tweeter.console.progress import Lines
from tweeter.devtools.servers import Redis

pytestmark = pytest.mark.slow
SHARED = "tests.thirdparty.shared"


@pytest.fixture
def nothing_left(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[Path]]:
    """After the test there are no new processes, and the temporary folders are removed."""
    resource_tracker.ensure_running()  # a process of multiprocessing's own, which stays
    made: list[Path] = []
    mkdtemp = tempfile.mkdtemp

    def remember(*args: Any, **options: Any) -> str:
        path = mkdtemp(*args, **options)
        made.append(Path(path))
        return path

    monkeypatch.setattr(tempfile, "mkdtemp", remember)
    before = children()
    yield made
    assert children() == before
    assert made
    assert [path for path in made if path.exists()] == []
    assert multiprocessing.active_children() == []


def children() -> set[str]:
    tasks = Path(f"/proc/{os.getpid()}/task").glob("*/children")
    return {pid for task in tasks for pid in task.read_text().split()}


def keys(server: Redis) -> set[str]:
    with closing(redis.Redis.from_url(server.url, decode_responses=True)) as client:
        return set(map(str, client.keys("*bench*")))


def ratios_of(path: Path) -> dict[str, float]:
    return {ratio["name"]: ratio["value"] for ratio in json.loads(path.read_text())["ratios"]}


# the benchmarks


def test_delivery_on_servers_of_its_own(ini, nothing_left, tmp_path, capsys):
    path = tmp_path / "delivery.json"
    assert main(["bench", "delivery", ini, "--followers", "1200", "--runs", "2", "--json", str(path)]) == 0
    found = json.loads(path.read_text())
    on_redis = {"tweeter, redis", "redis-benchmark", "the talk: ZADD and trim"}
    on_memcached, on_table = (
        {"tweeter, memcached", "a bare socket, memcached"},
        {"tweeter, table", "tweeter, table, logged"},
    )
    assert set(found["runs"]) == on_redis | on_memcached | on_table
    assert all(len(values) == 2 and min(values) > 100 for values in found["runs"].values())
    ratios = ratios_of(path)
    assert len(ratios) == 11
    assert ratios["growth of the process that delivers to redis"] < 50
    assert set(found["servers"]) == {"postgresql", "redis", "memcached"}
    assert found["arguments"]["followers"] == 1200
    assert not {"database", "redis", "memcached"} & set(found["arguments"])  # they may contain passwords
    assert found["machine"]["cpus"] >= 1
    shown = capsys.readouterr().out
    assert "delivery to redis / the talk's way = " in shown
    assert f"redis {found['servers']['redis']}" in shown
    assert "The process that delivers to memcached uses " in shown


def test_delivery_on_given_servers_keeps_foreign_keys(ini, given, nothing_left, redis_server, memcached_server):
    with closing(redis.Redis.from_url(redis_server.url)) as client:
        client.set("another's bench", "1")
    assert main(["bench", "delivery", ini, "--followers", "300", "--runs", "1", *given]) == 0
    assert keys(redis_server) == {"another's bench"}
    with memcached_client(memcached_server.address) as client:
        assert memcached_names(client, "tweeter-bench") == []


def test_chaos_loses_no_write_and_shows_no_wrong_page(ini, nothing_left, tmp_path, capsys):
    path = tmp_path / "chaos.json"
    words = ["--seconds", "6", "--fault", "primary", "--fault", "store", "--logs", str(tmp_path / "logs")]
    code = main(["bench", "chaos", ini, *words, "--json", str(path)])
    shown = capsys.readouterr()
    assert code == 0, shown.out
    found = json.loads(path.read_text())
    between, primary, *_ = found["tallies"]
    assert (between["failed"], between["unanswered"]) == (0, 0)
    assert between["pages"]["redis"] > 20
    assert (primary["fault"], primary["unanswered"]) == ("primary", 0)
    assert primary["requests"] > primary["failed"] > 0
    assert found["right"]
    assert "primary killed: down " in shown.err
    assert "no acknowledged write was lost, no page was wrong" in shown.out
    assert {"primary.log", "site 1.log", "worker 2.log"} <= {log.name for log in (tmp_path / "logs").iterdir()}


def test_chaos_kills_no_given_server(ini, given, capsys):
    assert main(["bench", "chaos", ini, *given]) == 1
    assert "Servers are killed: give no --database, --redis or --memcached." in capsys.readouterr().err


def test_every_key_that_redis_benchmark_writes_to_is_a_warm_timeline(redis_server):
    """Misses are cheap, so a benchmark that only misses would be no valid rival."""
    from tweeter.bench.rivals import redis_benchmark
    from tweeter.bench.warm import RedisKey

    with closing(redis.Redis.from_url(redis_server.url)) as client:
        client.rpush("bench:list", *range(100))
        RedisKey(client, b"bench:list").copy(b"bench:key:", range(50), digits=12)
        assert redis_benchmark(redis_server.url, "bench:key:", 50, 7, 100) > 0
        lengths = [client.llen(name) for name in client.keys("bench:key:*")]
        client.delete(*client.keys("bench:*"))
    assert len(lengths) == 50
    assert sum(lengths) >= 50 * 101


def test_celebrities(ini, given, nothing_left, tmp_path):
    path = tmp_path / "celebrities.json"
    options = ["--followers", "200", "--tweets", "2", "--runs", "1", *given, "--json", str(path)]
    assert main(["bench", "celebrities", ini, *options]) == 0
    assert len(json.loads(path.read_text())["runs"]) == 8
    assert set(ratios_of(path)) == {
        "a post to 200 followers: pushed / merged",
        *(f"a page, {number} celebrities: merged / pushed" for number in (0, 10, 100)),
    }


def test_likes(ini, nothing_left, tmp_path, capsys):
    path = tmp_path / "likes.json"
    small = ["--threads", "2", "--tweets", "20", "--seconds", "0.5", "--runs", "1"]
    assert main(["bench", "likes", ini, *small, "--json", str(path)]) == 0
    found = json.loads(path.read_text())
    assert all(rate > 0 for [rate] in found["runs"].values())
    assert ratios_of(path)["one tweet / many tweets"] > 0
    assert "All counts are exact: " in capsys.readouterr().out


@pytest.mark.parametrize("database", ["sqlite", "postgresql"])
def test_search(ini, nothing_left, tmp_path, capsys, database):
    path = tmp_path / "search.json"
    words = ["--tweets", "3000", "--runs", "1", "--database", database, "--json", str(path)]
    assert main(["bench", "search", ini, *words]) == 0
    runs = json.loads(path.read_text())["runs"]
    assert len([name for name in runs if not name.startswith("pg_trgm")]) == 12
    shown = capsys.readouterr().out
    assert "a rare word, 'quixotry': 10 tweets on the page" in shown
    assert "pg_trgm finds other tweets" not in shown
    assert ("The index of search has " in shown or "Not compared with pg_trgm" in shown) == (database == "postgresql")


def test_animation(ini, given, nothing_left, tmp_path, capsys):
    page, path = tmp_path / "fan-out.html", tmp_path / "animation.json"
    words = ["--followers", "60_000", "--output", str(page), "--json", str(path)]
    assert main(["bench", "animation", ini, *words, *given]) == 0
    found = msgspec.convert(json.loads(path.read_text())["recording"], Recording)
    assert found.began < 0 < min(found.arrivals) <= found.killed < found.taken < found.last
    done = [each.done for each in found.checkpoints]
    assert done == sorted(done)
    assert done[-1] == found.compared == 60_000
    assert (found.differed, found.page.shown) == (0, True)
    assert read_data(page)["arrivals"] == found.arrivals
    text = html.unescape(page.read_text())
    assert len(text) < 150_000
    assert "http" not in text
    for row in (*moments_table(found).rows, *facts_table(found).rows):
        assert "".join(f"<td>{value}</td>" for value in row) in text
    assert sentence(found) in text
    assert "All 60,000 timelines equal SQL's." in capsys.readouterr().out


def test_animation_needs_followers(ini, given, capsys):
    assert main(["bench", "animation", ini, "--followers", "100", *given]) == 1
    assert "--followers must be at least 60,000" in capsys.readouterr().err


def test_memory(ini, given, nothing_left, tmp_path, capsys):
    path = tmp_path / "memory.json"
    assert main(["bench", "memory", ini, "--timelines", "30", *given, "--json", str(path)]) == 0
    found = json.loads(path.read_text())["runs"]
    shown = capsys.readouterr().out
    for backend in ("redis", "memcached", "memory"):
        assert 6 < found[f"{backend}, warm"][0] < 20
        assert f"{backend}: after a delivery to 30 cold timelines none of them are materialized;" in shown
    assert 8 < found["redis, warm, by MEMORY USAGE"][0] < 9
    assert found["the talk's sorted set in redis"][0] > 50
    assert 8 < found["table, warm"][0] < 100


def test_page(ini, given, nothing_left, tmp_path):
    path = tmp_path / "page.json"
    words = ["--followees", "12", "--connections", "2", "--others", "8", "--runs", "1", "--seconds", "0.2"]
    assert main(["bench", ini, "page", *words, "--profile", "60", *given, "--json", str(path)]) == 0
    found = json.loads(path.read_text())
    assert len(found["runs"]) == 5 * 2 + 10
    assert all(rate > 1 for [rate] in found["runs"].values())
    ratios = ratios_of(path)
    assert {
        "12 followees / 10 followees",
        "100 tweets from redis / hello",
        "20 tweets: the API / the page",
    } <= set(ratios)
    for backend in ("redis", "memory", "memcached", "table"):
        assert 0 < ratios[f"20 tweets from {backend} / hello"] < 1
        assert max(ratios[f"{backend}: {n} connections / the best of 2, 8"] for n in (2, 8)) == 1
    for parts in found["shares"].values():
        assert sum(parts.values()) == pytest.approx(1)
        assert {"store: ids and tweets", "Pyramid and WebOb"} <= set(parts)


def test_fill(ini, nothing_left, tmp_path, capsys):
    path = tmp_path / "fill.json"
    words = ["--users", "300", "--tweets", "3000", "--followees", "10,90", "--readers", "2", "--runs", "2"]
    assert main(["bench", "fill", ini, *words, "--json", str(path)]) == 0
    found = json.loads(path.read_text())
    # There are no 90 most active of 300, nor 90 silent beside them.
    kinds = "quiet, 10", "quiet, 90", "any, 10", "any, 90", "active, 10", "silent, 10"
    assert set(found["runs"]) == {f"{site}, {k} followees" for site in ("power law", "uniform") for k in kinds}
    assert all(len(values) == 4 and min(values) > 0 for values in found["runs"].values())
    ratios = ratios_of(path)
    assert len(ratios) == 24
    assert ratios["uniform, quiet: median, of the slowest"] <= ratios["uniform, quiet: 95th percentile, of the slowest"]
    assert set(found["servers"]) == {"postgresql"}
    assert "power law, active, 10 followees: fill " in capsys.readouterr().out


def test_relay(ini, given, nothing_left, tmp_path, monkeypatch):
    monkeypatch.setattr(relay, "TURNS", 1)
    file = tmp_path / "relay.json"
    small = ["--events", "200", "--posts", "10", "--celebrity", "900", "--open", "1", "--backend", "redis"]
    assert main(["bench", "relay", ini, *given, "--database", "postgresql", *small, "--json", str(file)]) == 0
    found = json.loads(file.read_text())
    names = [ratio["name"] for ratio in found["ratios"]]
    assert [name.removeprefix("redis: ") for name in names] == [
        "events a second, catching up",
        "commit to last follower, 1 process(es), median", "commit to last follower, 1 process(es), 99th percentile",
        "writes of progress to SQL a second, 1 process(es)",
        "commit to last follower, 2 process(es), median", "commit to last follower, 2 process(es), 99th percentile",
        "writes of progress to SQL a second, 2 process(es)",
        "commit to last follower during fan-outs to 900, 99th percentile",
        "commit to last follower, 99th percentile, beside a transaction of 1 s / alone",
        "row of progress",
        "kill -9 of the holder to the next one's checkpoint",
        "time of a post on redis, delivered / on sql",
        "WAL of a post on redis / on sql",
    ]  # fmt: skip
    assert all(ratio["value"] > 0 for ratio in found["ratios"])


def test_mix(ini, given, nothing_left, tmp_path):
    file = tmp_path / "mix.json"
    small = ["--seconds", "0.3", "--runs", "1", "--connections", "4", "--backend", "redis", "--json", str(file)]
    assert main(["bench", "mix", ini, *given, *small]) == 0
    found = json.loads(file.read_text())
    assert all(rate > 0 for [rate] in found["runs"].values())
    assert [ratio["name"] for ratio in found["ratios"]] == [
        "redis, 30 % posts / sql", "redis, 30 % posts: pages from SQL for freshness",
        "redis, 1 % posts / sql", "redis, 1 % posts: pages from SQL for freshness",
    ]  # fmt: skip


def test_latency(ini, given, nothing_left, monkeypatch, tmp_path, capsys):
    tiny = Climbing(((2, 20),), first=40, most=1, seconds=0.5, limit=20, people=60, tweets_each=5, readers=8)
    monkeypatch.setattr("tweeter.bench.latency.QUICK", tiny)
    file = tmp_path / "latency.json"
    words = ["--quick", "--backends", "sql,redis", *given[2:], "--database", "sqlite", "--json", str(file)]
    assert main(["bench", "latency", ini, *words]) == 0
    found = json.loads(file.read_text())
    assert [point["backend"] for point in found["points"]] == ["sql", "redis"]
    for point in found["points"]:
        assert point["held"], point
        assert 0 < point["p50"] <= point["p95"] <= point["p99"]
        assert point["achieved"] > 10
        assert (point["errors"], point["differed"]) == ({}, 0)
        assert point["checked"] >= 1
        assert point["cpu"]["site"] > 0
    assert found["points"][0]["count"] == found["points"][1]["count"]  # both are offered the same
    assert found["ceiling"] > 100
    assert found["audience"]["readers"] == 8
    shown = capsys.readouterr().out
    assert "2 processes, 20 % posts" in shown
    assert "pages that were shown under load were checked against SQL, none differed." in shown


def test_outage(ini, given, nothing_left, redis_server, tmp_path):
    path = tmp_path / "outage.json"
    words = ["--backend", "redis", "--outage", "refused", "--people", "2", "--seconds", "1"]
    before = keys(redis_server)
    assert main(["bench", "outage", ini, *words, *given, "--json", str(path)]) == 0
    ratios = ratios_of(path)
    assert ratios.pop("redis refused: requests that failed") == 0
    assert set(ratios) == {f"redis refused: {of}" for of in ("pages / those of sql", "posts / those of sql", "return")}
    assert all(value > 0 for value in ratios.values())
    assert keys(redis_server) == before


# forbidden actions


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        ([], "required: WHAT"),
        (["nonsense", "site.ini"], "invalid choice: 'nonsense'"),
        (["delivery"], "required: INI"),
        (["delivery", "site.ini", "--followers", "0"], "'0' is not a number greater than 0"),
        (["delivery", "site.ini", "--followers", "many"], "'many' is not a number greater than 0"),
        (["memory", "site.ini", "--followers", "5"], "unrecognized arguments: --followers"),
    ],
)
def test_invalid_arguments_are_refused(words, reason, capsys):
    with pytest.raises(SystemExit) as stopped:
        main(["bench", *words])
    assert stopped.value.code == 2
    assert reason in capsys.readouterr().err


def test_invalid_ini_and_unreachable_servers_are_reported_in_one_line(ini, capsys, nothing_left):
    assert main(["bench", "memory", "missing.ini"]) == 1
    assert "missing.ini can't be used" in capsys.readouterr().err
    assert main(["bench", "memory", ini, "--json", "/nowhere/at/all.json"]) == 1
    assert "/nowhere/at/all.json can't be written" in capsys.readouterr().err
    away = ["--database", "sqlite", "--redis", "redis://localhost:1/0", "--memcached", "localhost:1"]
    assert main(["bench", "memory", ini, *away]) == 1
    assert "tweeter: Redis at redis://localhost:1/0: " in capsys.readouterr().err
    assert main(["bench", "delivery", ini, "--backend", "memcached", "--followers", "1", *away]) == 1
    assert "tweeter: memcached at localhost:1: Connection refused" in capsys.readouterr().err
    assert main(["bench", "page", ini, "--followees", "1", *away]) == 1
    assert "--followees must be at least 2" in capsys.readouterr().err
    assert main(["bench", "fill", ini, *away]) == 1
    assert "give no --database" in capsys.readouterr().err
    assert main(["bench", "fill", ini, "--users", "10", "--followees", "10"]) == 1
    assert "No user can follow so many of 10 users." in capsys.readouterr().err


def test_missing_server_is_reported_with_its_package(ini, monkeypatch, capsys, nothing_left):
    monkeypatch.setenv("PATH", "/nonexistent")
    assert main(["bench", "memory", ini, "--database", "sqlite"]) == 1
    assert "it comes with the Debian package redis-server" in capsys.readouterr().err


def test_the_sites_own_database_is_never_used(ini, sqlite_url, capsys, nothing_left):
    assert main(["bench", "memory", ini, "--database", sqlite_url]) == 1
    assert "must not be the site's own database" in capsys.readouterr().err


def test_environment_variables_do_not_lead_to_the_sites_own_store(ini, sqlite_url, redis_server, monkeypatch):
    monkeypatch.setenv("SQLALCHEMY_URL", sqlite_url)
    monkeypatch.setenv("TWEETER_TIMELINES", "memory")
    monkeypatch.setenv("TWEETER_REDIS_URL", "redis://localhost:1/0")
    monkeypatch.setenv("TWEETER_REDIS_PREFIX", "site:")
    with Scratch(read_settings(ini), Lines(), "sqlite", redis_server.url) as scratch:
        settings = scratch.settings("redis")
        with running(settings) as app:
            assert str(app.registry.database.engine.url) == settings["sqlalchemy.url"] != sqlite_url
            assert caught_up(app.registry).store.identity == f"{redis_server.url} {scratch.prefix}"
    assert os.environ["TWEETER_REDIS_PREFIX"] == "site:"


@pytest.mark.parametrize("name", ["redis", "memcached"])
def test_dotted_backend_name_does_not_lead_to_the_sites_own_store(ini, name, redis_server, memcached_server):
    site = read_settings(ini) | {"tweeter.redis.url": "redis://the-site:6379/0", "tweeter.redis.prefix": "site:"}
    site |= {"tweeter.memcached.servers": "the-site:11211", "tweeter.memcached.prefix": "site:"}
    with Scratch(site, Lines(), "sqlite", redis_server.url, memcached_server.address) as scratch:
        settings = scratch.settings(f"tweeter.backends.{name}")
        own = {key: value for key, value in settings.items() if key.startswith(f"tweeter.{name}.") and value}
        assert own == {key: value for key, value in scratch.settings(name).items() if key in own}
        assert not [value for value in own.values() if "site" in str(value)]


def test_benchmark_keeps_the_timelines_of_the_site(ini, redis_server):
    site = read_settings(ini) | {"tweeter.redis.url": redis_server.url, "tweeter.redis.prefix": "bench-site:"}
    with closing(redis.Redis.from_url(redis_server.url)) as client:
        client.rpush("bench-site:tl:home:1", 0, 10**15)
        with Scratch(site, Lines(), "sqlite", redis_server.url) as scratch:
            with scratch.machinery("tweeter.backends.redis") as registry:
                caught_up(registry)
            with pytest.raises(CommandError, match="shared can't be measured"), scratch.machinery(SHARED):
                pass
        assert client.delete("bench-site:tl:home:1") == 1


def test_private_store_of_a_third_party_module_can_be_measured(ini):
    with (
        Scratch(read_settings(ini), Lines(), "sqlite") as scratch,
        scratch.machinery("tests.thirdparty.texts") as registry,
    ):
        assert caught_up(registry).store.private


def test_given_database_must_be_empty_and_is_left_empty(ini, given, empty_url, postgresql_url, capsys, nothing_left):
    few = ["--timelines", "2", "--entries", "5", *given[2:]]
    assert main(["bench", "memory", ini, "--database", postgresql_url, *few]) == 1
    assert "this one has tables of a site" in capsys.readouterr().err
    assert main(["bench", "memory", ini, "--database", empty_url, *few]) == 0
    with engine_on(empty_url) as engine:
        assert inspect(engine).get_table_names() == []


def test_interrupted_benchmark_leaves_nothing_behind(ini, monkeypatch, nothing_left, capsys):
    def interrupt(*arguments: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(memory, "_read", interrupt)
    assert main(["bench", "memory", ini, "--timelines", "5"]) == 130
    assert "interrupted" in capsys.readouterr().err
    assert len(nothing_left) == 3  # the scratch folder, PostgreSQL, Redis


def test_sigterm_ends_a_benchmark_like_ctrl_c_and_is_handled_once(ini, monkeypatch, nothing_left, capsys):
    before = signal.getsignal(signal.SIGTERM)

    def terminate(*arguments: Any) -> None:
        try:
            signal.raise_signal(signal.SIGTERM)
        finally:
            signal.raise_signal(signal.SIGTERM)

    monkeypatch.setattr(memory, "_read", terminate)
    assert main(["bench", "memory", ini, "--timelines", "5", "--database", "sqlite"]) == 130
    assert "interrupted" in capsys.readouterr().err
    assert len(nothing_left) == 2  # the scratch folder, Redis
    assert signal.getsignal(signal.SIGTERM) is before


# the parts


def test_contenders_take_turns():
    turns: list[str] = []
    contenders = {name: lambda name=name: float(turns.append(name) or len(turns)) for name in "ABC"}
    assert rotate(Lines(), contenders, 2) == {"A": [1, 4], "B": [2, 5], "C": [3, 6]}
    assert "".join(turns) == "ABCABC"


def test_ratio_compares_adjacent_runs_and_states_its_target():
    figures = Figures("", "", {"one": [10, 100, 40], "other": [10, 50, 10]})
    figures.compare("one / other", "one", "other", least=2.5)
    assert str(figures.ratios[0]) == "one / other = 2.00 (at least 2.5: MISSED)"
    assert str(Ratio("memory", 7.25, most=9, unit="KB")) == "memory = 7.25 KB (at most 9)"


def test_percentiles_are_measured_values():
    assert percentile([3, 1, 2, 4], 50) == 2
    assert percentile(range(1, 101), 99) == 99
    assert percentile([5], 1) == 5
    with pytest.raises(ValueError, match="no values"):
        percentile([], 50)


def test_load_counts_pages_and_nothing_else(app):
    with serving(app) as address:
        host, port = address.removeprefix("http://").split(":")
        there = host, int(port)
        found = load(there, b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n", 2, 0.2, 0.05)
        assert found.rate > 1
        assert 0 < found.median <= found.slowest < 1
        assert found.unanswered == 0
        assert found.answers >= found.rate * 0.2
        with pytest.raises(WrongAnswer, match="404"):
            load(there, b"GET /nowhere/at/all HTTP/1.1\r\nHost: x\r\n\r\n", 1, 0.2, 0)


class Slow(BaseHTTPRequestHandler):
    """Responds to one request at a time; the first takes 0.3 seconds, and one path is missing."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    lock = threading.Lock()
    waits: ClassVar = [0.3]

    def do_GET(self) -> None:
        with self.lock:
            time.sleep(self.waits.pop() if self.waits else 0)
        self.send_response(404 if self.path == "/missing" else 200)
        self.send_header("Content-Length", "4")
        self.end_headers()
        self.wfile.write(b"page")

    def log_message(self, *arguments: Any) -> None:
        pass


@pytest.fixture
def slow() -> Iterator[tuple[str, int]]:
    """The address of a server whose first response takes 0.3 seconds."""
    Slow.waits[:] = [0.3]
    server = ThreadingHTTPServer(("127.0.0.1", 0), Slow)
    server.handle_error = lambda *_: None  # clients that leave
    threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
    yield "127.0.0.1", server.server_port
    server.shutdown()
    server.server_close()


PAGE, MISSING = b"GET / HTTP/1.1\r\n\r\n", b"GET /missing HTTP/1.1\r\n\r\n"
NOT_FOUND = "The server responds HTTP/1.1 404 Not Found."


def test_offered_load_counts_the_wait_of_requests_that_are_due_during_a_slow_one(slow):
    due = [n / 100 for n in range(40)]
    found = gather(len(due), offer(Offer([slow], [PAGE, MISSING], due, [0] * 39 + [1])))
    assert len(found.latencies) == 39
    assert found.errors == {NOT_FOUND: 1}
    assert [page.html for page in found.kept] == ["page"]
    # A closed loop would report one slow request; here those of the next 0.3 seconds wait, too.
    assert sum(latency > 0.1 for latency in found.latencies) >= 15
    assert max(found.latencies) >= 0.3


def test_readers_at_once_wait_for_their_response_and_failures_are_counted(slow):
    batches = list(at_once([slow], [PAGE, MISSING], 2, 0.7))
    assert [round(batch.seconds, 1) for batch in batches] == [0.5, 0.7]
    found = gather(0, batches)
    assert sum(latency > 0.1 for latency in found.latencies) <= 1
    assert len(found.latencies) > 10
    assert found.errors[NOT_FOUND] > 10
    assert found.kept[0].html == "page"


def test_arrivals_are_fixed_beforehand():
    due = arrivals(100, 2, "a seed")
    assert due == arrivals(100, 2, "a seed") == sorted(due)
    assert due != arrivals(100, 2, "another")
    assert 130 < len(due) < 270
    assert 0 < due[0] < due[-1] < 2


def count_up(until: int) -> Iterator[int]:
    for number in range(until):
        yield 10 // (2 - number)


def test_child_process_yields_items_as_they_come():
    with closing(Child()) as child:
        assert list(child.each(count_up, 2)) == [5, 10]
        with pytest.raises(ChildError, match="ZeroDivisionError"):
            list(child.each(count_up, 3))
        assert child.call(percentile, [1, 2, 3], 50) == 2


def test_noise_of_a_ratio_comes_first(capsys):
    figures = Figures("Pages", "1/s")
    figures.add({"sql": [100, 110, 95], "redis": [200, 71, 190]})
    figures.compare("redis / sql", "redis", "sql")
    figures.show()
    assert capsys.readouterr().out.startswith("Rounds differ by up to 3.1")
    quiet = Figures("Pages", "1/s")
    quiet.add({"sql": [100, 101], "redis": [200, 201]})
    quiet.compare("redis / sql", "redis", "sql")
    assert quiet.noise == quiet.data()["noise"] == ""


def test_child_process_reports_its_error():
    with closing(Child()) as child:
        assert child.call(percentile, [1, 2, 3], 50) == 2
        with pytest.raises(ChildError, match="there are no values"):
            child.call(percentile, [], 50)
        with pytest.raises(ChildError, match="has ended"):
            child.call(os._exit, 3)


def test_streams(ini: str, given: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["bench", "streaming", ini, "--streams", "5", "--tweets", "3", *given]) == 0
    shown = capsys.readouterr().out
    assert "threads of the site for idle streams = 0" in shown
    assert "ms from the commit to one of the readers, p99" in shown
