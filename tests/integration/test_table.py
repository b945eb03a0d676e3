"""Timelines as rows, and a crash of PostgreSQL: it empties the unlogged tables."""

import time
from contextlib import closing, suppress

import pytest
from sqlalchemy.exc import OperationalError

from tweeter.console.migrations import migrate
from tweeter.devtools.servers import PostgreSQL
from tweeter.errors import Missing
from tweeter.metrics import fallbacks
from tweeter.testing import Process
from tweeter.values import Cursor, Timeline

pytestmark = pytest.mark.slow
SECONDS = 20
PUBLIC = Timeline("public")


@pytest.fixture
def server():
    with closing(PostgreSQL(synchronous_commit="on")) as server:  # otherwise the last commits are lost, too
        server.start()
        yield server


def test_a_crash_of_postgresql_makes_all_timelines_cold_and_no_page_wrong(server, caplog):
    caplog.set_level("INFO", "tweeter.delivery")
    server.execute("CREATE DATABASE site")
    url = server.url("site")
    migrate(url)
    with closing(Process(url, "table")) as process, closing(Process(url, "sql")) as sql:
        with process.acting() as actions:
            ada, bob = (actions.sign_up(name, "password").id for name in ("ada", "bob"))
            actions.follow(ada, "bob")
            for number in range(30):
                actions.post(bob, f"number {number}")
        home = Timeline("home", ada)
        for timeline in (home, PUBLIC):
            assert process.walk(timeline, 7) == sql.walk(timeline, 7)
            assert process.timelines.peek(timeline)
        with process.acting(deliver=False) as actions:
            actions.post(bob, "committed just before the crash")
        caplog.clear()
        server.kill()
        server.start()
        deadline = time.monotonic() + SECONDS
        while not any(" starts cold" in record.msg for record in caplog.records):
            assert time.monotonic() < deadline
            time.sleep(0.05)
        assert process.delivery.drain(SECONDS)
        for each in (process, sql):
            with suppress(OperationalError):  # its connection is from before the crash; a request would be retried
                each.timelines.page(PUBLIC, Cursor(backfill=False))
        for timeline in (home, PUBLIC):
            assert process.timelines.peek(timeline) is None
            assert process.walk(timeline, 7) == sql.walk(timeline, 7)
            assert len(process.timelines.peek(timeline).ids) == 31
        assert "its checkpoint is lost" in caplog.text
        with process.acting() as actions:
            actions.post(bob, "after the crash")
        assert process.page(home, Cursor()) == sql.page(home, Cursor())
        assert process.timelines.peek(home).ids[0] == process.page(home, Cursor()).tweets[0].id


def test_one_connection_is_enough_for_the_timeline_of_a_missing_user(sqlite_url):
    """Its key is dropped after the page's session."""
    one = {"sqlalchemy.pool_size": "1", "sqlalchemy.max_overflow": "0", "sqlalchemy.pool_timeout": "1"}
    with closing(Process(sqlite_url, "table", **one)) as process:
        assert process.delivery.drain(SECONDS)
        before = dict(fallbacks("table"))
        with pytest.raises(Missing):
            process.timelines.page(Timeline("home", 7), Cursor())
        assert fallbacks("table") == before
        assert process.timelines.circuit.closed
