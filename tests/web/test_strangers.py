"""Anonymous visitors cannot fill a store: polls never backfill, and unknown users are 404 on every route."""

from contextlib import closing
from urllib.parse import quote

import pytest
from pymemcache import Client
from redis import Redis

from tests.conftest import running, settings_of
from tests.support.people import Browser, Person
from tweeter.bench.given import memcached_names
from tweeter.ids import MAX_ID
from tweeter.interfaces import IDelivery, ITimelines
from tweeter.values import Timeline
from tweeter.web.ratelimits import UNLIMITED

NOBODY = ["nobody", "NOBODY", "_", "x" * 20, "x" * 21, "no body", "ada%00", "%F0%9F%90%A6", "..", "-1", "0"]
IDS = [1, 2, 99, 2**31, 2**53 - 1, MAX_ID, MAX_ID + 1]
ODD = ["", "0", "-1", "1", "1.5", "abc", str(MAX_ID), str(MAX_ID + 1), "9" * 16, "9" * 400, "\x00", "1 or 1=1"]


@pytest.fixture(params=["memory", "redis", "memcached"])
def backend(request):
    return request.param


@pytest.fixture
def app(backend, database_url, redis_server, memcached_server):
    prefix = f"{database_url[-30:]}:".replace("/", "-")
    own = {
        "tweeter.timelines": backend,
        "tweeter.memory.timelines": 10,
        "tweeter.redis.url": redis_server.url,
        "tweeter.redis.prefix": prefix,
        "tweeter.memcached.servers": memcached_server.address,
        "tweeter.memcached.prefix": prefix,
        **UNLIMITED,  # whose counters are keys too
    }
    with running(settings_of(database_url) | own) as app:
        assert app.registry.getUtility(IDelivery).drain(20)
        yield app


@pytest.fixture
def held(app, backend, redis_server, memcached_server):
    """`held()` are the keys of the site in the store: timelines and tweets."""
    timelines = app.registry.getUtility(ITimelines)
    if backend == "memory":
        yield lambda: {*timelines.store._entries, *timelines._hydrator.cache._tweets}
        return
    if backend == "redis":
        client = Redis(redis_server.host, redis_server.port)
        prefix = app.registry.settings["tweeter.redis.prefix"].encode()

        def keys():
            return client.keys(b"*")
    else:
        client = Client((memcached_server.host, memcached_server.port))
        prefix = app.registry.settings["tweeter.memcached.prefix"].encode()

        def keys():
            return memcached_names(client, "")

    relay = (b"probe", b"checkpoint", b":epoch")  # keys that the relay writes while the test runs
    with closing(client):
        yield lambda: {key for key in keys() if prefix in key and not any(word in key for word in relay)}


@pytest.fixture
def people(app):
    """Ada with tweets and a warm home page; and more accounts than the process's store has room for."""
    ada = Person(Browser(app), "ada")
    ada.post("hello")
    for number in range(12):
        Person(Browser(app), f"user{number}")
    assert app.registry.getUtility(IDelivery).drain(20)
    ada.get("/")
    return ada


def is_warm(app, timeline):
    return app.registry.getUtility(ITimelines).peek(timeline) is not None


def test_polls_for_unknown_users_do_not_write_to_the_store(app, people, held):
    stranger = Browser(app)
    before = held()
    for user in [*range(1, 14), *IDS]:
        for since in (0, 1, MAX_ID):
            stranger.get(f"/newer?timeline=profile&user={user}&since={since}", status="*")
    for name in ODD:
        for url in ("/newer?timeline=profile&user={}", "/newer?timeline=profile&user=1&since={}",
                    "/newer?timeline=public&since={}", "/newer?timeline={}&user=1", "/tweets/{}", "/tweets/1?after={}",
                    "/@ada/followers?before={}", "/search?q={}"):  # fmt: skip
            assert stranger.get(url.format(quote(name)), status="*").status_int < 500
    for id_ in IDS[:-1]:
        stranger.get(f"/tweets/{id_}", status=404)
    for name in NOBODY:
        stranger.get(f"/@{name}", status="*")
    assert held() - before == set()
    assert is_warm(app, Timeline("home", 1))


def test_deep_pages_have_the_size_of_the_first(app, people, held):
    stranger = Browser(app)
    for page in ("/@ada", "/public"):
        stranger.get(page)
    before = held()
    for before_id in ODD:
        for limit in ("1", "100", "9" * 30):
            for page in ("/@ada", "/public", "/@ada/followers"):
                stranger.get(f"{page}?before={quote(before_id)}&limit={limit}", status="*")
    assert held() - before == set()


def test_poll_does_not_depend_on_warm_timelines(app, people):
    ada, stranger = people, Browser(app)
    poll = "/newer?timeline=profile&user=1&since=0"
    app.registry.getUtility(ITimelines).clear()
    cold = stranger.get(poll)
    assert not is_warm(app, Timeline("profile", 1))
    stranger.get("/@ada")
    assert is_warm(app, Timeline("profile", 1))
    warm = stranger.get(poll)
    assert cold.json == warm.json == {"count": 1}
    assert cold.etag == warm.etag
    home = ada.get("/newer?timeline=home&since=0")
    app.registry.getUtility(ITimelines).clear()
    assert ada.get("/newer?timeline=home&since=0").json == home.json == {"count": 0}
    assert not is_warm(app, Timeline("home", 1))


def test_a_warm_page_and_its_poll_cost_no_statement_more(app, people):
    stranger = Browser(app)
    for url in ("/@user1", "/public"):
        stranger.get(url)
    for url, statements in (("/public", 0), ("/newer?timeline=public&since=0", 0), ("/@user1", 1),
                            ("/newer?timeline=profile&user=3&since=0", 0)):  # fmt: skip
        timing = stranger.get(url).headers["Server-Timing"]
        assert f'desc="{statements} quer' in timing, (url, timing)


@pytest.mark.parametrize("signed_in", [False, True])
def test_unknown_users_are_404_on_every_route(app, people, held, signed_in):
    browser = people.browser if signed_in else Browser(app)
    before = held()
    for name in NOBODY[:4]:
        for url in (
            "/@{}",
            "/@{}?before=5",
            "/@{}?limit=3",
            "/@{}/followers",
            "/@{}/following",
            "/@{}/followers?before=9",
        ):
            browser.get(url.format(name), status=404)
        for url in ("/@{}/follow", "/@{}/unfollow"):
            answer = Person(browser).send(url.format(name), on="/settings" if signed_in else "/login", status="*")
            if signed_in:
                assert answer.status_int == 404
            else:
                assert answer.status_int == 303  # to sign in
                assert answer.location.endswith(f"/login?next=/@{name}")
    for id_ in IDS:
        if id_ > 13:
            for end in ("", "&since=0", "&since=5", f"&since={MAX_ID}", "&limit=1"):
                browser.get(f"/newer?timeline=profile&user={id_}{end}", status=404)
    browser.get("/newer?timeline=profile&user=0", status=400)
    browser.get("/newer?timeline=profile", status=400)
    assert held() - before == set()


def test_a_closed_account_has_no_page(app, people):
    user = Person(Browser(app), "gone")
    user.post("good bye")
    stranger = Browser(app)
    for url in ("/@gone", "/newer?timeline=profile&user=14&since=0"):
        stranger.get(url, status=200)
    fields = {"action": "close", "password": "a good password"}
    user.send("/settings", status=200, **fields)
    user.send("/settings", status=303, confirm="yes", **fields)
    assert app.registry.getUtility(IDelivery).drain(20)
    for browser in (stranger, user.browser, people.browser):
        for url in ("/@gone", "/@gone/followers", "/@gone/following", "/newer?timeline=profile&user=14&since=0"):
            browser.get(url, status=404)
    user.get("/newer?timeline=home&since=0", status=401)
    assert not is_warm(app, Timeline("profile", 14))
