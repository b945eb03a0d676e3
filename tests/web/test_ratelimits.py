"""Rate limits: what they count, in which storage, and behaviour with an unavailable or damaged storage."""

import math
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from typing import Any

import pytest
import webtest
from hypothesis import given
from hypothesis import strategies as st
from limits.storage import MemoryStorage, Storage
from pymemcache import Client as MemcachedClient
from pyramid.router import Router
from redis import Redis as RedisClient

from tests.conftest import running, settings_of
from tests.support.people import PASSWORD, Browser, Person
from tweeter.backends import memcached, redis
from tweeter.devtools.proxy import Proxy
from tweeter.devtools.servers import Memcached, Redis
from tweeter.devtools.servers.cluster import RedisCluster
from tweeter.errors import SettingError, TooManyRequests
from tweeter.plugins import with_declared
from tweeter.web.ratelimits import RateLimits, parse, until_room

STORAGES = ["memory", "redis", "memcached"]
MakeStorage = Callable[..., Storage]


@pytest.fixture(params=STORAGES)
def make_storage(request: pytest.FixtureRequest) -> MakeStorage:
    """`make_storage(prefix)` is one storage as seen by another process, of each type in turn."""
    if request.param == "memory":
        memory = MemoryStorage()
        return lambda prefix="t:": memory
    settings = settings_of_server(request, request.param)
    backend: Any = {"redis": redis, "memcached": memcached}[request.param]
    return lambda prefix="t:": storage_of(backend, settings | {f"tweeter.{request.param}.prefix": prefix})


def storage_of(backend: Any, settings: dict[str, str]) -> Storage:
    """The storage that a backend's module creates from these settings."""
    storage: Storage = backend.limits_storage(with_declared(settings, backend))
    return storage


def settings_of_server(request: pytest.FixtureRequest, backend: str) -> dict[str, str]:
    """Of an empty server."""
    server = request.getfixturevalue(f"{backend}_server")
    if backend == "redis":
        with RedisClient(host=server.host, port=server.port) as client:
            client.flushall()
        return {"tweeter.redis.url": server.url}
    with closing(MemcachedClient((server.host, server.port))) as client:
        client.flush_all(noreply=False)
    return {"tweeter.memcached.servers": server.address}


def fill(rates: RateLimits, *key: str) -> int:
    """The number of accepted requests."""
    for number in range(1000):
        try:
            rates.hit(*key)
        except TooManyRequests:
            return number
    raise AssertionError("nothing is refused")


# what is counted


def test_requests_over_the_limit_are_refused_until_the_window_moves(make_storage: MakeStorage) -> None:
    rates = RateLimits({"post": "3/2 seconds", "follow": "1/day"}, make_storage())
    assert rates.is_new("post", "ada")
    assert fill(rates, "post", "ada") == 3
    assert not rates.is_new("post", "ada")
    with pytest.raises(TooManyRequests) as refused:
        rates.check("post", "ada")
    assert refused.value.limit == "post"
    assert 1 <= refused.value.seconds <= 3
    rates.check("post", "bob")
    rates.check("follow", "ada")
    time.sleep(refused.value.seconds)
    rates.hit("post", "ada")


def test_several_limits_apply_together_and_none_means_unlimited(make_storage: MakeStorage) -> None:
    rates = RateLimits({"post": "5/minute; 7/hour", "follow": "none"}, make_storage())
    assert fill(rates, "post", "ada") == 5
    for _ in range(100):
        rates.hit("follow", "ada")
        rates.check("follow", "ada")


@pytest.mark.parametrize("make_storage", ["redis", "memcached"], indirect=True)
def test_processes_share_counters_and_sites_do_not(make_storage: MakeStorage) -> None:
    specs = {"post": "4/day"}
    one, other = RateLimits(specs, make_storage()), RateLimits(specs, make_storage())
    for rates in (one, other, one, other):
        rates.hit("post", "ada")
    for rates in (one, other):
        assert fill(rates, "post", "ada") == 0
    assert fill(RateLimits(specs, make_storage("another:")), "post", "ada") == 4
    assert fill(RateLimits(specs, make_storage(), site=lambda: "another"), "post", "ada") == 4


@given(
    st.integers(0, 300),
    st.integers(0, 300),
    st.integers(1, 200),
    st.sampled_from([1, 10, 60, 3600]),
    st.floats(0, 0.999),
)
def test_reported_wait_is_long_enough_and_no_longer(
    before: int, now: int, most: int, length: int, phase: float
) -> None:
    """As the sliding window of `limits` counts: the weight of the previous window decreases during the current one."""

    def room(after: float) -> bool:
        at = phase * length + after
        windows = [before, now, 0, 0]
        current, faded = int(at // length), at % length / length
        previous = windows[current] if current < 3 else 0
        return math.floor(previous * (1 - faded) + ([now, 0, 0, 0][min(current, 3)])) + 1 <= most

    left = (1 - phase) * length
    seconds = until_room(before, left if before else 0, now, left + length, length, most)
    if room(0):
        assert seconds == 1
        return
    assert room(seconds)
    assert seconds <= 1 or not room(seconds - 1.01)


@pytest.mark.parametrize("spec", ["", "many", "0/day", "-1/hour", "5", "5/fortnight", "5/hour;x"])
def test_invalid_limit_is_rejected_at_startup(spec: str) -> None:
    with pytest.raises(SettingError, match=r"tweeter\.limits\.post must be a limit"):
        parse("post", spec)


# storages


def test_limits_are_counted_on_a_cluster() -> None:
    with closing(RedisCluster()) as cluster:
        cluster.start()
        settings = {"tweeter.redis.url": cluster.url}
        one, other = (RateLimits({"post": "2/day"}, storage_of(redis, settings)) for _ in range(2))
        for name in map(str, range(30)):  # on each of the nodes
            one.hit("post", name)
            other.hit("post", name)
            assert fill(one, "post", name) == 0
        cluster.masters[0].kill()
        began = time.monotonic()
        for name in map(str, range(30, 60)):
            one.hit("post", name)
        assert time.monotonic() - began < 3


def test_limits_are_counted_on_several_memcached_servers() -> None:
    with ExitStack() as stack:
        servers = [Memcached() for _ in range(3)]
        for server in servers:
            stack.enter_context(closing(server)).start()
        settings = {"tweeter.memcached.servers": " ".join(server.address for server in servers)}
        one, other = (RateLimits({"post": "2/day"}, storage_of(memcached, settings)) for _ in range(2))
        for name in map(str, range(30)):
            one.hit("post", name)
            other.hit("post", name)
            assert fill(one, "post", name) == 0


@pytest.fixture(params=["redis", "memcached"])
def proxied(request: pytest.FixtureRequest) -> Iterator[tuple[Proxy, Storage]]:
    """A storage behind a proxy that fails on demand."""
    settings_of_server(request, request.param)
    server: Redis | Memcached = request.getfixturevalue(f"{request.param}_server")
    with closing(Proxy(server.host, server.port)) as proxy:
        key, url = ("url", f"redis://{proxy.address}") if request.param == "redis" else ("servers", proxy.address)
        backend: Any = {"redis": redis, "memcached": memcached}[request.param]
        own = {f"tweeter.{request.param}.{key}": url, f"tweeter.{request.param}.timeout_ms": "500"}
        yield proxy, storage_of(backend, own)


@pytest.mark.parametrize("fault", ["refuse", "swallow", "cut"])
def test_without_the_storage_each_process_counts_for_itself(
    proxied: tuple[Proxy, Storage], fault: Any, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tweeter.web.ratelimits.PAUSE", 1.0)
    proxy, storage = proxied
    rates = RateLimits({"post": "3/day"}, storage)
    rates.hit("post", "ada")
    proxy.become(fault)
    began = time.monotonic()
    rates.hit("post", "ada")
    assert time.monotonic() - began < 0.8  # one timeout
    began = time.monotonic()
    assert fill(rates, "post", "ada") == 2
    assert time.monotonic() - began < 0.3
    proxy.become("pass")
    time.sleep(1.05)
    # Earlier counts persist. Requests counted there without a response were also counted here.
    assert fill(rates, "post", "ada") in ((0, 1, 2) if fault == "cut" else (2,))
    assert [record.message.partition(";")[0] for record in caplog.records] == [
        "the rate limit storage failed",
        "the rate limit storage has recovered",
    ]


def test_damaged_redis_counter_affects_no_other_counter(request: pytest.FixtureRequest) -> None:
    key = "LIMITER//post/ada/3/1/day"
    settings = settings_of_server(request, "redis")
    rates = RateLimits({"post": "3/day"}, storage_of(redis, settings))
    with RedisClient.from_url(settings["tweeter.redis.url"]) as client:
        for damage in (lambda name: client.set(name, "x"), lambda name: client.rpush(name, 1, 2)):
            rates.hit("post", "bob")
            damage(f"tweeter:limits:{{{key}}}")
            assert fill(rates, "post", "ada") == 3
            client.delete(f"tweeter:limits:{{{key}}}")
    with pytest.raises(TooManyRequests):  # bob's three were counted in Redis throughout
        [rates.hit("post", "bob") for _ in range(2)]


def test_damaged_memcached_counter_affects_no_other_counter(request: pytest.FixtureRequest) -> None:
    settings = settings_of_server(request, "memcached")
    rates = RateLimits({"post": "3/day"}, storage_of(memcached, settings))
    host, port = settings["tweeter.memcached.servers"].split(":")
    with closing(MemcachedClient((host, int(port)), default_noreply=False)) as client:
        rates.hit("post", "bob")
        window = int(time.time() / 86400)
        client.set(f"tweeter:limits:LIMITER//post/ada/3/1/day/{window}", "x")
        assert fill(rates, "post", "ada") == 3
        assert fill(rates, "post", "bob") == 2


# the site


@pytest.fixture
def site_with(sqlite_url: str) -> Iterator[Callable[..., Router]]:
    """`site_with(post="2/day")` is the site with other limits."""
    with ExitStack() as stack:

        def start(backend: str = "sql", own: dict[str, str] | None = None, **specs: str) -> Router:
            changed = {f"tweeter.limits.{name}": spec for name, spec in specs.items()} | (own or {})
            return stack.enter_context(running(settings_of(sqlite_url) | {"tweeter.timelines": backend, **changed}))

        yield start


def refused(page: webtest.TestResponse) -> webtest.TestResponse:
    assert page.status_int == 429
    assert 0 < int(page.headers["Retry-After"]) <= 86_400
    assert "Please try again in" in page.text
    return page


def test_each_limit_refuses_with_a_page_and_retry_after(site_with: Callable[..., Router]) -> None:
    names = ("post", "follow", "delete", "settings", "export", "search")
    app = site_with(**dict.fromkeys(names, "2/day"))
    ada, bob = (Person(Browser(app), name) for name in ("Ada", "bob"))
    tweets = [ada.post("one"), ada.post("two")]
    assert "typed in <vain>" in refused(ada.send("/tweets", message="typed in <vain>", status="*")).html.text
    assert ada.get("/").html.find("textarea", {"name": "message"}).text.strip() == "typed in <vain>"
    bob.post("bob's own limit is another")
    ada.follow("bob")
    ada.unfollow("bob")
    refused(ada.send("/@bob/follow", status="*"))
    for tweet in tweets:
        ada.delete(tweet)
    refused(ada.delete(tweets[0], status="*"))
    profile = {"action": "profile", "display_name": "Ada", "bio": "a long bio"}
    ada.send("/settings", **profile)
    ada.send("/settings", **profile)
    assert "a long bio" in refused(ada.send("/settings", status="*", **profile)).text
    for url in ("/settings/export.json", "/search?q=x"):
        ada.get(url, status=200)
        ada.get(url, status=200)
        refused(ada.get(url, status="*"))
    nobody = Browser(app, {"REMOTE_ADDR": "192.0.2.1"})
    for _ in range(2):
        nobody.get("/search?q=x", status=200)
    refused(nobody.get("/search?q=x", status="*"))
    Browser(app, {"REMOTE_ADDR": "192.0.2.2"}).get("/search?q=x", status=200)
    assert ada.get("/", status=200)


def test_sign_ups_are_counted_by_address(site_with: Callable[..., Router]) -> None:
    app = site_with(sign_up="3/day")
    here = {"REMOTE_ADDR": "2001:db8:1:2::1"}
    for number in range(3):
        Person(Browser(app, here), f"one{number}")
    signed_in = Person(Browser(app, here))
    signed_in.sign_in("one1")
    neighbour = Person(Browser(app, {"REMOTE_ADDR": "2001:db8:1:2:3:4:5:6"}))  # of the same /64
    for person, form in ((signed_in, "/"), (neighbour, "/signup")):
        token = person.token(form)
        fields = {"csrf_token": token, "username": "another", "password": PASSWORD}
        refused(person.browser.post("/signup", fields, status="*"))
    Person(Browser(app, {"REMOTE_ADDR": "2001:db8:1:3::1"}), "another")


def test_a_form_without_its_token_is_not_counted(site_with: Callable[..., Router]) -> None:
    ada = Person(Browser(site_with(post="1/day")), "Ada")
    for _ in range(3):
        ada.browser.post("/tweets", {"message": "not mine"}, status=400)
    ada.post("mine")


@pytest.mark.parametrize("backend", ["redis", "memcached"])
def test_two_processes_of_a_site_share_its_limits(
    site_with: Callable[..., Router], request: pytest.FixtureRequest, backend: str
) -> None:
    settings = settings_of_server(request, backend)
    apps = [site_with(backend, settings, post="4/day") for _ in range(2)]
    ada = Person(Browser(apps[0]), "Ada")
    elsewhere = Person(Browser(apps[1]), "")
    elsewhere.sign_in("Ada")
    for person in (ada, elsewhere, ada, elsewhere):
        person.send("/tweets", message="hello", status=303)
    for person in (ada, elsewhere):
        refused(person.send("/tweets", message="hello", status="*"))


def test_third_party_backend_can_count_limits(site_with: Callable[..., Router], request: pytest.FixtureRequest) -> None:
    settings = settings_of_server(request, "redis")
    apps = [site_with("sql", settings, post="1/day", storage="redis") for _ in range(2)]
    Person(Browser(apps[0]), "Ada").post("hello")
    ada = Person(Browser(apps[1]))
    ada.sign_in("Ada")
    refused(ada.send("/tweets", message="hello", status="*"))


@pytest.mark.parametrize("backend", ["redis", "memcached"])
def test_posting_does_not_wait_for_a_missing_store(site_with: Callable[..., Router], backend: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:  # accepts connections and never responds
        address = f"127.0.0.1:{silent.getsockname()[1]}"
        settings = {"tweeter.redis.url": f"redis://{address}", "tweeter.memcached.servers": address}
        ada = Person(webtest.TestApp(site_with(backend, settings, post="5/day")), "Ada")
        began = time.monotonic()
        for _ in range(5):
            ada.send("/tweets", message="hello", status=303)
        refused(ada.send("/tweets", message="hello", status="*"))
        assert time.monotonic() - began < 5
