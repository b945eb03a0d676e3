"""Whenever timelines start cold, the log says why."""

import logging
import shutil
import sqlite3
import time
from contextlib import closing
from datetime import timedelta

import pytest
from sqlalchemy import update

from tweeter.delivery import progress, relay, tail
from tweeter.models import Consumer
from tweeter.models.meta import begin_immediate, now
from tweeter.models.site import renew_site_id
from tweeter.servers import Redis
from tweeter.testing import Process
from tweeter.values import Cursor, Timeline

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
        assert reasons(caplog) == ["it is new to this database, or an earlier cold start was interrupted"]
    with closing(begin()):
        assert len(reasons(caplog)) == 1  # what is known to be right is not cold


def test_a_server_that_was_started_again(begin, caplog, server):
    with closing(begin()) as process:
        caplog.clear()
        server.kill()
        server.start()
        deadline = time.monotonic() + SECONDS
        while not reasons(caplog) and time.monotonic() < deadline:  # the relay looks every half second
            time.sleep(0.05)
        assert process.delivery.drain(SECONDS)
        assert reasons(caplog) == ["its server was started again, or is another one"]


def test_a_database_that_was_restored(begin, caplog, sqlite_url, tmp_path):
    path = sqlite_url.removeprefix("sqlite:///")
    with closing(begin()) as process:
        with closing(sqlite3.connect(path)) as source, closing(sqlite3.connect(tmp_path / "backup")) as backup:
            source.backup(backup)
        post(process)
        assert process.delivery.drain(SECONDS)
        deadline = time.monotonic() + SECONDS
        while not process.timelines.position():
            assert time.monotonic() < deadline
            time.sleep(0.05)
    for end in ("-wal", "-shm"):
        (tmp_path / f"{path}{end}").unlink(missing_ok=True)
    shutil.copyfile(tmp_path / "backup", path)
    caplog.clear()
    with closing(begin()):
        [reason] = reasons(caplog)
        assert reason.startswith("the database was restored from a backup")


def test_a_store_that_nobody_delivered_to_for_long(begin, caplog):
    with closing(begin()) as process:
        process.delivery.stop()
        with process.sessions() as session:
            begin_immediate(session)
            session.execute(update(Consumer).values(date=now() - timedelta(hours=30)))
            session.commit()
    caplog.clear()
    with closing(begin()):
        assert reasons(caplog) == ["events were not delivered to it for 30.0 hours"]


def test_too_many_events(begin, caplog, monkeypatch):
    for module in (progress, relay):
        monkeypatch.setattr(module, "LONGEST_BACKLOG", 3)
    begin().close()
    with closing(begin()) as process:
        process.delivery.stop()
        for _ in range(4):
            post(process, deliver=False)
    caplog.clear()
    with closing(begin()):
        assert reasons(caplog) == ["3 events or more are pending, and to apply them costs more"]


def test_another_site_id(begin, caplog):
    with closing(begin()) as process:
        caplog.clear()
        renew_site_id(process.sessions)
        assert process.delivery.drain(SECONDS)
        assert "is not trusted: the database has another site id now" in caplog.text
        assert len(reasons(caplog)) == 1


def test_memory(sqlite_url, caplog, monkeypatch):
    monkeypatch.setattr(tail, "LONGEST_BACKLOG", 3)
    with closing(Process(sqlite_url, "memory")) as process:
        process.page(Timeline.public(), Cursor())
        assert reasons(caplog) == ["this process is new"]
        for _ in range(3):
            post(process, deliver=False)
        process.page(Timeline.public(), Cursor())
        assert reasons(caplog)[1:] == ["it is 3 events or more behind"]
        tomorrow = time.time() + 86_400
        monkeypatch.setattr(tail.time, "time", lambda: tomorrow)
        process.page(Timeline.public(), Cursor())
        assert reasons(caplog)[2:] == ["it read no events for 24.0 hours"]
