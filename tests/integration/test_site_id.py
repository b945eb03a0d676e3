"""The site id separates the keys of sites: two databases on one server, copies, and an id that changes at run time."""

import shutil
import sqlite3
import threading
import time
from contextlib import ExitStack, closing

import pytest
from alembic import command
from redis import Redis as Client

from tests.conftest import engine_on, running, settings_of, write_ini
from tests.integration.test_outages import two_people
from tests.support.databases import alembic_config
from tweeter.cli import main
from tweeter.db.sessions import make_sessions
from tweeter.errors import BackendUnavailable
from tweeter.interfaces import IDelivery
from tweeter.outbox.site import renew_site_id, site_id
from tweeter.testing import Process
from tweeter.testing.stores import together
from tweeter.timelines.kinds import built_in_kinds
from tweeter.timelines.streams import Stream
from tweeter.values import Cursor, Timeline

BACK = 20  # seconds


@pytest.fixture(params=["redis", "memcached"])
def backend(request):
    return request.param


@pytest.fixture
def stores(redis_server, memcached_server):
    return {
        "tweeter.capacity": "10",
        "tweeter.redis.url": redis_server.url,
        "tweeter.memcached.servers": memcached_server.address,
    }


@pytest.fixture
def begin(backend, stores):
    """`begin(url)` is a process on SQL and two on the store, on one database."""
    with ExitStack() as stack:

        def begin(url):
            every = [Process(url, name, **stores) for name in ("sql", backend, backend)]
            return [stack.enter_context(closing(process)) for process in every]

        yield begin


def live(processes, people):
    """Posts of both people by each process."""
    for process in processes:
        for author in people:
            with process.acting() as actions:
                actions.post(author, f"{time.time_ns()}")


def timelines(people):
    return list(built_in_kinds().timelines(people))


def assert_right(processes, people):
    for timeline in timelines(people):
        expected = processes[0].page(timeline, Cursor())
        for process in processes[1:]:
            assert process.page(timeline, Cursor()) == expected
            assert process.timelines.live()


def test_site_id_is_stable_and_copies_of_a_template_get_different_ids(database_url, sqlite_template, tmp_path):
    another = f"sqlite:///{shutil.copyfile(sqlite_template, tmp_path / 'another')}"
    with engine_on(database_url) as engine, engine_on(another) as other:
        found = together(8, lambda _: site_id(make_sessions(engine)))
        assert len(set(found)) == 1
        assert site_id(make_sessions(engine)) == found[0] != site_id(make_sessions(other))
        assert found[0].isalnum()


def test_the_command_prints_the_id_and_makes_a_new_one(tmp_path, database_url, capsys):
    ini = write_ini(tmp_path, database_url)

    def run(*options):
        assert main(["site-id", ini, *options]) == 0
        return capsys.readouterr().out

    first = run()
    assert first == run() == f"{first.strip()}\n"
    second = run("--new")
    assert second != first
    assert run() == second


def test_missing_tables_are_reported(tmp_path, empty_url, capsys):
    assert main(["site-id", write_ini(tmp_path, empty_url)]) == 1
    assert "upgrade head" in capsys.readouterr().err


def test_two_sites_with_the_same_settings_show_their_own_tweets(begin, database_url, sqlite_template, tmp_path):
    one, other = begin(database_url), begin(f"sqlite:///{shutil.copyfile(sqlite_template, tmp_path / 'other')}")
    people = {id(site): two_people(site[0]) for site in (one, other)}
    for _ in range(3):
        for site in (one, other):
            live(site, people[id(site)])
            assert_right(site, people[id(site)])
    one[1].timelines.clear()
    for timeline in timelines(people[id(other)]):
        assert other[1].timelines.peek(timeline) is not None
    for site in (one, other):
        assert_right(site, people[id(site)])


def test_a_copied_database_gets_an_id_of_its_own(begin, sqlite_url, tmp_path, redis_server, capsys):
    original = begin(sqlite_url)
    people = two_people(original[0])
    live(original, people)
    assert_right(original, people)
    copy = f"sqlite:///{tmp_path / 'staging'}"
    with (
        closing(sqlite3.connect(sqlite_url.removeprefix("sqlite:///"))) as source,
        closing(sqlite3.connect(tmp_path / "staging")) as target,
    ):
        source.backup(target)
    assert main(["site-id", write_ini(tmp_path, copy), "--new"]) == 0
    staging = begin(copy)
    for _ in range(2):
        live(staging, people)
        live(original, people)
        assert_right(original, people)
        assert_right(staging, people)
    shown = [site[1].page(Timeline("public"), Cursor()) for site in (original, staging)]
    assert shown[0] != shown[1]


def test_running_processes_switch_to_a_new_site_id(begin, sqlite_url, caplog):
    caplog.set_level("INFO", "tweeter.delivery")
    processes = begin(sqlite_url)
    people = two_people(processes[0])
    live(processes, people)
    assert_right(processes, people)
    old = site_id(processes[0].sessions)
    for _ in range(3):
        renew_site_id(processes[0].sessions)
        live(processes, people)
        assert_right(processes, people)
    assert "another site id" in caplog.text
    held = processes[1].timelines.peek(Timeline("home", people[0]))
    store = processes[1].timelines.store
    processes[1].close()
    store.set_site(old)
    store.fence(store.run_id())
    under_old_id = store.read(Timeline("home", people[0]).key, Cursor().before, 100)
    assert under_old_id is not None
    assert under_old_id != held


def test_delivery_in_progress_stops_when_the_site_id_changes(begin, sqlite_url, monkeypatch):
    processes = begin(sqlite_url)
    people = two_people(processes[0])
    live(processes, people)
    assert_right(processes, people)
    under_way, ended = threading.Event(), threading.Event()

    def for_ever(after):
        under_way.set()
        try:
            while True:
                time.sleep(0.01)
                yield 0
        finally:
            ended.set()

    def streams(events):
        return [Stream(event, 0, for_ever) for event in events]

    with monkeypatch.context() as patch:
        for process in processes[1:]:
            patch.setattr(process.timelines.projector, "apply", streams)
        with processes[1].acting() as actions:
            actions.post(people[0], "to everybody")
        assert under_way.wait(BACK)
    renew_site_id(processes[0].sessions)
    assert ended.wait(BACK)
    assert_right(processes, people)


def test_a_site_starts_while_its_database_is_down(sqlite_template, tmp_path, backend, stores):
    path = tmp_path / "later.sqlite"
    with closing(Process(f"sqlite:///{path}", backend, **stores)) as process:
        time.sleep(0.2)
        assert not process.timelines.live()
        process.registry.database.engine.dispose()
        command.upgrade(alembic_config(f"sqlite:///{path}"), "head")
        assert process.delivery.drain(BACK)
        assert process.timelines.live()


def test_a_store_that_does_not_know_its_site_is_unavailable(sqlite_url, backend, stores):
    with closing(Process(sqlite_url, backend, **stores)) as process:
        store, cache = process.timelines.store, process.timelines._hydrator.cache
        for attempt in (
            store.run_id,
            lambda: store.read("home:1", 5, 1),
            lambda: store.begin_backfill("home:1"),
            lambda: store.add(["home:1"], 1),
            lambda: store.remove("home:1", [1]),
            lambda: store.drop(["home:1"]),
            lambda: store.truncate(1),
            store.clear,
            lambda: cache.get_many([1]),
            lambda: cache.guard([1]),
            lambda: cache.invalidate([1]),
            cache.clear,
            lambda: process.timelines.peek(Timeline("public")),
        ):
            with pytest.raises(BackendUnavailable, match="not known yet"):
                attempt()


def test_store_broken_by_the_lab_keeps_its_identity(sqlite_url, redis_server):
    own = {"tweeter.lab": True, "tweeter.lab.backends": "sql redis", "tweeter.redis.url": redis_server.url}
    with running(settings_of(sqlite_url) | own) as app:
        delivery, sessions = app.registry.getUtility(IDelivery), app.registry.database.sessions
        assert delivery.drain(BACK)
        instrument = app.registry["instruments"]["tweeter.backends.redis"]
        instrument.break_it("refuse")
        for attempt in (lambda: instrument.store.read("public", 5, 1), lambda: instrument.cache.get_many([1])):
            with pytest.raises(BackendUnavailable, match="refused"):
                attempt()
        site = renew_site_id(sessions)
        instrument.mend()
        assert delivery.drain(BACK)
        assert instrument.store.target._prefix == f"tweeter:{site}:tl:"
        assert instrument.store.read("public", 5, 1) is None


@pytest.mark.parametrize("backend", ["redis"], indirect=True)
def test_the_id_is_part_of_every_key(begin, sqlite_url, redis_server):
    with Client(port=redis_server.port, decode_responses=True) as client:
        client.flushall()
        processes = begin(sqlite_url)
        people = two_people(processes[0])
        live(processes, people)
        assert_right(processes, people)
        prefix = f"tweeter:{site_id(processes[0].sessions)}:"
        kinds = {name.removeprefix(prefix).partition(":")[0] for name in client.scan_iter()}
        assert kinds == {"tl", "tw", "probe", "checkpoint"}
