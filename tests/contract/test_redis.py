"""The Redis backend on one server: TCP, a socket, sentinels; and server faults."""

import time
from contextlib import closing

import pytest
import trustme
from redis import Redis as Client

from tests.support import damages
from tests.support.redis_servers import RedisSentinel
from tweeter.backends.redis import scripts
from tweeter.backends.redis.cache import RedisTweetCache
from tweeter.backends.redis.commands import appends, gets, pack
from tweeter.backends.redis.lists import entry
from tweeter.backends.redis.store import AHEAD, RedisTimelineStore
from tweeter.backends.redis.url import open_url, without_secrets
from tweeter.backends.redis.wire import Wire
from tweeter.devtools.servers import Redis, free_port
from tweeter.devtools.servers.cluster import Member
from tweeter.errors import BackendUnavailable, SettingError
from tweeter.ids import MAX_ID
from tweeter.measure import measuring
from tweeter.testing import Process, TimelineStoreSuite, TweetCacheSuite
from tweeter.testing.caches import tweet
from tweeter.testing.stores import END, fill
from tweeter.values import Cursor, Slice, Timeline, referring

TIMEOUT = 1.0


def wire_to(url: str, timeout: float = 10.0, prefix: str = "t:", site: str = "s") -> Wire:
    wire = Wire(open_url(url, timeout), timeout, prefix)
    wire.set_site(site)
    return wire


@pytest.fixture(scope="module")
def socket_server():
    class OnSocket(Member):
        @property
        def options(self):
            return ("--unixsocket", str(self.folder / "socket"), "--unixsocketperm", "777")

        @property
        def url(self):
            return f"unix://{self.folder}/socket?db=1"

    with closing(OnSocket()) as server:
        server.folder.chmod(0o755)
        server.start()
        yield server


@pytest.fixture(scope="module")
def tls_server():
    """A TLS port with a certificate of an unknown authority, besides the plain port."""
    authority = trustme.CA()
    certificate = authority.issue_cert("127.0.0.1")
    port = free_port()

    class OverTLS(Member):
        @property
        def options(self):
            files = {"cert": "server.pem", "key": "server.pem", "ca-cert": "authority.pem"}
            words = (word for name, file in files.items() for word in (f"--tls-{name}-file", str(self.folder / file)))
            return ("--tls-port", str(port), "--tls-auth-clients", "no", *words)

        @property
        def url(self):
            return f"rediss://{self.host}:{port}/0?ssl_ca_certs={self.folder}/authority.pem"

    with closing(OverTLS()) as server:
        authority.cert_pem.write_to_path(str(server.folder / "authority.pem"))
        certificate.private_key_and_cert_chain_pem.write_to_path(str(server.folder / "server.pem"))
        server.folder.chmod(0o755)
        server.start()
        yield server


@pytest.fixture
def client(redis_server):
    """A separate client on a server that is emptied before the test and repaired after it."""
    with Client(port=redis_server.port, decode_responses=True) as client:
        client.flushall()
        yield client
        client.config_set("maxmemory", "0")


@pytest.fixture
def wire(client, redis_server):
    return wire_to(redis_server.url, TIMEOUT)


@pytest.fixture
def store(wire):
    return RedisTimelineStore(wire, 10)


@pytest.fixture
def cache(wire):
    return RedisTweetCache(wire)


class Suites:
    """Needs a fixture `url`."""

    @pytest.fixture
    def make_store(self, url):
        wire = wire_to(url)
        cache = RedisTweetCache(wire)

        def make(capacity=10, backfill_seconds=30.0):
            wire.unlink_all("t:")
            return RedisTimelineStore(wire, capacity, backfill_seconds=backfill_seconds, tweets=lambda: cache.prefix)

        return make

    @pytest.fixture
    def make_cache(self, url):
        wire = wire_to(url)

        def make():
            wire.unlink_all("t:")
            return RedisTweetCache(wire)

        return make

    @pytest.fixture
    def any_client(self, url):
        with Client.from_url(url) as client:
            yield client


class StoreSuite(Suites, TimelineStoreSuite):
    @pytest.fixture
    def damages(self, any_client):
        return [
            lambda store, key, damage=damage: damage(any_client, store._prefix + key)
            for damage in damages.REDIS_TIMELINES
        ]


class CacheSuite(Suites, TweetCacheSuite):
    @pytest.fixture
    def damages(self, any_client):
        return [
            lambda cache, id_, damage=damage: damage(any_client, f"{cache.prefix}{id_}")
            for damage in damages.REDIS_TWEETS
        ]


class TestStoreOnAServer(StoreSuite):
    @pytest.fixture
    def url(self, redis_server):
        return redis_server.url


class TestCacheOnAServer(CacheSuite):
    @pytest.fixture
    def url(self, redis_server):
        return redis_server.url


class TestStoreOnASocket(StoreSuite):
    @pytest.fixture
    def url(self, socket_server):
        return socket_server.url


class TestCacheOnASocket(CacheSuite):
    @pytest.fixture
    def url(self, socket_server):
        return socket_server.url


class TestStoreOverTLS(StoreSuite):
    @pytest.fixture
    def url(self, tls_server):
        return tls_server.url


def test_server_with_untrusted_certificate_is_refused(tls_server):
    store = RedisTimelineStore(wire_to(tls_server.url.partition("?")[0]), 10)
    with pytest.raises(BackendUnavailable, match="(?i)certificate"):
        store.run_id()


# URLs


@pytest.mark.parametrize(
    ("url", "hint"),
    [
        ("http://localhost", "scheme"),
        ("redis+clutser://localhost", r"no redis\+clutser://"),
        ("redis+cluster://", "address"),
        ("redis+cluster://one:1,,two:2", "address"),
        ("redis+cluster://one:1/3", "databases"),
        ("redis+sentinel://one:1", "service"),
        ("redis+cluster://one:eins", "tweeter.redis.url"),
    ],
)
def test_invalid_url_is_rejected_at_startup(url, hint):
    with pytest.raises(SettingError, match=hint):
        open_url(url, 1)


def test_a_url_is_shown_without_secrets():
    assert without_secrets("redis://ann:secret@host:1/2?password=secret&ssl=1") == "redis://host:1/2?ssl=1"
    long = without_secrets("redis+cluster://" + ",".join(f"host-{n}.example:6379" for n in range(50)))
    assert len(long) <= 150
    assert long != without_secrets("redis+cluster://" + ",".join(f"host-{n}.example:6379" for n in range(51)))


def test_site_starts_without_its_redis_server():
    for url in ("redis://localhost:1", "redis+cluster://localhost:1,localhost:2", "redis+sentinel://localhost:1/x"):
        store = RedisTimelineStore(wire_to(url), 10)
        with pytest.raises(BackendUnavailable):
            store.run_id()
        with pytest.raises(BackendUnavailable):
            store.read("home:1", END, 20)


# fan-out


@pytest.mark.parametrize("owners", [[], [7], [1, 9, 10, 99, 100, 12345, 10**12]])
def test_a_fan_out_is_encoded_as_redis_py_would(owners):
    for element in (MAX_ID, entry(MAX_ID, 7)):
        expected = [pack("RPUSHX", f"t:s:tl:home:{owner}", element) for owner in owners]
        assert appends(b"t:s:tl:home:", owners, element) == b"".join(expected)


@pytest.mark.parametrize("ids", [[], [7], [MAX_ID, MAX_ID - 1], [12345, 9, 10**12]])
@pytest.mark.parametrize("prefix", ["t:s:tw:", "100%:"])
def test_page_request_is_encoded_as_by_redis_py(prefix, ids):
    assert gets(prefix.encode(), ids) == b"".join(pack("GET", f"{prefix}{id_}") for id_ in ids)


def test_fan_out_reaches_warm_timelines_in_any_order(store):
    for user in (3, 40, 500, 9):
        fill(store, f"home:{user}", [1])
    chunks = [[500, 3, 1000], [40], [9, 2, 8]]
    assert list(store.add_to_each("home", iter(chunks), 2)) == chunks
    for user in (3, 40, 500, 9):
        assert store.read(f"home:{user}", END, 20) == Slice([2, 1], 0)
    assert store.read("home:1000", END, 20) is None


def test_next_chunks_are_read_ahead(store):
    asked = []

    def chunks():
        for number in range(1, 20):
            asked.append(number)
            yield [number]

    writing = store.add_to_each("home", chunks(), 1)
    assert next(writing) == [1]
    assert asked == list(range(1, AHEAD + 2))
    writing.close()  # requests in progress are abandoned, and the connections stay usable
    fill(store, "home:9", [5])
    assert store.read("home:9", END, 20) == Slice([5], 0)


def test_fan_out_trims_long_timelines(store):
    users = list(range(1, 31))
    for user in users:
        fill(store, f"home:{user}", [])
    for id_ in range(1, 101):
        for _ in store.add_to_each("home", [users], id_):
            pass
    for user in users:
        kept, floor, *_ = store.read(f"home:{user}", END, 1000)
        assert kept == list(range(100, 100 - len(kept), -1))
        assert 10 <= len(kept) <= 20
        assert floor > 80


def test_two_round_trips_make_a_page(store, cache):
    tweets = {id_: tweet(id_) for id_ in range(1, 30)}
    fill(store, "home:1", list(tweets))
    cache.fill(cache.guard(tweets), tweets)
    with measuring() as meter:
        cache.get_many(store.read("home:1", END, 20).ids)
    assert meter.round_trips == 2


# what a server does


def test_the_memory_of_a_timeline(wire, client):
    store = RedisTimelineStore(wire, 800)
    newest = [MAX_ID - 4096 * n for n in range(800)]
    fill(store, "home:1", newest, newest[-1])
    assert client.memory_usage("t:s:tl:home:1", samples=0) <= 9 * 1024
    store.add(["home:2"], 1)
    assert client.memory_usage("t:s:tl:home:2") is None
    assert client.keys("t:s:tl:*") == ["t:s:tl:home:1"]


def test_unread_timelines_expire_and_read_ones_stay(wire, client):
    store = RedisTimelineStore(wire, 10, idle_seconds=100)
    fill(store, "home:1", [1])
    fill(store, "home:2", [1])
    assert 99_000 < client.pttl("t:s:tl:home:1") <= 100_000
    client.pexpire("t:s:tl:home:1", 40_000)
    store.read("home:1", END, 20)
    store.drop(["home:3"])
    store.begin_backfill("home:3")
    store.read("home:2", END, 20)
    assert client.pttl("t:s:tl:home:1") > 99_000
    assert client.pttl("t:s:tl:home:3") <= 30_000


def test_a_fill_is_not_prolonged(wire, client):
    store = RedisTimelineStore(wire, 10, idle_seconds=100)
    store.begin_backfill("home:1")
    wire.call(scripts.KEEP, "t:s:tl:home:1", 100_000)
    assert client.pttl("t:s:tl:home:1") <= 30_000


def test_flushed_server_starts_cold(store, cache, client):
    fill(store, "home:1", [1])
    token = store.begin_backfill("home:2")
    guard = cache.guard([1])
    client.flushall()
    assert store.read("home:1", END, 20) is None
    assert store.backfill("home:2", token, [1], 0) is False
    cache.fill(guard, {1: tweet(1)})
    assert cache.get_many([1]) == {}


def test_an_evicted_key_is_cold(store, client):
    fill(store, "home:1", [1])
    fill(store, "home:2", [1])
    client.delete("t:s:tl:home:1")
    store.add(["home:1", "home:2"], 2)
    assert store.read("home:1", END, 20) is None
    assert store.read("home:2", END, 20) == Slice([2, 1], 0)


def test_scripts_are_sent_again_when_the_server_forgot_them(store, cache, client):
    for _ in range(2):
        client.script_flush()
        fill(store, "home:1", [1])
        store.drop(["home:1"])
        client.script_flush()
        tweets = {id_: tweet(id_) for id_ in range(1, 4)}
        cache.fill(cache.guard(tweets), tweets)
        assert cache.get_many(tweets) == tweets
        cache.invalidate(tweets)


def test_refused_appends_are_repeated_with_their_reference(store, client):
    for user in (1, 2):
        fill(store, f"home:{user}", [9])
    client.delete("t:s:tl:home:1")
    client.set("t:s:tl:home:1", "damaged")
    assert list(store.add_to_each("home", [[1, 2]], 10, 7)) == [[1, 2]]
    assert not client.exists("t:s:tl:home:1")
    assert store.read("home:2", END, 20) == Slice([10, 9], 0, None, {10: 7})


def test_the_memory_of_references(wire, client):
    store = RedisTimelineStore(wire, 800)
    newest = [MAX_ID - 4096 * n for n in range(800)]
    fill(store, "home:1", newest, newest[-1], {id_: id_ - 1 for id_ in newest})
    assert client.memory_usage("t:s:tl:home:1", samples=0) <= 36 * 800 + 4096


@pytest.mark.parametrize("damage", [None, "", ".07", ".0", "x"])
@pytest.mark.parametrize("first", [1, 10**15])
def test_a_trim_keeps_references_and_drops_a_list_with_another_text(wire, client, first, damage):
    """Ids of one length and of several; the text is among the ids that are dropped."""
    store = RedisTimelineStore(wire, 100)
    newest = range(first, first + 250)
    of = {id_: MAX_ID - id_ for id_ in newest if id_ % 3}
    fill(store, "home:1", list(newest), of=of)
    if damage is not None:
        client.linsert("t:s:tl:home:1", "after", "0", f"{first}.07{damage}")
    store._trim(["t:s:tl:home:1"])
    kept = list(newest)[:-101:-1]
    if damage:
        assert not client.exists("t:s:tl:home:1")
    else:
        assert store.read("home:1", END, 1000) == Slice(kept, kept[-1], None, referring(kept, of))


def test_full_server_is_unavailable(store, cache, client):
    fill(store, "home:1", [1])
    fill(store, "home:2", [1])
    client.config_set("maxmemory-policy", "noeviction")
    client.config_set("maxmemory", "1")
    for write in (
        lambda: store.add(["home:1"], 2),
        lambda: list(store.add_to_each("home", [[1, 2], [3]], 2)),
        lambda: store.begin_backfill("home:3"),
        lambda: cache.guard([1]),
        lambda: store.run_id(),
    ):
        with pytest.raises(BackendUnavailable, match="OOM"):
            write()
    client.config_set("maxmemory", "0")
    assert list(store.add_to_each("home", [[1, 2], [3]], 2)) == [[1, 2], [3]]
    assert store.read("home:1", END, 20) == Slice([2, 1], 0)
    assert store.read("home:2", END, 20) == Slice([2, 1], 0)


def test_a_server_that_hangs(store, cache, redis_server):
    fill(store, "home:1", [1])
    redis_server.pause()
    try:
        for ask in (
            lambda: store.read("home:1", END, 20),
            lambda: cache.get_many([1]),
            lambda: store.add(["home:1"], 2),
            lambda: list(store.add_to_each("home", [[1], [2]], 2)),
            store.run_id,
        ):
            began = time.monotonic()
            with pytest.raises(BackendUnavailable):
                ask()
            assert time.monotonic() - began < 2 * TIMEOUT + 0.2
    finally:
        redis_server.resume()
    assert store.read("home:1", END, 20).ids[-1] == 1


# damaged values


@pytest.mark.parametrize("number", range(len(damages.REDIS_TIMELINES)))
def test_damaged_key_in_a_fan_out(store, client, number):
    """Hundreds of other keys are written and trimmed; the damaged one is cold, at the latest at the next read."""
    users = list(range(1, 601))
    with client.pipeline(transaction=False) as pipe:
        for user in users:
            pipe.rpush(f"t:s:tl:home:{user}", 0, *range(10, 31))
        pipe.execute()
    damages.REDIS_TIMELINES[number](client, "t:s:tl:home:300")
    for id_ in range(100, 130):
        assert list(store.add_to_each("home", [users[:400], users[400:]], id_)) == [users[:400], users[400:]]
        store.add(["home:1", "home:300"], id_)
    assert store.read("home:300", END, 20) is None
    for user in (1, 299, 301, 600):
        assert store.read(f"home:{user}", END, 5).ids == [129, 128, 127, 126, 125]
    fill(store, "home:300", [7])
    assert store.read("home:300", END, 20) == Slice([7], 0)


@pytest.mark.parametrize("number", range(len(damages.REDIS_TIMELINES)))
def test_a_damaged_key_when_a_timeline_is_trimmed(store, client, number):
    """Capacity 10: the script checks timelines that are too long."""
    for before_id in (0, 5):
        damages.REDIS_TIMELINES[number](client, "t:s:tl:home:1")
        fill(store, "home:2", [9, 3])
        store._trim(["t:s:tl:home:1", "t:s:tl:home:2"], before_id)
        assert store.read("home:1", END, 20) is None
        assert store.read("home:2", END, 20).ids == ([9, 3] if not before_id else [9])
        store.drop(["home:2"])


def test_a_damaged_key_does_not_fail_the_read_that_keeps_it_alive(store, client):
    fill(store, "home:1", [1])
    fill(store, "home:2", [2])
    client.pexpire("t:s:tl:home:1", 40_000)
    assert store.read("home:1", END, 20) == Slice([1], 0)
    client.set("t:s:tl:home:1", "x")
    assert store.read("home:2", END, 20) == Slice([2], 0)
    assert client.exists("t:s:tl:home:1") == 0


def test_timeline_without_expiry_gets_one_when_read(store, client):
    fill(store, "home:1", [1])
    client.persist("t:s:tl:home:1")
    for _ in range(2):
        store.read("home:1", END, 20)
    assert client.pttl("t:s:tl:home:1") > 0


def test_restarted_server_is_rejected():
    with closing(Redis()) as server:
        server.start()
        store = RedisTimelineStore(wire_to(server.url, TIMEOUT), 10)
        cache = RedisTweetCache(store._wire)
        before = store.run_id()
        store.fence(before)
        fill(store, "home:1", [1])
        assert store.run_id() == before
        server.stop()
        server.start()
        for ask in (lambda: store.read("home:1", END, 20), lambda: cache.get_many([1]), lambda: store.add(["x"], 1)):
            with pytest.raises(BackendUnavailable):
                ask()
        now = store.run_id()
        assert now != before
        store.fence(now)
        assert store.read("home:1", END, 20) is None


def test_a_connection_closed_by_the_server_is_opened_again(store, client):
    store.fence(store.run_id())
    fill(store, "home:1", [1])
    client.client_kill_filter(_type="normal", skipme=True)
    assert store.read("home:1", END, 20) == Slice([1], 0)


# the whole site during a failover


@pytest.fixture(scope="module")
def sentinel():
    with closing(RedisSentinel()) as servers:
        servers.start()
        yield servers


def test_a_failover_by_sentinels_starts_cold(sentinel, sqlite_url):
    settings = {"tweeter.redis.url": sentinel.url, "tweeter.capacity": "10"}
    sql, one = Process(sqlite_url, "sql"), Process(sqlite_url, "redis", **settings)
    with closing(sql), closing(one):
        with one.acting() as actions:
            ann, bob = actions.sign_up("ann", "password").id, actions.sign_up("bob", "password").id
            actions.follow(ann, "bob")

        def same() -> None:
            for timeline in (Timeline("home", ann), Timeline("public"), Timeline("profile", bob)):
                assert one.timelines.page(timeline, Cursor()) == sql.timelines.page(timeline, Cursor())

        def post() -> None:
            for _ in range(3):
                with one.acting() as actions:
                    actions.post(bob, "hello")

        post()
        assert one.delivery.drain(10)
        same()
        sentinel.master.kill()
        same()
        post()
        same()
        assert one.delivery.drain(20)
        assert one.timelines.live()
        same()
        post()
        assert one.delivery.drain(10)
        same()
        assert one.timelines.peek(Timeline("home", ann)).ids
