"""Redis at scale: full timelines, long scans, and concurrent readers."""

import time
from collections import deque
from contextlib import closing

import pytest
from redis import Redis as Client

from tests.contract.test_redis import wire_to
from tweeter import outbox
from tweeter.backends.redis.store import RedisTimelineStore
from tweeter.db.sessions import begin_immediate
from tweeter.delivery import locks
from tweeter.devtools.servers import Redis
from tweeter.outbox.site import site_id
from tweeter.testing import Process
from tweeter.values import Truncated

pytestmark = pytest.mark.slow
TIMEOUT = 0.25  # the default of a site


@pytest.fixture
def own_redis():
    with closing(Redis()) as server:
        server.start()
        yield server


def store_on(server, capacity=800):
    return RedisTimelineStore(wire_to(server.url, TIMEOUT), capacity)


def test_full_timelines_are_trimmed_within_the_timeout(own_redis):
    """All timelines exceed the capacity with the same post of an author whom all users follow."""
    store = store_on(own_redis)
    owners = range(1, 2001)
    with Client(port=own_redis.port) as client, client.pipeline(transaction=False) as pipe:
        for owner in owners:
            pipe.rpush(f"t:s:tl:home:{owner}", 0, *range(10**15, 10**15 + 1000))
        pipe.execute()
    list(store.add_to_each("home", [owners], 10**15 + 5000))


def test_full_timelines_are_truncated_within_the_timeout(own_redis):
    store = store_on(own_redis)
    with Client(port=own_redis.port) as client, client.pipeline(transaction=False) as pipe:
        for owner in range(1, 2001):
            pipe.rpush(f"t:s:tl:home:{owner}", 0, *range(10**15, 10**15 + 800))
        pipe.execute()
    store.truncate(10**15)  # takes nothing away


def test_two_concurrent_readers_of_one_timeline_both_get_their_page(own_redis):
    store = store_on(own_redis)
    token = store.begin_backfill("home:1")
    assert store.backfill("home:1", token, [3, 2, 1], 0)

    class Raced(deque):
        """Another thread removes the last one in between."""

        def __bool__(self):
            return True

    store._in_use = Raced()
    assert store.read("home:1", 10, 10) is not None


def test_truncation_without_effect_is_delivered(sqlite_url, own_redis):
    """Like a nightly `tweeter truncate` with mostly full timelines that reach back only some days."""
    with closing(Process(sqlite_url, "redis", **{"tweeter.redis.url": own_redis.url})) as process:
        assert process.delivery.drain(10)
        with Client(port=own_redis.port) as client, client.pipeline(transaction=False) as pipe:
            for owner in range(1, 2001):
                pipe.rpush(f"tweeter:{site_id(process.sessions)}:tl:home:{owner}", 0, *range(10**15, 10**15 + 800))
            pipe.execute()
        with process.sessions() as session:
            begin_immediate(session)
            outbox.record(session, Truncated(10**15))
            session.commit()
        assert process.delivery.drain(15)


def test_clearing_a_large_store_keeps_the_lease(postgresql_url, own_redis, monkeypatch):
    """A shared server with millions of foreign keys: a scan takes longer than a holder may be silent."""
    settings = {"tweeter.redis.url": own_redis.url}
    monkeypatch.setattr(locks, "SILENT", 0.4)
    one, other = (Process(postgresql_url, "redis", **settings) for _ in range(2))
    try:
        for process in (one, other):
            clear = process.timelines.clear
            monkeypatch.setattr(process.timelines, "clear", lambda clear=clear: (time.sleep(1.2), clear()))
        until = time.monotonic() + 8
        while time.monotonic() < until and not (one.timelines.live() and other.timelines.live()):
            time.sleep(0.05)
        assert one.timelines.live()
        assert other.timelines.live()
    finally:
        one.close()
        other.close()
