"""The Redis backend on a cluster of three masters and three replicas: migrating slots, and a master that dies."""

import random
import threading
import time
from contextlib import closing, contextmanager

import pytest
from hypothesis import HealthCheck, settings
from hypothesis.stateful import run_state_machine_as_test
from pyramid.registry import Registry
from redis.cluster import RedisCluster as ClusterClient

from tests.contract.test_redis import CacheSuite, StoreSuite, wire_to
from tests.support.redis_servers import SLOTS, RedisCluster
from tweeter.backends.redis.cache import RedisTweetCache
from tweeter.backends.redis.cluster import key_slot
from tweeter.backends.redis.store import RedisTimelineStore
from tweeter.devtools.servers import free_port
from tweeter.errors import BackendUnavailable
from tweeter.lab.cards import talk
from tweeter.measure import measuring
from tweeter.outbox.site import site_id
from tweeter.testing import Process, Site, one_answer
from tweeter.testing.caches import tweet
from tweeter.testing.stores import END, fill
from tweeter.values import Cursor, Slice, Timeline

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def cluster():
    with closing(RedisCluster()) as cluster:
        cluster.start()
        yield cluster


@pytest.fixture
def url(cluster):
    cluster.flush()
    return cluster.url


@pytest.fixture
def store(url):
    return RedisTimelineStore(wire_to(url), 10)


def test_the_card_of_the_lab_lists_the_masters(cluster, store):
    store.set_site("site")
    [card] = [card for card in talk() if card.name == "cluster"]
    registry = Registry()
    registry.settings = {"tweeter.redis.url": cluster.url}
    assert card.configured(registry.settings)
    listed = dict(card.figures(registry))
    assert listed.keys() == {f"Master {each.host}:{each.port}" for each in cluster.masters}
    assert all(value.endswith(" keys") for value in listed.values())
    registry.settings["tweeter.redis.url"] = f"redis+cluster://127.0.0.1:{free_port()}"
    [(what, _)] = card.figures(registry)
    assert what == "No master responds"


class OnACluster:
    @pytest.fixture
    def any_client(self, cluster):
        member = cluster.masters[0]
        with closing(ClusterClient(host=member.host, port=member.port)) as client:
            yield client


class TestStoreOnACluster(OnACluster, StoreSuite):
    pass


class TestCacheOnACluster(OnACluster, CacheSuite):
    pass


def test_pages_equal_sql_after_every_step(sqlite_url, url):
    own = {"tweeter.capacity": "5", "tweeter.redis.url": url}
    with closing(Site(sqlite_url, ["sql", "redis", "redis"], **own)) as site:
        run_state_machine_as_test(
            one_answer(site, ["sql", "redis", "memory"]),
            settings=settings(
                max_examples=6, stateful_step_count=15, deadline=None, suppress_health_check=list(HealthCheck)
            ),
        )


def test_keys_are_spread_and_a_page_is_two_exchanges(cluster, store, url):
    users = list(range(1, 301))
    for user in users:
        fill(store, f"home:{user}", [1])
    with measuring() as meter:
        assert list(store.add_to_each("home", [users], 2)) == [users]
    assert meter.round_trips == 1
    assert all(store.read(f"home:{user}", END, 20) == Slice([2, 1], 0) for user in users)
    for master in cluster.masters:
        assert int(master.do("DBSIZE")) > 60
    cache = RedisTweetCache(store._wire)
    tweets = {id_: tweet(id_) for id_ in range(1, 30)}
    cache.fill(cache.guard(tweets), tweets)
    with measuring() as meter:
        assert cache.get_many(store.read("home:1", END, 20).ids).keys() == {1, 2}
    assert meter.round_trips == 2


def test_hash_tag_in_the_prefix_keeps_all_keys_in_one_slot(url):
    store = RedisTimelineStore(wire_to(url, prefix="{t}:"), 10)
    assert store.run_id()
    fill(store, "home:5", [1])
    assert list(store.add_to_each("home", [[5, 6]], 2)) == [[5, 6]]
    assert store.read("home:5", END, 20) == Slice([2, 1], 0)


@contextmanager
def migrating(slot, source, target):
    """A migrating slot whose keys have not moved."""
    target.do("CLUSTER SETSLOT", slot, "IMPORTING", source.id)
    source.do("CLUSTER SETSLOT", slot, "MIGRATING", target.id)
    yield
    for member in (source, target):
        member.do("CLUSTER SETSLOT", slot, "STABLE")


def test_migrating_slot(cluster, store):
    """Some keys are on the source node, others on the target, and new ones are created on the target."""
    slot = key_slot(b"t:s:tl:home:1")
    source = cluster.owner(slot)
    target = next(master for master in cluster.masters if master is not source)
    store.fence(store.run_id())
    fill(store, "home:1", [1])
    with migrating(slot, source, target):
        source.do("SCRIPT FLUSH")
        target.do("SCRIPT FLUSH")
        store.add(["home:1"], 2)
        assert store.read("home:1", END, 20) == Slice([2, 1], 0)
        source.do("MIGRATE", target.host, target.port, "t:s:tl:home:1", 0, 5000)
        assert list(store.add_to_each("home", [[1, 2]], 3)) == [[1, 2]]
        assert store.read("home:1", END, 20) == Slice([3, 2, 1], 0)
        for id_ in range(4, 40):
            store.add(["home:1"], id_)
        assert store.read("home:1", END, 3).ids == [39, 38, 37]
        store.drop(["home:1"])
        assert store.read("home:1", END, 20) is None
        fill(store, "home:1", [7])
        assert store.read("home:1", END, 20) == Slice([7], 0)
        store.truncate(6)
        store.clear()
        assert store.read("home:1", END, 20) is None


def test_moved_slot_is_found_without_opening_the_circuit(cluster, store):
    before = store.run_id()
    store.fence(before)
    users = range(1, 200)
    for user in users:
        fill(store, f"home:{user}", [1])
    for user in range(1, 20):
        slot = key_slot(f"t:s:tl:home:{user}".encode())
        source = cluster.owner(slot)
        cluster.move(slot, source, next(master for master in cluster.masters if master is not source))
    assert list(store.add_to_each("home", [users], 2)) == [users]
    for user in users:
        assert store.read(f"home:{user}", END, 20) == Slice([2, 1], 0)
    assert store.run_id() == before


def test_clearing_includes_keys_of_migrating_slots(cluster, store):
    """A scan misses a key that moves from an unscanned node to one that has been scanned."""
    store.fence(store.run_id())
    first, *_, last = store._wire.topology.nodes()
    members = {f"{member.host}:{member.port}": member for member in cluster.members}
    source, target = members[last.name], members[first.name]
    user = next(n for n in range(1, 10_000) if cluster.owner(key_slot(f"t:s:tl:home:{n}".encode())) is source)
    slot = key_slot(f"t:s:tl:home:{user}".encode())
    fill(store, f"home:{user}", [1])
    other = next(n for n in range(1, 10_000) if cluster.owner(key_slot(f"t:s:tl:home:{n}".encode())) is target)
    fill(store, f"home:{other}", [1])
    scanned = store._wire.scan

    def scan(prefix):
        for moved, names in enumerate(scanned(prefix)):
            if not moved:
                cluster.move(slot, source, target)
            yield names

    store._wire.scan = scan
    store.clear()
    assert store.read(f"home:{user}", END, 20) is None


def test_slots_are_those_of_the_protocol():
    assert key_slot(b"123456789") == 0x31C3 % SLOTS


def test_single_server_url_to_a_cluster_is_reported(cluster):
    member = next(member for member in cluster.running)
    store = RedisTimelineStore(wire_to(f"redis://{member.host}:{member.port}"), 10)
    with pytest.raises(BackendUnavailable, match=r"redis\+cluster://"):
        for user in range(10):
            store.read(f"home:{user}", END, 20)


def test_no_loss_or_duplicates_while_slots_move_and_a_master_dies(cluster, sqlite_url, url):
    """Must be the last test: one member is missing after it."""
    own = {"tweeter.redis.url": url, "tweeter.redis.prefix": "t:", "tweeter.capacity": "30"}
    sql = Process(sqlite_url, "sql")
    sites = [Process(sqlite_url, "redis", **own) for _ in range(2)]
    with closing(sql), closing(sites[0]), closing(sites[1]):
        people = {}
        for number in range(12):
            with sites[0].acting() as actions:
                people[actions.sign_up(f"u{number}", "password").id] = f"u{number}"
        with sites[0].acting() as actions:
            for one in people:
                for other in people:
                    if one != other:
                        actions.follow(one, people[other])
        keys = f"t:{site_id(sql.sessions)}:tl:"
        timelines = list(sql.kinds.timelines(people))

        def differences() -> list[str]:
            wrong = []
            for timeline in timelines:
                expected = sql.walk(timeline, 15)
                wrong += [timeline.key for site in sites if site.walk(timeline, 15) != expected]
            return wrong

        assert not differences()
        stopped = threading.Event()
        errors: list[BaseException] = []
        posted = [0] * 4

        def live(seed: int) -> None:
            chance = random.Random(seed)
            site = sites[seed % 2]
            while not stopped.is_set():
                try:
                    who = chance.choice(sorted(people))
                    with site.acting() as actions:
                        actions.post(who, f"{chance.random()}")
                    posted[seed] += 1
                    for _ in range(3):
                        site.timelines.page(chance.choice(timelines), Cursor(limit=20))
                except BaseException as error:
                    errors.append(error)
                time.sleep(0.02)

        threads = [threading.Thread(target=live, args=(seed,)) for seed in range(4)]
        for thread in threads:
            thread.start()
        try:
            for timeline in timelines:
                slot = key_slot(f"{keys}{timeline.key}".encode())
                source = cluster.owner(slot)
                target = next(master for master in cluster.masters[::-1] if master is not source)
                cluster.move(slot, source, target, pause=0.01)
            trusted = [site.timelines.live() for site in sites]
            before = sum(posted)
            stopped.set()
            for thread in threads:
                thread.join()
            assert not errors
            assert not differences()
            assert any(trusted)  # moving slots is no reason to start cold

            stopped.clear()
            threads = [threading.Thread(target=live, args=(seed,)) for seed in range(4)]
            for thread in threads:
                thread.start()
            time.sleep(0.3)
            cluster.owner(key_slot(f"{keys}public".encode())).kill()
            time.sleep(1.5)
            cluster.wait_until_whole()
            time.sleep(1)
        finally:
            stopped.set()
            for thread in threads:
                thread.join()
        assert not errors
        assert sum(posted) > before + 4
        assert not differences()
        assert all(site.timelines.live() for site in sites)
        assert all(sites[0].timelines.peek(Timeline("home", user)) for user in people)
