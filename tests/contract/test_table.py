"""The store in the site's own database passes the published suite, on both databases."""

import shutil
import time
from contextlib import ExitStack

import pytest
from sqlalchemy import text

from tests.conftest import engine_on
from tweeter.backends.table.store import TableTimelineStore
from tweeter.db import Database
from tweeter.db.clock import DatabaseClock
from tweeter.db.engines import make_engine
from tweeter.db.sessions import make_sessions
from tweeter.errors import BackendUnavailable
from tweeter.ids import MAX_ID
from tweeter.testing import TimelineStoreSuite
from tweeter.testing.stores import END, fill
from tweeter.values import Slice


def database_at(engine, statements):
    sessions, reads = make_sessions(engine), make_sessions(statements)
    return Database(
        engine,
        statements,
        sessions,
        make_sessions(engine, writing=True),
        reads,
        DatabaseClock(statements),
        page_sessions=reads,
        page_transactions=sessions,
        fill_sessions=reads,
        watch=None,
    )


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def database(request, tmp_path_factory):
    """A database of this module: each store begins with a clear."""
    with ExitStack() as stack:
        if request.param == "sqlite":
            template = request.getfixturevalue("sqlite_template")
            url = f"sqlite:///{shutil.copyfile(template, tmp_path_factory.mktemp('table') / 'tweeter.sqlite')}"
        else:
            url = stack.enter_context(request.getfixturevalue("postgresql_databases").use())
        engine = stack.enter_context(engine_on(url))
        statements = make_engine(url, isolation_level="AUTOCOMMIT", pool_reset_on_return=None)
        stack.callback(statements.dispose)
        yield database_at(engine, statements)


def write_floor(floor):
    def damage(store, key):
        kind, _, owner = key.partition(":")
        with store._engine.begin() as connection:
            [shelf] = connection.scalars(
                text("SELECT shelf FROM timeline_runs WHERE id = :run"), {"run": store._current()}
            )
            return connection.scalar(
                text(
                    "INSERT INTO timelines (shelf, kind, owner, floor, used) VALUES (:shelf, :kind, :owner, :floor, 0)"
                    " ON CONFLICT (shelf, kind, owner) DO UPDATE SET floor = excluded.floor, token = NULL"
                    " RETURNING id"
                ),
                {"shelf": shelf, "kind": kind, "owner": int(owner or 0), "floor": floor},
            )

    return damage


def write_reference(of):
    """Adds an id that refers to what is no tweet."""

    def damage(store, key):
        timeline = write_floor(0)(store, key)
        with store._engine.begin() as connection:
            connection.execute(
                text("INSERT INTO timeline_entries VALUES (:timeline, 999, :of) ON CONFLICT DO NOTHING"),
                {"timeline": timeline, "of": of},
            )

    return damage


class TestTableTimelineStore(TimelineStoreSuite):
    @pytest.fixture
    def make_store(self, database):
        def make(capacity=10, backfill_seconds=30.0):
            store = TableTimelineStore(database, capacity, backfill_seconds=backfill_seconds)
            for site in ("other", "one"):
                store.set_site(site)
                store.clear()
            return store

        return make

    @pytest.fixture
    def damages(self, database):
        # SQLite stores any type in any column.
        others = ["x"] if database.engine.dialect.name == "sqlite" else []
        floors = [write_floor(floor) for floor in (-1, MAX_ID + 2, *others)]
        return [*floors, *(write_reference(of) for of in (-1, 0, MAX_ID + 1, *others))]


@pytest.fixture
def store(database):
    store = TableTimelineStore(database, 10)
    store.set_site("one")
    store.clear()
    return store


def rows(store):
    """The numbers of timelines and of entries."""
    with store._engine.begin() as connection:
        tables = ("timelines", "timeline_entries")
        return [connection.scalar(text(f"SELECT count(*) FROM {table}")) for table in tables]


def sweep(store):
    """As the relay, which writes checkpoints, until a sweep finds nothing more."""
    store._sweeps = 0.0
    while store._sweeps < time.monotonic() + 10:
        store._sweeps = 0.0
        store.set_checkpoint(b"checkpoint")


def test_rows_of_cleared_and_idle_timelines_are_deleted(store, database):
    sweep(store)
    fill(store, "home:1", [1, 2])
    store.clear()
    fill(store, "home:2", [1, 2, 3])
    assert rows(store) == [2, 5]
    sweep(store)
    assert rows(store) == [1, 3]
    time.sleep(0.02)
    reader = TableTimelineStore(database, 10, idle_seconds=0.01)
    reader.set_site("one")
    assert reader.read("home:2", END, 20) == Slice([3, 2, 1], 0, b"checkpoint")  # it is in use from now on
    reader._idle_ms = 10_000
    sweep(reader)
    assert rows(store) == [1, 3]
    time.sleep(0.02)
    reader._idle_ms = 10
    sweep(reader)
    assert rows(store) == [0, 0]
    assert store.read("home:2", END, 20) is None


def test_dropped_and_trimmed_timelines_leave_no_rows(store):
    sweep(store)
    fill(store, "home:1", [])
    for id_ in range(1, 41):
        store.add(["home:1"], id_)
    assert rows(store) == [1, 10]
    store.drop(["home:1"])
    assert rows(store) == [0, 0]


def test_another_run_is_fenced_off(store, database):
    """A crash of PostgreSQL empties the tables. A process that does not know it reads and writes nothing."""
    fill(store, "home:1", [1])
    late = TableTimelineStore(database, 10)
    late.set_site("one")
    late.fence(late.run_id())
    with store._engine.begin() as connection:
        for table in ("timeline_runs", "timelines", "timeline_entries"):
            connection.execute(text(f"DELETE FROM {table}"))
    assert store.run_id() != str(late._run)
    store.fence(store.run_id())
    assert store.checkpoint() is None
    assert store.read("home:1", END, 20) is None
    fill(store, "home:1", [2])
    for call in (
        lambda: late.read("home:1", END, 20),
        late.checkpoint,
        lambda: late.set_checkpoint(b"checkpoint"),
        lambda: late.begin_backfill("home:2"),
        lambda: late.backfill("home:2", "token", [1], 0),
        lambda: late.add(["home:1"], 3),
        lambda: late.remove("home:1", [2]),
        lambda: late.drop(["home:1"]),
        lambda: late.truncate(9),
        late.clear,
    ):
        with pytest.raises(BackendUnavailable, match="emptied"):
            call()
    assert store.read("home:1", END, 20) == Slice([2], 0)


@pytest.mark.parametrize("database", ["sqlite"], indirect=True)
def test_a_page_does_not_wait_long_for_a_writer_of_sqlite(store, database):
    fill(store, "home:1", [1])
    token = store.begin_backfill("home:2")
    with store._engine.begin() as connection:
        connection.execute(text("SELECT 1"))
        assert store.read("home:1", END, 20) == Slice([1], 0)
        assert store.begin_backfill("home:3") is None
        assert store.backfill("home:2", token, [1], 0) is False
        store.remove("home:1", [1])
        assert store.read("home:1", END, 20) == Slice([1], 0)
    store.remove("home:1", [1])
    assert store.read("home:1", END, 20) == Slice([], 0)
    assert store.backfill("home:2", token, [1], 0) is True
