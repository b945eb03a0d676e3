"""Timelines in memcached: several processes, many threads, whole sites."""

import random
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis.stateful import run_state_machine_as_test

from tests.support.memcached_stores import END, numbers, own_server, servers_at, store_at, trio  # noqa: F401
from tweeter import measure
from tweeter.backends.memcached.cache import MemcachedTweetCache
from tweeter.backends.memcached.client import Servers
from tweeter.backends.memcached.store import MemcachedTimelineStore
from tweeter.devtools.servers import Memcached
from tweeter.errors import BackendUnavailable
from tweeter.testing import Process, Site, one_answer
from tweeter.testing.caches import tweet
from tweeter.testing.stores import fill, together
from tweeter.values import Cursor, Slice, Timeline

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
