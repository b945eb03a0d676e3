"""The age of pages is measured on the database's clock, so different host clocks have no effect."""

import time
from collections import Counter
from contextlib import ExitStack, closing

import pytest

from tests.support.children import Child, act, holds, home, sign_up
from tweeter.devtools.servers.cluster import wait_until
from tweeter.outbox.checkpoint import FRESH
from tweeter.testing import Process

SECONDS = 20
APART = 5.0  # seconds


def fast():
    """The clock of this process's host is fast."""
    _set(APART)


def slow():
    _set(-APART)


def _set(seconds):
    true, true_ns = time.time, time.time_ns
    time.time = lambda: true() + seconds
    time.time_ns = lambda: true_ns() + int(seconds * 1e9)


@pytest.mark.parametrize(("backend", "holder", "reader"), [("redis", fast, slow), ("memcached", slow, fast)])
def test_page_age_ignores_host_clocks(postgresql_url, redis_server, memcached_server, backend, holder, reader):
    settings = {
        "tweeter.redis.url": redis_server.url,
        "tweeter.memcached.servers": memcached_server.address,
    }
    with ExitStack() as stack:
        sql = stack.enter_context(closing(Process(postgresql_url, "sql")))
        ann, bob = sign_up(sql, "ann"), sign_up(sql, "bob")
        act(sql, "follow", bob, "ann")
        one = Child(postgresql_url, backend, holder, **settings)
        stack.callback(one.close)
        wait_until(lambda: one.do(holds), SECONDS)
        other = Child(postgresql_url, backend, reader, **settings, **{"tweeter.delivery": "relay"})
        stack.callback(other.close)
        wait_until(lambda: other.do(home, bob)[1] == backend, SECONDS)
        posted, served = [], Counter()
        for _ in range(8):
            posted.insert(0, act(sql, "post", ann, "hello"))
            wait_until(lambda: shown(other.do(home, bob)) == posted, SECONDS, 0.01)
            time.sleep(0.15)
            served.update([other.do(home, bob)[1], one.do(home, bob)[1]])
        assert served[backend] > 8  # a busy machine may be late
        one.stop()
        stopped = time.monotonic()
        posted.insert(0, act(sql, "post", ann, "not delivered"))
        began = stopped
        while (page := other.do(home, bob))[1] == backend:
            assert began - stopped < FRESH
            began = time.monotonic()
        assert shown(page) == posted


def shown(answer):
    return [tweet.id for tweet in answer[0].tweets]
