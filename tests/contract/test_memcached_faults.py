"""Timelines in memcached: servers that are down, hang, or send invalid responses."""

import contextlib
import re
import time

import pytest
from pymemcache.exceptions import MemcacheIllegalInputError

from tests.support.memcached_stores import (  # noqa: F401
    END,
    TIMEOUT,
    at,
    hang,
    own_server,
    saying,
    servers_at,
    store_at,
    trio,
)
from tweeter.backends.memcached.cache import MemcachedTweetCache
from tweeter.backends.memcached.store import MemcachedTimelineStore
from tweeter.errors import BackendUnavailable
from tweeter.testing.stores import fill, together
from tweeter.values import Slice


def test_restarted_server_is_cold(own_server):
    store = store_at(own_server)
    fill(store, "home:1", [9])
    token = store.begin_backfill("home:2")
    own_server.kill()
    with pytest.raises(BackendUnavailable):
        store.read("home:1", END, 20)
    with pytest.raises(BackendUnavailable, match="refused"):
        store.run_id()
    own_server.start()
    # Stale pooled connections must not cause a failure.
    assert store.read("home:1", END, 20) is None
    assert not store.backfill("home:2", token, [9], 0)
    fill(store, "home:1", [9])


def test_a_server_that_hangs_costs_one_timeout(own_server):
    servers = servers_at(own_server)
    store, cache = MemcachedTimelineStore(servers, 10), MemcachedTweetCache(servers)
    fill(store, "home:1", [9])
    hang(own_server)
    for attempt in (
        lambda: store.read("home:1", END, 20),
        lambda: store.read("home:1", END, 20),  # on a new connection
        lambda: store.add([f"home:{user}" for user in range(100_000)], 10),
        lambda: store.run_id(),
        lambda: cache.get_many(range(1000)),
    ):
        began = time.monotonic()
        with pytest.raises(BackendUnavailable, match="timed out"):
            attempt()
        assert time.monotonic() - began < 3 * TIMEOUT
    own_server.resume()
    deadline = time.monotonic() + 5
    while time.monotonic() < deadline:
        with contextlib.suppress(BackendUnavailable):
            found = store.read("home:1", END, 20)
            assert found in (Slice([9], 0), Slice([10, 9], 0))  # an abandoned command may have been executed
            break
    else:
        pytest.fail("it does not come back")


def test_threads_do_not_wait_for_each_others_connections_to_a_server_that_hangs(own_server):
    store = store_at(own_server)
    hang(own_server)
    began = time.monotonic()

    def read(_: int) -> None:
        with pytest.raises(BackendUnavailable):
            store.read("home:1", END, 20)

    together(8, read)
    assert time.monotonic() - began < 4 * TIMEOUT


def test_keys_stay_with_their_server_while_it_is_down(trio):
    store = store_at(*trio)
    keys = [f"home:{user}" for user in range(60)]
    for key in keys:
        fill(store, key, [1])
    run_id = store.run_id()
    lost = set(store._servers._shared_out(keys)[1])
    assert 10 < len(lost) < 30
    hang(trio[1])
    try:
        for key in keys[:5]:
            if key in lost:
                with pytest.raises(BackendUnavailable):
                    store.read(key, END, 20)
            else:
                assert store.read(key, END, 20) == Slice([1], 0)
        for attempt in (store.run_id, store.clear, lambda: store.add(keys, 2)):
            with pytest.raises(BackendUnavailable, match=str(trio[1].port)):
                attempt()
    finally:
        trio[1].resume()
    assert store.run_id() == run_id
    store.add(keys, 3)
    # The clear reached the first server.
    warm = [key for key in keys if store.read(key, END, 20)]
    assert lost <= set(warm)
    assert all(store.read(key, END, 20).ids[0] == 3 for key in warm)


NOTHING = b"END\r\n"


@pytest.mark.parametrize(
    "answer",
    [
        b"",
        b"ERROR\r\n",
        b"CLIENT_ERROR bad command line format\r\n",
        b"SERVER_ERROR out of memory storing object\r\n",
        b"HTTP/1.1 400 Bad Request\r\n\r\n",
        b"\xff\xfe\r\n\x00\r\n",
        b"STORED\r\nSTORED\r\nSTORED\r\n",
        b"HD\r\nMN\r\nEND\r\n",
        b"MN\r\nMN\r\nEND\r\n",
        b"NS x:s:probe\r\nMN\r\n" + NOTHING,
        NOTHING * 2,
        b"VALUE x:s:epoch 0 -1 5\r\n\r\nEND\r\n",
        b"VALUE x:s:epoch 0 1 5\r\nabc\r\nEND\r\n",
        b"VALUE x:s:epoch 0 9999999999999 5\r\nabc\r\nEND\r\n",
        b"VALUE x:s:epoch 0 " + b"9" * 5000 + b" 5\r\nabc\r\nEND\r\n",
        b"VALUE x:other 0 1 5\r\na\r\nEND\r\n",
        b"VALUE x:s:epoch 0 1\r\na\r\nEND\r\n",
        b"VALUE x:s:epoch 0 \xc2\xb2 5\r\na\r\nEND\r\n",
        b"no line at all",
    ],
)
def test_invalid_responses_are_unavailable(answer):
    with saying(answer) as port:
        servers = at([("127.0.0.1", port)])
        store, cache = MemcachedTimelineStore(servers, 10), MemcachedTweetCache(servers)
        for attempt in (
            lambda: store.read("home:1", END, 20),
            store.run_id,
            store.clear,
            lambda: cache.get_many([1, 2]),
        ):
            with pytest.raises(BackendUnavailable):
                attempt()


@pytest.mark.parametrize("answer", [b"x", b"STORED\r\n", b"NS kx\r\n", b"VALUE x:s:epoch 0 1 5\r\na\r\n"])
def test_slow_trickling_response_costs_one_timeout(answer):
    with saying(answer, pause=0.05) as port:
        store = MemcachedTimelineStore(at([("127.0.0.1", port)]), 10)
        began = time.monotonic()
        for attempt in (store.run_id, lambda: store.read("home:1", END, 20)):
            with pytest.raises(BackendUnavailable):
                attempt()
        assert time.monotonic() - began < 5 * TIMEOUT


def test_unresolvable_host_is_unavailable():
    for host in ("no-such-host.invalid", "a..b"):
        with pytest.raises(BackendUnavailable, match=re.escape(host)):
            MemcachedTimelineStore(at([(host, 11211)]), 10).run_id()


def test_server_that_drops_every_value_is_unavailable():
    with saying(NOTHING) as port:
        store = MemcachedTimelineStore(at([("127.0.0.1", port)]), 10)
        with pytest.raises(BackendUnavailable, match="forgets"):
            store.run_id()


def test_invalid_memcached_key_is_refused(memcached_server):
    store = store_at(memcached_server)
    for key in ("home:1 2", "home:1\r\nflush_all", "home:é", "h" * 200, "home:\x00"):
        with pytest.raises(MemcacheIllegalInputError):
            store.add(["home:1", key], 1)
        with pytest.raises(MemcacheIllegalInputError):
            store.read(key, END, 20)
    fill(store, "h" * 99, [1])
