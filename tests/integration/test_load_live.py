"""`tweeter load` beside a running site: when stores are flushed, and the guarantees if the load is killed."""

import signal
import time
from collections import Counter
from contextlib import closing
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import func, select, update

from tests.conftest import write_ini
from tests.support.loads import killed_load, load_tweets, messages, tweet, write
from tweeter.bulk import database as bulk
from tweeter.models import OutboxEvent
from tweeter.models import Site as SiteRow
from tweeter.models.base import now
from tweeter.testing import Process
from tweeter.values import Cursor, Timeline

pytestmark = pytest.mark.slow


@pytest.fixture
def ini(tmp_path, database_url):
    return write_ini(tmp_path, database_url)


@pytest.fixture(autouse=True)
def small_batches(monkeypatch):
    monkeypatch.setattr(bulk, "BATCH", {"sqlite": 2, "postgresql": 2})


@pytest.mark.parametrize("error", [KeyboardInterrupt, OSError])
def test_running_sites_are_notified_of_an_interrupted_load(tmp_path, ini, sessions, monkeypatch, error):
    breaths = Counter[str]()

    def fail(self: Any) -> None:
        breaths["all"] += 1
        if breaths["all"] == 3:
            raise error

    monkeypatch.setattr(bulk.BulkDatabase, "breathe", fail)
    assert load_tweets(tmp_path, ini, *(tweet("ann", str(n)) for n in range(9))) != 0
    with sessions() as session:
        assert 0 < len(messages(session)) < 9
        assert session.scalars(select(OutboxEvent.payload)).all() == ['{"type":"Reloaded"}']


@pytest.fixture(params=["redis", "memcached", "memory"])
def live(request, database_url, redis_server, memcached_server):
    """A process of a running site."""
    stores = {"tweeter.redis.url": redis_server.url, "tweeter.memcached.servers": memcached_server.address}
    with closing(Process(database_url, request.param, **stores)) as process:
        yield process


def test_pages_are_right_after_a_load_that_was_killed(tmp_path, ini, sessions, monkeypatch, live):
    """Without a restart or a notification, a running site detects the dead load and flushes its store once."""
    with live.acting() as actions:
        ann = actions.sign_up("ann", "password").id
        actions.post(ann, "hello")
    profile = Timeline("profile", ann)
    assert [view.message for view in live.page(profile, Cursor()).tweets] == ["hello"]
    clears = Counter[str]()
    clear = live.timelines.clear
    monkeypatch.setattr(live.timelines, "clear", lambda: (clears.update(["all"]), clear()))
    tweets = write(tmp_path, "t.jsonl", [tweet("ann", f"{n}") for n in range(40)])
    assert killed_load(4, "load", ini, "--tweets", tweets) == -signal.SIGKILL
    with sessions() as session:
        written = len(messages(session))
        assert 1 < written < 41
        assert session.scalars(select(OutboxEvent.payload).where(OutboxEvent.payload.contains("Reloaded"))).all() == []
    assert len(live.page(profile, Cursor(limit=100)).tweets) == 1  # unchanged: the load may still be running
    with sessions.begin() as session:
        assert session.scalars(select(SiteRow.loading_until)).one() > now()
        session.execute(update(SiteRow).values(loading_until=now() - timedelta(seconds=1)))  # much later
    deadline = time.monotonic() + 20
    while len(live.page(profile, Cursor(limit=100)).tweets) != written:
        assert time.monotonic() < deadline
        live.registry["housekeeper"].tidy()
        time.sleep(0.05)
    assert clears["all"] == 0  # the event clears the store itself
    with sessions() as session:
        assert session.scalar(select(func.count()).where(OutboxEvent.payload.contains("Reloaded"))) == 1


def test_a_load_flushes_the_store_of_a_live_site_once(tmp_path, ini, monkeypatch, live):
    with live.acting() as actions:
        ann = actions.sign_up("ann", "password").id
    assert live.page(Timeline("profile", ann), Cursor()).tweets == ()
    flushes = Counter[str]()
    store = live.timelines.store
    clear = store.clear
    monkeypatch.setattr(store, "clear", lambda: (flushes.update(["all"]), clear()))
    breathe = bulk.BulkDatabase.breathe

    def look(self: Any) -> None:
        breathe(self)
        assert live.delivery.drain(20)
        assert live.timelines.peek(Timeline("profile", ann)) is not None  # warm all the time

    monkeypatch.setattr(bulk.BulkDatabase, "breathe", look)
    assert load_tweets(tmp_path, ini, *(tweet("ann", str(n)) for n in range(20))) == 0
    assert len(live.page(Timeline("profile", ann), Cursor()).tweets) == 20
    assert flushes["all"] == 1
