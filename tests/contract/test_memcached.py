"""Timelines and tweets in memcached: the suites, settings, and lost, damaged and oversized timelines."""

import contextlib
import time
from contextlib import closing
from typing import Any

import pytest

from tests.support import damages
from tests.support.memcached_stores import (  # noqa: F401
    END,
    Small,
    client_of,
    name_of,
    own_server,
    servers_at,
    store_at,
    trio,
)
from tweeter import measure
from tweeter.backends import memcached
from tweeter.backends.memcached import addresses
from tweeter.backends.memcached.cache import MemcachedTweetCache
from tweeter.backends.memcached.client import EPOCH, RUN
from tweeter.backends.memcached.store import MemcachedTimelineStore
from tweeter.devtools.servers import Memcached
from tweeter.errors import BackendUnavailable, SettingError
from tweeter.plugins import with_declared
from tweeter.testing import TimelineStoreSuite, TweetCacheSuite
from tweeter.testing.stores import fill
from tweeter.values import Slice

# the conformance suites, on one server and on three


@pytest.fixture(params=[1, 3], ids=["one server", "three servers"])
def place(request, trio) -> list[Memcached]:
    return trio[: request.param]


class TestMemcachedTimelineStore(TimelineStoreSuite):
    @pytest.fixture
    def make_store(self, place):
        return lambda capacity=10, backfill_seconds=30.0: MemcachedTimelineStore(
            servers_at(*place, timeout=5), capacity, backfill_seconds=backfill_seconds
        )

    @pytest.fixture
    def damages(self, place):
        return [
            lambda store, key, damage=damage: put_damaged(place, store, "tl", key, *damage)
            for damage in damages.MEMCACHED_TIMELINES
        ]


class TestMemcachedTweetCache(TweetCacheSuite):
    @pytest.fixture
    def make_cache(self, place):
        return lambda: MemcachedTweetCache(servers_at(*place, timeout=5))

    @pytest.fixture
    def damages(self, place):
        return [
            lambda cache, id_, damage=damage: put_damaged(place, cache, "tw", str(id_), *damage)
            for damage in damages.MEMCACHED_TWEETS
        ]


def put_damaged(place: list[Memcached], store: Any, kind: str, key: str, damage: Any, flags: int) -> None:
    """Damages the value under a key of a store or a cache; writes a damaged one if there is none."""
    servers = store._servers
    [number] = servers._shared_out([key])
    epoch = servers.begin(number)
    with closing(client_of(place[number])) as client:
        name = servers.name(kind, epoch, key)
        client.set(name, damage(client.get(name) or damages.NO_VALUE), flags=flags)


# lost, damaged and oversized timelines are cold


def test_evicted_timeline_is_cold_and_its_backfill_void(memcached_server):
    store = store_at(memcached_server)
    fill(store, "home:1", [9])
    token = store.begin_backfill("home:2")
    client = client_of(memcached_server)
    for key in ("home:1", "home:2"):
        assert client.delete(name_of(store, key))
    store.add(["home:1", "home:2"], 10)
    assert store.read("home:1", END, 20) is None
    assert not store.backfill("home:2", token, [9], 0)
    fill(store, "home:1", [10, 9])
    client.close()


def test_abandoned_backfill_token_expires_without_rounding_to_seconds(memcached_server):
    store = MemcachedTimelineStore(servers_at(memcached_server), 10, backfill_seconds=0.05)
    store.begin_backfill("home:1")
    store.add(["home:1"], 10)
    time.sleep(0.1)
    fill(store, "home:1", [11])
    assert store.read("home:1", END, 20) == Slice([11], 0)


@pytest.mark.parametrize("epoch", [None, b"", b"1 a b c", b"0 1111111111111111 2222222222222222 0"])
def test_server_without_its_epoch_is_cold(memcached_server, epoch):
    store, other = (store_at(memcached_server, prefix=f"epoch{epoch}:".replace(" ", "")) for _ in range(2))
    fill(store, "home:1", [9])
    assert other.read("home:1", END, 20) == Slice([9], 0)
    client = client_of(memcached_server)
    name = store._servers.fixed(EPOCH)
    if epoch is None:
        client.delete(name)
    else:
        client.set(name, epoch)
    assert store.read("home:1", END, 20) is None
    store.add(["home:1"], 10)
    store.remove("home:1", [9])
    store.truncate(5)
    store.clear()
    fill(store, "home:1", [11])
    assert other.read("home:1", END, 20) == Slice([11], 0)
    client.close()


@pytest.mark.parametrize("epoch", [None, b"", b"1 a b c", b"1 1111111111111111 2222222222222222 -1"])
def test_server_without_its_epoch_is_cold_and_still_expected(trio, epoch):
    servers = servers_at(*trio)
    store, cache = MemcachedTimelineStore(servers, 10), MemcachedTweetCache(servers)
    keys = [f"home:{user}" for user in range(30)]
    run_id = store.run_id()
    store.fence(run_id)
    for attempt in (
        lambda: store.read("home:1", END, 20),
        lambda: store.add(keys, 11),
        lambda: store.remove("home:1", [9]),
        lambda: store.drop(["home:1"]),
        lambda: store.truncate(5),
        store.clear,
        store.run_id,
        lambda: cache.get_many(range(30)),
        lambda: cache.fill(cache.guard(range(30)), dict.fromkeys(range(30))),
        lambda: cache.invalidate(range(30)),
    ):
        for key in keys:
            if store.read(key, END, 20) is None:
                fill(store, key, [9])
        for server in trio:
            with closing(client_of(server)) as client:
                name = servers.fixed(EPOCH)
                client.delete(name) if epoch is None else client.set(name, epoch)
        attempt()
        for key in keys:
            found = store.read(key, END, 20)
            assert found is None  # whatever happened in between
    assert store.run_id() == run_id


def test_run_id_copy_is_rewritten_and_ignored_without_its_epoch(own_server):
    store = store_at(own_server)
    first = store.run_id()
    with closing(client_of(own_server)) as client:
        name = store._servers.fixed(RUN)
        for damaged in (None, b"", b"x" * 16, b"0" * 17):
            client.delete(name) if damaged is None else client.set(name, damaged)
            assert store.run_id() == first
            assert client.get(name) == first.encode()
            store.fence(first)
            client.delete(name) if damaged is None else client.set(name, damaged)
            client.delete(store._servers.fixed(EPOCH))
            with pytest.raises(BackendUnavailable, match="it is new"):
                store.read("home:1", END, 20)
            first = store.run_id()


def test_a_timeline_too_large_to_be_appended_to_is_cold(memcached_server):
    """Memcached responds NOT_STORED, as for a missing key; continuing would lose an id silently."""
    store = store_at(memcached_server, capacity=131_000, timeout=5)
    most = (1_048_576 - 150) // 8
    fill(store, "home:1", list(range(1, most - 10)))
    store.add(["home:1"], most)
    assert store.read("home:1", END, 1).ids == [most]
    for id_ in range(most + 1, most + 20):
        store.add(["home:1", "home:2"], id_)
    assert store.read("home:1", END, 1) is None
    fill(store, "home:1", [1])
    assert not store.backfill("home:2", store.begin_backfill("home:2"), range(1, 200_000), 0)
    assert store.read("home:2", END, 1) is None
    fill(store, "home:2", [1])


def test_full_server_is_unavailable_without_silent_loss():
    with closing(Small()) as server:
        server.start()
        store = store_at(server, capacity=1000)
        with pytest.raises(BackendUnavailable, match="out of memory"):
            for user in range(1, 100_000):
                fill(store, f"home:{user}", list(range(1, 1000)))
        warm = {key for key in (f"home:{n}" for n in range(1, user)) if store.read(key, END, 1)}
        assert len(warm) > 100
        for id_ in range(2000, 2020):
            with contextlib.suppress(BackendUnavailable):  # then it is delivered again
                store.add(warm, id_)
                found = [store.read(key, END, 1) for key in warm]
                assert all(one is None or one.ids == [id_] for one in found)
        assert None in found


def test_a_long_timeline_is_compacted_when_it_is_read(memcached_server, monkeypatch):
    monkeypatch.setattr("tweeter.backends.memcached.store.SAMPLED", 10**12)
    store = store_at(memcached_server, capacity=10)
    fill(store, "home:1", [])
    for id_ in range(1, 200):
        store.add(["home:1"], id_)
    with measure.measuring() as meter:
        first = store.read("home:1", END, 100)
    assert meter.round_trips == 2
    with measure.measuring() as meter:
        assert store.read("home:1", END, 100) == first == Slice(list(range(199, 189, -1)), 190)
    assert meter.round_trips == 1
    client = client_of(memcached_server)
    assert len(client.get(name_of(store, "home:1"))) < 200
    client.close()


def test_unread_timeline_does_not_grow_without_bound(memcached_server):
    store = store_at(memcached_server, capacity=10, timeout=5)
    keys = [f"home:{user}" for user in range(100)]
    for key in keys:
        fill(store, key, [])
    for id_ in range(1, 2001):
        store.add(keys, id_)
    client = client_of(memcached_server)
    sizes = [len(client.get(name_of(store, key))) for key in keys]
    assert sum(sizes) / len(sizes) < 8 * 600  # instead of 16,000
    assert all(store.read(key, END, 10).ids == list(range(2000, 1990, -1)) for key in keys)
    client.close()


def test_read_in_the_second_half_of_its_ttl_extends_a_timeline(memcached_server, monkeypatch):
    store = MemcachedTimelineStore(servers_at(memcached_server), 10, idle_seconds=1000)
    fill(store, "home:1", [9])
    client = client_of(memcached_server)
    name = name_of(store, "home:1")

    def left() -> int:
        return int(client.raw_command(f"mg {name} t").split(b"t")[-1])

    assert 990 < left() < 1010
    client.touch(name, 50)
    store.add(["home:1"], 10)
    assert store.read("home:1", END, 20) == Slice([10, 9], 0)
    assert left() <= 50
    monkeypatch.setattr("tweeter.backends.memcached.store._now", lambda: time.time_ns() // 1_000_000 + 600_000)
    assert store.read("home:1", END, 20) == Slice([10, 9], 0)
    assert 990 < left() < 1010
    store.remove("home:1", [9])
    assert 990 < left() < 1010
    client.close()


# the settings


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("localhost:11211 localhost:11212", [("localhost", 11211), ("localhost", 11212)]),
        (" a.example:1,\n b_2 ", [("a.example", 1), ("b_2", 11211)]),
        ("[::1]:11212 /run/memcached.sock", [("::1", 11212), "/run/memcached.sock"]),
    ],
)
def test_servers_are_written_as_host_and_port(text, expected):
    assert addresses(text) == expected


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"servers": " , "}, "at least one server"),
        ({"servers": "localhost:port"}, "'localhost:port' is no server"),
        ({"servers": "localhost:0"}, "is no server"),
        ({"servers": "localhost:70000"}, "is no server"),
        ({"servers": ":11211"}, "is no server"),
        ({"servers": "memcached://localhost"}, "is no server"),
        ({"servers": "localhost localhost:11211"}, "there twice"),
        ({"prefix": "my site:"}, "without blanks"),
        ({"prefix": "ü:"}, "ASCII"),
        ({"prefix": "x" * 101}, "at most 100"),
        ({"timeout_ms": "0"}, "at least 1"),
        ({"idle_days": "31"}, "at most 30"),
    ],
)
def test_invalid_settings_are_refused(settings, said):
    with pytest.raises(SettingError, match=said):
        with_declared({f"tweeter.memcached.{key}": value for key, value in settings.items()}, memcached)
