"""Old events are removed from the outbox, except those that a store may still need."""

import logging
from contextlib import closing
from datetime import timedelta

import pytest
from sqlalchemy import func, select, update

from tests.conftest import write_ini
from tests.support.children import act, home, sign_up
from tweeter import outbox
from tweeter.cli import main
from tweeter.db.sessions import begin_immediate
from tweeter.models import Consumer, OutboxEvent
from tweeter.models.base import now
from tweeter.services.housekeeping import Housekeeper
from tweeter.testing import Process
from tweeter.values import Followed

SECONDS = 20
KEEP = timedelta(hours=24)


@pytest.fixture
def begin(database_url, redis_server):
    """`begin()` is a process on Redis that is caught up."""
    processes = []

    def begin():
        prefix = database_url[-30:].replace("/", "-")
        settings = {"tweeter.redis.url": redis_server.url, "tweeter.redis.prefix": prefix}
        processes.append(Process(database_url, "redis", **settings))
        assert processes[-1].delivery.drain(SECONDS)
        return processes[-1]

    yield begin
    for process in processes:
        process.close()


def old(process):
    """The number of old events."""
    with process.sessions() as session:
        return session.scalar(select(func.count()).where(OutboxEvent.date < now() - KEEP))


def age(process, *tables):
    """Backdates all events by two days."""
    with process.sessions() as session:
        begin_immediate(session)
        for table in tables:
            session.execute(update(table).values(date=now() - 2 * KEEP))
        session.commit()


@pytest.fixture(params=["housekeeper", "command"])
def prune(request, database_url, tmp_path):
    """`prune(process)` removes old events, as a process of the site or `tweeter truncate` does."""
    if request.param == "command":
        ini = write_ini(tmp_path, database_url)
        return lambda process: main(["truncate", ini])
    return lambda process: Housekeeper(process.sessions, KEEP).tidy()


def test_events_pending_for_a_slow_store_are_kept(begin, prune, database_url, caplog):
    process = begin()
    ann = sign_up(process, "ann")
    for _ in range(3):
        act(process, "post", ann, "delivered")
    assert process.delivery.drain(SECONDS)
    process.close()
    with closing(Process(database_url, "sql")) as sql:
        tweets = [act(sql, "post", ann, "not delivered yet") for _ in range(4)]
        age(sql, OutboxEvent)
        before = old(sql)
        prune(sql)
        assert old(sql) == 5 < before  # the last one that the store has, and those that it lacks
    caplog.set_level(logging.INFO, "tweeter.delivery")
    page, _ = home(begin(), ann)
    assert "starts cold" not in caplog.text
    assert [tweet.id for tweet in page.tweets][:4] == tweets[::-1]


def test_store_without_recent_delivery_retains_no_events(begin, prune, database_url):
    process = begin()
    ann = sign_up(process, "ann")
    first = act(process, "post", ann, "delivered")
    assert process.delivery.drain(SECONDS)
    process.close()
    with closing(Process(database_url, "sql")) as sql:
        tweets = [act(sql, "post", ann, "never delivered") for _ in range(4)]
        age(sql, OutboxEvent, Consumer)
        prune(sql)
        assert old(sql) <= 2  # the newest event, and the last one that the store applied
    page, _ = home(begin(), ann)
    assert [tweet.id for tweet in page.tweets] == [*tweets[::-1], first]


def test_outbox_is_pruned_on_sql(prune, database_url):
    with closing(Process(database_url, "sql")) as sql:
        ann = sign_up(sql, "ann")
        for _ in range(5):
            act(sql, "post", ann, "hello")
        age(sql, OutboxEvent)
        prune(sql)
        assert old(sql) <= 1


@pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)
def test_idle_store_stays_warm_beyond_event_retention(begin, prune, caplog):
    """Even if the last applied event does not have the highest id."""
    process = begin()
    sign_up(process, "ann")
    process.delivery.stop()
    with process.sessions() as slow, process.sessions() as quick:
        for session in (slow, quick):
            session.execute(select(func.pg_current_xact_id()))
        for session in (quick, slow):
            outbox.record(session, Followed(1, 2))
            session.commit()
    process = begin()
    age(process, OutboxEvent, Consumer)
    prune(process)
    caplog.set_level(logging.INFO, "tweeter.delivery")
    begin()
    process.close()
    begin()
    assert "starts cold" not in caplog.text
