"""The lab: the same page from all backends, side by side."""

import re
import threading
from contextlib import closing

import pytest
import redis

import tweeter
from tests.conftest import HERE, running
from tests.support.labs import (  # noqa: F401
    _break_at_once,
    alone,
    app,
    id_of,
    lab,
    lab_on,
    people,
    row_of,
    settings_for,
    with_servers,
)
from tests.support.people import Browser, Person
from tweeter.devtools.servers import Redis, free_port
from tweeter.interfaces import IDelivery
from tweeter.lab.comparison import compare
from tweeter.lab.explain import marked
from tweeter.serve import absent_stores
from tweeter.settings import merge
from tweeter.testing.caches import tweet
from tweeter.values import Cursor, Page, Repost, Timeline

pytestmark = pytest.mark.slow


@pytest.mark.parametrize("limit", [20, 100])
def test_same_page_is_read_from_all_backends(people, limit):
    page = people[0].get(f"/lab?limit={limit}")
    shown = min(limit, 25)
    assert f"4 backends returned the same {shown} tweets" in page.text
    for name in ("sql", "memory", "redis", "memcached"):
        assert f"✓ the same {shown}" in row_of(page, name)
        assert " ms" in row_of(page, name)
    assert "6 → 2 calls 3 → 0 none" in row_of(page, "memory")
    assert re.search(r"7 → 1 3 → 0 [\d,]+ B out, [\d,.]+ k?B in", row_of(page, "redis"))
    assert re.search(r"8 → 2 3 → 0 [\d,]+ B out, [\d,.]+ k?B in", row_of(page, "memcached"))
    assert "0 1 none" in row_of(page, "sql")
    assert re.search(
        r"<strong>[\d,]+ B</strong> as a list of 25 ids; <strong>[\d,]+ B</strong> as the talk’s", page.text
    )


def test_last_page_of_each_backend_is_shown(people):
    ada, _ = people
    ada.send("/lab/switch", backend="redis", status=303)
    ada.get("/@bob")
    ada.get("/newer?timeline=home", status="*")
    ada.send("/lab/switch", backend="", status=303)
    ada.get("/public")
    pages = ada.get("/lab/state").json["pages"]
    assert re.fullmatch(r"/@bob: timeline \d+\.\d of \d+\.\d ms", pages["redis"])
    assert re.fullmatch(r"/public: timeline \d+\.\d of \d+\.\d ms", pages["sql"])
    assert pages["memory"] == pages["memcached"] == ""
    assert pages["redis"] in ada.get("/lab/live").text


def test_costly_parts_of_a_plan_are_marked():
    plan = """Limit (actual time=1 rows=20 loops=1)
  Sort Key: x < 3
  Seq Scan on tweets t (actual time=1 rows=500 loops=2)"""
    assert (
        marked(plan)
        == """Limit (actual time=1 rows=20 loops=1)
  Sort Key: x &lt; 3
  <mark>Seq Scan on tweets</mark> t (actual time=1 <mark>rows=500 loops=2</mark>)"""
    )


@pytest.mark.parametrize("kind", ["sqlite", "postgresql"])
def test_statements_are_shown_with_parameters_and_plan(with_servers, request, kind):
    with lab_on(with_servers(request.getfixturevalue(f"{kind}_url"))) as app:
        ada = Person(Browser(app, HERE), "Ada")
        ada.post("hello")
        page = ada.get("/lab")
    assert "WHERE relationships.from_user_id = " in page.text
    assert "LIMIT" in page.text
    assert str(Cursor().before) in page.text
    assert "the same 1" in row_of(page, "redis")
    plan = {"sqlite": "SEARCH relationships USING PRIMARY KEY", "postgresql": "actual time="}[kind]
    assert plan in page.text
    assert {"sqlite": "<mark>USE TEMP B-TREE FOR ORDER BY</mark>", "postgresql": "<mark>Sort</mark>"}[kind] in page.text


def test_timelines_of_any_user_can_be_inspected(people):
    ada, _ = people
    page = ada.get("/lab?user=@BOB")
    assert "<bdi>bob</bdi>, who follows 0 people" in page.text
    assert "the same 20" in row_of(page, "redis")


def test_every_timeline_kind_is_compared(with_servers, sqlite_url):
    own = {"tweeter.timelines.kinds": "tests.thirdparty.replies"}
    with lab_on(with_servers(sqlite_url, **own)) as app:
        ada = Person(Browser(app, HERE), "Ada")
        tweet = ada.post("A question for @Ada")
        ada.post("A reply", tweet)
        assert app.registry.getUtility(IDelivery).drain(10)
        for kind, count in {"public": 2, "home": 2, "profile": 2, "mentions": 1, "replies": 1}.items():
            page = ada.get(f"/lab?timeline={kind}")
            assert f"<option selected>{kind}</option>" in page
            tweets = "1 tweet" if count == 1 else f"{count} tweets"
            assert f"4 backends returned the same {tweets} in the same order with the same text and reposts." in page
        ada.get("/lab?timeline=nosuch", status=400)


@pytest.mark.parametrize("url", ["/lab", "/lab/steps", "/lab/live"])
@pytest.mark.parametrize("name", ["nobody_here", "no such name!", "%00", "x" * 300])
def test_unknown_username_is_reported(alone, url, name):
    Person(browser := Browser(alone, HERE), "Ada")
    page = browser.get(f"{url}?user={name}", status="*")
    assert page.status_int == (404 if name != "%00" else 200)  # NUL is removed, so the name is empty
    assert ("There is no user called @" in page.text) == (page.status_int == 404)


@pytest.mark.parametrize("limit", ["21", "-1", "x", ""])
def test_other_numbers_of_tweets_are_refused(alone, limit):
    Person(browser := Browser(alone, HERE), "Ada")
    assert "must be 20 or 100" in browser.get(f"/lab?limit={limit}", status=400).text


def test_unreachable_servers_are_shown_and_the_site_works(alone):
    # The relays write the site's identity before they probe, so a slow disk delays the first probe.
    assert absent_stores(alone.registry, patience=30) == ["memcached", "redis"]
    ada = Person(Browser(alone, HERE), "Ada")
    tweet_id = ada.post("still here")
    page = ada.get("/lab")
    for name in ("redis", "memcached"):
        assert row_of(page, name).startswith("down ")
        assert "make services" in row_of(page, name)
    assert "refused" in row_of(page, "redis")
    assert "2 backends returned the same 1 tweet" in page.text
    assert "make services" in ada.get("/lab/steps").text
    assert ada.ids("/") == [tweet_id]


def test_store_that_a_starting_site_cannot_reach_is_not_catching_up(sqlite_url):
    nowhere = f"127.0.0.1:{free_port()}"
    settings = merge(settings_for(sqlite_url, f"redis://{nowhere}", nowhere), {}, {})
    with tweeter.site(settings, deliver=False, parts=tweeter.everything) as registry:
        later = threading.Timer(0.3, registry.getUtility(IDelivery).start)
        later.start()
        status = registry["lab"].backends["redis"].status(patience=30)
        later.join()
    assert status.word == "absent"
    assert "refused" in status.text


@pytest.mark.parametrize(("who", "why"), [("", "Authentication required"), (":wrong@", "invalid username-password")])
def test_rejecting_server_is_quoted_and_make_services_suggested_only_for_own_servers(sqlite_url, who, why):
    with closing(Redis()) as server:
        server.start()
        with closing(redis.Redis.from_url(server.url)) as client:
            client.config_set("requirepass", "secret")
        url = server.url.replace("redis://", f"redis://{who}")
        own = {"tweeter.lab.backends": "sql redis"}
        with running(settings_for(sqlite_url, url, "", **own)) as app:
            ada = Person(Browser(app, HERE), "Ada")
            for shown in (row_of(ada.get("/lab"), "redis"), ada.get("/lab/steps").text, ada.get("/lab/live").text):
                assert why in shown
                assert ("make services" in shown) == (not who)


def test_differences_are_marked_until_the_timeline_is_dropped(app, lab, people):
    ada, _ = people
    ada.get("/lab")
    ids = ada.ids("/")
    key = Timeline("home", id_of(app, "Ada")).key
    redis, memcached = lab.backends["redis"].instrument, lab.backends["memcached"].instrument
    redis.store.remove(key, [ids[3]])
    stranger = Person(Browser(app, HERE), "stranger").post("who are you?")
    memcached.store.add([key], stranger)
    for _ in range(2):  # reading does not repair it
        page = ada.get("/lab")
        # The page without the tweet has the usual length: it contains a tweet of the next page.
        assert "2 tweets differ" in row_of(page, "redis")
        assert "not dropped" in row_of(page, "redis")
        assert "2 tweets differ" in row_of(page, "memcached")
        assert "the same 20" in row_of(page, "memory")
    [marked] = re.findall(r"who are you\?.*?</tr>", page.text, re.DOTALL)
    assert marked.count("✗ surplus") == 1
    assert page.text.count("✗ missing") == 2
    for name in ("redis", "memcached"):
        ada.send("/lab/store", backend=name, action="drop", status=303)
    assert "4 backends returned the same 20 tweets" in ada.get("/lab").text


def test_every_kind_of_difference_is_classified():
    one, two, three, four = (tweet(id_, message=str(id_)) for id_ in (1, 2, 3, 4))

    def words(shown, expected):
        return {mark.tweet.id: mark.word for mark in compare(Page(tuple(shown), None), Page(tuple(expected), None))}

    assert words([three, two, one], [three, two, one]) == {3: "", 2: "", 1: ""}
    assert words([three, one], [three, two, one]) == {3: "", 2: "missing", 1: ""}
    assert words([four, three], [three]) == {4: "extra", 3: ""}
    assert words([three, three], [three]) == {3: "twice"}
    assert words([one, two, three], [three, two, one]) == {3: "order", 2: "", 1: "order"}
    assert words([tweet(3, message="other")], [three]) == {3: "text"}
    assert words([], []) == {}
    by_ann, by_bob = (Page((one,), None, {1: Repost(9, n, name, name)}) for n, name in ((2, "ann"), (3, "bob")))
    assert [mark.word for mark in compare(by_ann, by_bob)] == ["reason"]
    assert [mark.word for mark in compare(by_ann, by_ann)] == [""]
