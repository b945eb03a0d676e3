"""Whenever timelines start cold, the log contains the reason."""

import logging
import shutil
import sqlite3
import time
from contextlib import closing
from datetime import timedelta

import msgspec
import pytest
from sqlalchemy import text
from sqlalchemy.exc import OperationalError

from tweeter import measure
from tweeter.devtools.servers import Redis
from tweeter.outbox.checkpoint import decode, encode
from tweeter.outbox.site import renew_site_id
from tweeter.testing import Process
from tweeter.values import Cursor, Timeline

pytestmark = pytest.mark.slow
SECONDS = 20


@pytest.fixture(autouse=True)
def told(caplog):
    caplog.set_level(logging.INFO, "tweeter.delivery")


@pytest.fixture
def server():
    with closing(Redis()) as server:
        server.start()
        yield server


@pytest.fixture
def begin(sqlite_url, server):
    """`begin()` is a process on Redis that is caught up."""

    def begin():
        process = Process(sqlite_url, "redis", **{"tweeter.redis.url": server.url})
        assert process.delivery.drain(SECONDS)
        return process

    return begin


def reasons(caplog):
    return [
        record.getMessage().partition(" starts cold: ")[2] for record in caplog.records if " starts cold" in record.msg
    ]


def post(process, deliver=True):
    with process.acting(deliver) as actions:
        name = f"u{time.time_ns() % 10**15}"
        return actions.post(actions.sign_up(name, "password").id, "hello").id


def test_a_new_store(begin, caplog):
    with closing(begin()):
        assert reasons(caplog) == ["it is new"]
    with closing(begin()):
        assert len(reasons(caplog)) == 1  # timelines with a valid checkpoint stay warm


def test_restarted_server_starts_cold(begin, caplog, server):
    with closing(begin()) as process:
        caplog.clear()
        server.kill()
        server.start()
        deadline = time.monotonic() + SECONDS
        while not reasons(caplog) and time.monotonic() < deadline:  # the relay checks every half second
            time.sleep(0.05)
        assert process.delivery.drain(SECONDS)
        assert reasons(caplog) == ["its checkpoint is lost, or clearing it was interrupted"]


def test_restored_database_starts_cold(begin, caplog, sqlite_url, tmp_path):
    path = sqlite_url.removeprefix("sqlite:///")
    with closing(begin()) as process:
        with closing(sqlite3.connect(path)) as source, closing(sqlite3.connect(tmp_path / "backup")) as backup:
            source.backup(backup)
        post(process)
        assert process.delivery.drain(SECONDS)
    for end in ("-wal", "-shm"):
        (tmp_path / f"{path}{end}").unlink(missing_ok=True)
    shutil.copyfile(tmp_path / "backup", path)
    caplog.clear()
    with closing(begin()):
        [reason] = reasons(caplog)
        assert reason.startswith("the database was restored from a backup")


def test_store_without_delivery_beyond_event_retention_starts_cold(begin, caplog):
    with closing(begin()) as process:
        process.delivery.stop()
        store = process.timelines.store
        checkpoint = decode(store.checkpoint())
        assert checkpoint
        old = msgspec.structs.replace(checkpoint, time=checkpoint.time - timedelta(hours=30).total_seconds())
        store.set_checkpoint(encode(old))
    caplog.clear()
    with closing(begin()):
        assert reasons(caplog) == ["nothing was delivered to it for longer than events are kept"]


def test_new_site_id_starts_cold(begin, caplog):
    with closing(begin()) as process:
        caplog.clear()
        renew_site_id(process.sessions)
        assert process.delivery.drain(SECONDS)
        assert "circuit open, SQL serves its pages: it has another site id now" in caplog.text
        assert reasons(caplog) == ["it is new"]


def test_relay_suspended_beyond_event_retention_starts_cold(sqlite_url, caplog):
    with closing(Process(sqlite_url, "memory")) as process:
        process.page(Timeline("public"), Cursor())
        assert reasons(caplog) == ["it is new"]
        [relay] = process.delivery.relays
        while relay._holder is None:
            time.sleep(0.01)
        relay._holder._time -= timedelta(hours=30).total_seconds()
        deadline = time.monotonic() + SECONDS
        while len(reasons(caplog)) < 2:
            assert time.monotonic() < deadline
            post(process)
            time.sleep(0.05)
            if relay._holder and len(reasons(caplog)) < 2:  # the relay itself sets it, too
                relay._holder._time -= timedelta(hours=30).total_seconds()
        assert reasons(caplog)[1] == "nothing was delivered to it for longer than events are kept"
        assert process.delivery.drain(SECONDS)


def test_backfill_that_sql_fails_leaves_the_timeline_cold(begin):
    """The next page fills it, and does not wait until a token expires."""
    with closing(begin()) as process:
        tweet = post(process)
        assert process.delivery.drain(SECONDS)

        def rename(table, name):
            with process.sessions() as session:
                session.execute(text(f"ALTER TABLE {table} RENAME TO {name}"))
                session.commit()

        rename("tweets", "away")
        with pytest.raises(OperationalError):
            process.timelines.page(Timeline("public"), Cursor())
        rename("away", "tweets")
        with measure.measuring() as meter:
            page = process.timelines.page(Timeline("public"), Cursor())
        assert [shown.id for shown in page.tweets] == [tweet]
        assert meter.served_by == "redis"
