"""The Redis backend on a cluster of three masters and three replicas: migrating slots, and a master that dies."""

import random
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from itertools import permutations

import pytest
from hypothesis import HealthCheck, settings
from hypothesis.stateful import run_state_machine_as_test
from pyramid.registry import Registry
from redis.cluster import RedisCluster as ClusterClient
from sqlalchemy import insert

from tests.contract.test_redis import CacheSuite, StoreSuite, wire_to
from tests.support.children import Child, act, ask, chunks, live, peeks, post_and_read, walks, warm
from tweeter.backends.redis.cache import RedisTweetCache
from tweeter.backends.redis.cluster import key_slot
from tweeter.backends.redis.store import RedisTimelineStore
from tweeter.devtools.servers import free_port
from tweeter.devtools.servers.cluster import SLOTS, RedisCluster
from tweeter.devtools.servers.workers import CeleryWorker
from tweeter.errors import BackendUnavailable
from tweeter.lab.cards import talk
from tweeter.measure import measuring
from tweeter.models import Relationship, User
from tweeter.outbox.site import site_id
from tweeter.testing import Process, Site, one_answer
from tweeter.testing.caches import tweet
from tweeter.testing.process import CHEAP
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
    del store._wire.scan  # a cycle would leave the sockets to the garbage collector, which warns
    assert store.read(f"home:{user}", END, 20) is None


def test_slots_are_those_of_the_protocol():
    assert key_slot(b"123456789") == 0x31C3 % SLOTS


def test_single_server_url_to_a_cluster_is_reported(cluster):
    member = next(member for member in cluster.running)
    store = RedisTimelineStore(wire_to(f"redis://{member.host}:{member.port}"), 10)
    with pytest.raises(BackendUnavailable, match=r"redis\+cluster://"):
        for user in range(10):
            store.read(f"home:{user}", END, 20)


PEOPLE, STAR = range(1, 9), 9  # all follow each other
FANS = range(100, 620)  # of the star: workers fan her tweets out, in two chunks
FEW = 30  # ids in a timeline


@pytest.fixture
def worker(cluster, url, redis_server, postgresql_url, tmp_path):
    """A worker, and the settings of its site."""
    own = {
        "tweeter.redis.url": url,
        "tweeter.redis.prefix": "t:",
        "tweeter.capacity": str(FEW),
        "tweeter.delivery": "celery",
        "tweeter.celery.broker": redis_server.url,
        "tweeter.celery.chunk": "300",
        "tweeter.celery.patience": "3",
    }
    worker = CeleryWorker({"sqlalchemy.url": postgresql_url, "tweeter.timelines": "redis", **CHEAP, **own}, tmp_path)
    worker.start()
    yield own
    worker.kill()


def follow_each_other(sql):
    with sql.sessions() as session:
        named = [{"id": n, "username": f"u{n}", "display_name": "x"} for n in (*PEOPLE, STAR, *FANS)]
        session.execute(insert(User), [each | {"username_key": each["username"]} for each in named])
        follows = [*permutations([*PEOPLE, STAR], 2), *((fan, STAR) for fan in FANS)]
        session.execute(insert(Relationship), [{"from_user_id": a, "to_user_id": b} for a, b in follows])
        session.commit()


@contextmanager
def living(sites, timelines):
    """Four threads post and read in two processes. Yields the list of their tweets' authors, which grows.

    Raises their errors at the end.
    """
    stopped = threading.Event()
    posted = []

    def live(seed):
        chance = random.Random(seed)
        with sites[seed % 2].connect() as connection:
            while not stopped.is_set():
                author = chance.choice([*PEOPLE, STAR, STAR])
                ask(connection, post_and_read, author, f"{chance.random()}", chance.sample(timelines, 2))
                posted.append(author)
                time.sleep(0.05)

    with ThreadPoolExecutor(4) as pool:
        try:
            lives = [pool.submit(live, seed) for seed in range(4)]
            yield posted
        finally:
            stopped.set()
    for each in lives:
        each.result()


def test_no_loss_or_duplicates_while_slots_move_and_a_master_dies(cluster, postgresql_url, worker):
    """Must be the last test: one member is missing after it. Two processes of the site, and workers for the star."""
    sql = Process(postgresql_url, "sql")
    sites = [Child(postgresql_url, "redis", **worker) for _ in range(2)]
    with closing(sql), closing(sites[0]), closing(sites[1]):
        follow_each_other(sql)
        keys = f"t:{site_id(sql.sessions)}:tl:"
        timelines = list(sql.kinds.timelines([*PEOPLE, STAR]))
        homes = [Timeline("home", fan) for fan in FANS]

        def done(what="done"):
            return sum(site.do(chunks, "redis", what) for site in sites)

        def differences():
            expected = [sql.walk(timeline, 15) for timeline in timelines]
            for site in sites:
                for timeline, pages, right in zip(timelines, site.do(walks, timelines, 15), expected, strict=True):
                    if pages != right:
                        yield timeline.key
            ids = [tweet.id for tweet in sql.page(homes[0], Cursor(limit=FEW)).tweets]
            for home, held in zip(homes, sites[0].do(peeks, homes), strict=True):
                if held is not None and held[: len(ids)] != ids:
                    yield home.key

        sites[0].do(warm, homes)
        assert not [*differences()]
        assert all(each is not None for each in sites[0].do(peeks, homes))
        with living(sites, timelines) as posted:
            for timeline in (*timelines, *homes[:5]):
                slot = key_slot(f"{keys}{timeline.key}".encode())
                source = cluster.owner(slot)
                target = next(master for master in cluster.masters[::-1] if master is not source)
                cluster.move(slot, source, target, pause=0.01)
            trusted = [site.do(live) for site in sites]
        assert not [*differences()]
        assert any(trusted)  # moving slots is no reason to start cold
        assert all(each is not None for each in sites[0].do(peeks, homes))
        assert done() >= posted.count(STAR) > 0
        assert done("cold") == 0

        with living(sites, timelines) as posted:
            time.sleep(0.3)
            cluster.owner(key_slot(f"{keys}public".encode())).kill()
            time.sleep(1.5)
            cluster.wait_until_whole()
            time.sleep(1)
        assert len(posted) > 4
        assert not [*differences()]
        assert all(site.do(live) for site in sites)
        assert all(sites[0].do(peeks, [Timeline("home", user) for user in PEOPLE]))

        sites[0].do(warm, homes)
        before, deadline = done(), time.monotonic() + 30
        while done() == before:  # a relay that missed the workers for some seconds tries them again later
            assert time.monotonic() < deadline
            tweet = sites[1].do(act, "post", STAR, "x")
            assert not [*differences()]
        assert all(tweet in ids for ids in sites[0].do(peeks, homes))
