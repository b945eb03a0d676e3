"""The store in the site's own database passes the published suite, on both databases."""

import pytest
from sqlalchemy import text

from tweeter.backends.table.store import TableTimelineStore
from tweeter.db import Database
from tweeter.db.clock import DatabaseClock
from tweeter.db.engines import make_engine
from tweeter.db.sessions import make_sessions
from tweeter.ids import MAX_ID
from tweeter.testing import TimelineStoreSuite


def database_at(engine, statements):
    return Database(
        engine,
        statements,
        make_sessions(engine),
        make_sessions(engine, writing=True),
        make_sessions(statements),
        DatabaseClock(statements),
    )


@pytest.fixture
def database(database_url):
    engine = make_engine(database_url)
    statements = make_engine(database_url, isolation_level="AUTOCOMMIT", pool_reset_on_return=None)
    try:
        yield database_at(engine, statements)
    finally:
        engine.dispose()
        statements.dispose()


def write_floor(floor):
    def damage(store, key):
        kind, _, owner = key.partition(":")
        with store._engine.begin() as connection:
            [shelf] = connection.scalars(
                text("SELECT shelf FROM timeline_runs WHERE id = :run"), {"run": store._current()}
            )
            connection.execute(
                text(
                    "INSERT INTO timelines (shelf, kind, owner, floor, used) VALUES (:shelf, :kind, :owner, :floor, 0)"
                    " ON CONFLICT (shelf, kind, owner) DO UPDATE SET floor = excluded.floor, token = NULL"
                ),
                {"shelf": shelf, "kind": kind, "owner": int(owner or 0), "floor": floor},
            )

    return damage


class TestTableTimelineStore(TimelineStoreSuite):
    @pytest.fixture
    def make_store(self, database):
        def make(capacity=10, backfill_seconds=30.0):
            store = TableTimelineStore(database, capacity, backfill_seconds=backfill_seconds)
            store.set_site("one")
            store.clear()
            return store

        return make

    @pytest.fixture
    def damages(self, database):
        floors = [-1, MAX_ID + 2]
        if database.engine.dialect.name == "sqlite":
            floors.append("x")  # SQLite stores any type in any column
        return [write_floor(floor) for floor in floors]
