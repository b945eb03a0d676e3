"""Timelines and tweets in memcached: real servers (killed, hung, full), and fake ones with invalid responses."""

import contextlib
import itertools
import os
import random
import re
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import closing
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis.stateful import run_state_machine_as_test
from pymemcache.client.base import Client
from pymemcache.exceptions import MemcacheIllegalInputError

from tests.support import damages
from tweeter import measure
from tweeter.backends import memcached
from tweeter.backends.memcached import addresses
from tweeter.backends.memcached.cache import MemcachedTweetCache
from tweeter.backends.memcached.client import EPOCH, RUN, Servers
from tweeter.backends.memcached.store import MemcachedTimelineStore
from tweeter.devtools.servers import Memcached
from tweeter.errors import BackendUnavailable, SettingError
from tweeter.ids import MAX_ID
from tweeter.plugins import with_declared
from tweeter.testing import Process, Site, TimelineStoreSuite, TweetCacheSuite, one_answer
from tweeter.testing.caches import tweet
from tweeter.testing.stores import fill, together
from tweeter.values import Cursor, Slice, Timeline

END = MAX_ID + 1
TIMEOUT = 1.0
numbers = itertools.count()


class Small(Memcached):
    """It has a few pages of memory, and rejects writes instead of evicting."""

    def command(self):
        return [*super().command()[:-1], "4", "-M"]


@pytest.fixture(scope="module")
def trio(memcached_server) -> Iterator[list[Memcached]]:
    with closing(Memcached()) as second, closing(Memcached()) as third:
        second.start()
        third.start()
        yield [memcached_server, second, third]


@pytest.fixture
def own_server() -> Iterator[Memcached]:
    """A server that tests may break."""
    with closing(Memcached()) as server:
        server.start()
        yield server


def servers_at(*servers: Memcached, prefix: str | None = None, timeout: float = TIMEOUT, site: str = "s") -> Servers:
    """As in a process of the site; with separate keys unless a prefix is given."""
    return at([(server.host, server.port) for server in servers], prefix or f"t{next(numbers)}:", timeout, site)


def at(addresses: list[Any], prefix: str = "x:", timeout: float = TIMEOUT, site: str = "s") -> Servers:
    servers = Servers(addresses, prefix, timeout)
    servers.set_site(site)
    return servers


def store_at(*servers: Memcached, capacity: int = 10, **options: Any) -> Any:
    return MemcachedTimelineStore(servers_at(*servers, **options), capacity)


def hang(server: Memcached) -> None:
    """Returns once the condition holds."""
    server.pause()
    assert server._process
    os.waitid(os.P_PID, server._process.pid, os.WSTOPPED | os.WNOWAIT)


def client_of(server: Memcached) -> Client:
    return Client((server.host, server.port), timeout=5, connect_timeout=5, no_delay=True, default_noreply=False)


def name_of(store: Any, key: str) -> str:
    """The current memcached name of a key. The store has one server."""
    [epoch] = store._servers._epochs
    return str(store._name(epoch, key).decode())


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


# several processes


def test_clearing_is_visible_to_all_processes_at_once(trio):
    one, other = (store_at(*trio, prefix=f"{trio[1].port}clear:") for _ in range(2))
    keys = [f"home:{user}" for user in range(20)]
    for key in keys:
        fill(one, key, [1])
    assert all(other.read(key, END, 20) == Slice([1], 0) for key in keys)
    token = other.begin_backfill("home:99")
    one.clear()
    assert not any(other.read(key, END, 20) for key in keys)
    assert not other.backfill("home:99", token, [1], 0)
    for key in keys:
        fill(one, key, [2])
    one.clear()
    for key in keys:
        fill(one, key, [2])
    other.add(keys, 3)  # under the names of an old generation, unless they are read
    assert all(one.read(key, END, 20) == Slice([3, 2], 0) for key in keys)
    one.clear()
    for key in keys:
        fill(one, key, [2])
    other.drop(keys)
    assert not any(one.read(key, END, 20) for key in keys)


def test_a_timeline_that_was_filled_after_a_truncation_is_not_touched_by_it(memcached_server):
    store = store_at(memcached_server)
    fill(store, "home:1", [9, 3])
    store.truncate(6)
    fill(store, "home:2", [9, 3])
    store.truncate(4)
    assert store.read("home:1", END, 20) == Slice([9], 6)
    assert store.read("home:2", END, 20) == Slice([9, 3], 0)


def test_run_id_stays_while_the_servers_keep_their_memory(trio):
    one, other = (store_at(*trio, prefix=f"{trio[1].port}run:") for _ in range(2))
    run_id = one.run_id()
    assert len(set(run_id.split())) == 3
    one.clear()
    one.truncate(5)
    assert one.run_id() == other.run_id() == run_id


def test_fenced_store_rejects_another_run(own_server):
    servers = servers_at(own_server)
    store, cache = MemcachedTimelineStore(servers, 10), MemcachedTweetCache(servers)
    before = store.run_id()
    store.fence(before)
    fill(store, "home:1", [9])
    guard = cache.guard([1])
    own_server.kill()
    own_server.start()
    for attempt in (
        lambda: store.read("home:1", END, 20),
        lambda: store.begin_backfill("home:1"),
        lambda: store.add(["home:1"], 9),
        lambda: store.remove("home:1", [9]),
        lambda: store.drop(["home:1"]),
        lambda: store.truncate(5),
        lambda: store.clear(),
        lambda: cache.get_many([1]),
        lambda: cache.guard([1]),
        lambda: cache.fill(guard, {1: None}),
        lambda: cache.invalidate([1]),
        lambda: cache.clear(),
    ):
        with pytest.raises(BackendUnavailable, match="started again"):
            attempt()
    after = store.run_id()
    assert after != before
    with pytest.raises(BackendUnavailable, match="started again"):
        store.read("home:1", END, 20)
    store.fence(after)
    assert store.read("home:1", END, 20) is None


def test_a_store_is_named_after_its_servers():
    def identity(*ports: int, prefix: str = "tweeter:") -> str:
        return MemcachedTimelineStore(Servers([("host", port) for port in ports], prefix, 1), 10).identity

    assert identity(1, 2) == "memcached host:1 host:2 tweeter:"
    many = [identity(1), identity(1, 2), identity(2, 1), identity(1, prefix="t"), identity(*range(50))]
    assert len(set(many)) == len(many)
    assert max(map(len, many)) <= 200


# servers that are down, hang or send invalid responses


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


@contextlib.contextmanager
def saying(*answers: bytes, pause: float = 0.0) -> Iterator[int]:
    """A server that sends these responses to any requests, and repeats the last one."""
    stopped = threading.Event()
    accepted: list[socket.socket] = []

    def serve(connection: socket.socket) -> None:
        with connection, contextlib.suppress(OSError):
            for answer in itertools.chain(answers, itertools.repeat(answers[-1])):
                if not answer or stopped.wait(pause) or not connection.recv(100_000):
                    return
                connection.sendall(answer)
                while pause and not stopped.wait(pause):
                    connection.sendall(answer)

    def accept() -> None:
        with contextlib.suppress(OSError):
            while not stopped.is_set():
                accepted.append(listening.accept()[0])
                threads.append(threading.Thread(target=serve, args=(accepted[-1],)))
                threads[-1].start()

    with socket.create_server(("127.0.0.1", 0)) as listening:
        threads = [threading.Thread(target=accept)]
        threads[0].start()
        try:
            yield listening.getsockname()[1]
        finally:
            stopped.set()
            for end in (listening, *accepted):
                with contextlib.suppress(OSError):
                    end.shutdown(socket.SHUT_RDWR)
    for thread in threads:
        thread.join()


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


# many at once


def test_eight_threads_get_no_wrong_values(trio):
    servers = servers_at(*trio, timeout=5)
    store: Any = MemcachedTimelineStore(servers, 50)
    cache = MemcachedTweetCache(servers)
    tweets = {id_: tweet(id_) for id_ in range(1, 200)}
    cache.fill(cache.guard(tweets), tweets)
    keys = {f"home:{user}": {user, user + 1000} for user in range(1, 40)}
    for key, ids in keys.items():
        fill(store, key, sorted(ids))

    def work(number: int) -> None:
        chance = random.Random(number)
        for _ in range(60):
            ids = chance.sample(range(1, 300), 20)
            assert cache.get_many(ids) == {id_: tweets[id_] for id_ in ids if id_ in tweets}
            key = chance.choice(sorted(keys))
            assert keys[key] <= set(store.read(key, END, 20).ids) <= keys[key] | {5000}
            store.add(chance.sample(sorted(keys), 5), 5000)
            if number == 0:
                store.remove(key, [5000])

    together(8, work)


# the whole


def settings_at(*servers: Memcached, **more: str) -> dict[str, str]:
    return {
        "tweeter.memcached.servers": " ".join(server.address for server in servers),
        "tweeter.memcached.prefix": f"{servers[-1].port}-{next(numbers)}:",
        "tweeter.memcached.timeout_ms": "2000",
        **more,
    }


def test_a_warm_page_takes_two_round_trips_and_no_sql(sqlite_url, trio):
    process = Process(sqlite_url, "memcached", **settings_at(*trio))
    with process.acting() as actions:
        ann = actions.sign_up("ann", "password").id
        for _ in range(30):
            actions.post(ann, "hello")
    page = process.page(Timeline("home", ann), Cursor())
    with measure.measuring() as meter:
        assert process.timelines.page(Timeline("home", ann), Cursor()) == page
    assert len(page.tweets) == 20
    assert (meter.served_by, meter.round_trips, meter.sql) == ("memcached", 2, 0)
    process.close()


def test_pages_match_sql_under_server_faults(sqlite_url, trio):
    site = Site(sqlite_url, ["sql", "memcached", "memcached"], **settings_at(*trio, **{"tweeter.capacity": "5"}))
    run_state_machine_as_test(
        one_answer(site, ["sql", "memcached", "memory"]),
        settings=settings(
            max_examples=4,
            stateful_step_count=10,
            deadline=None,
            suppress_health_check=list(HealthCheck),
            database=None,
        ),
    )
    site.close()


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
