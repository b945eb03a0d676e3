"""Timeline kinds: the built-in ones, and a third-party kind that is only named in the settings."""

from contextlib import closing

import pytest
from hypothesis import HealthCheck, settings
from hypothesis.stateful import run_state_machine_as_test
from pyramid.config import Configurator
from sqlalchemy import select

from tests.conftest import HERE, running, settings_of
from tests.support.children import act, holds, sign_up
from tests.support.people import Browser, Person
from tweeter import measure
from tweeter.cli import main
from tweeter.devtools.servers.cluster import wait_until
from tweeter.errors import Missing, SettingError
from tweeter.metrics import fallbacks
from tweeter.models import Tweet
from tweeter.testing import Process, Site, one_answer
from tweeter.timelines import projector
from tweeter.timelines.kind import TimelineKind
from tweeter.values import Cursor, Timeline

REPLIES = {"tweeter.timelines.kinds": "tests.thirdparty.replies"}
SECONDS = 20


@pytest.mark.parametrize("small", [1, projector.SMALL])
def test_third_party_kind_has_the_pages_of_sql_in_every_backend(sqlite_url, stores, small, monkeypatch):
    """Also a second kind to followers, and one without owners; in batches and in streams."""
    monkeypatch.setattr(projector, "SMALL", small)
    kinds = {"tweeter.timelines.kinds": "tests.thirdparty.replies tests.thirdparty.friends"}
    own = {**stores, **kinds, "tweeter.capacity": "5"}
    with closing(Site(sqlite_url, ["sql", "memory", "redis", "memcached", "tests.thirdparty.texts"], **own)) as site:
        assert Timeline("replies", 1) in site.processes[0].kinds.timelines([1])
        run_state_machine_as_test(
            one_answer(site, ["memory", "redis", "memcached"]),
            settings=settings(
                max_examples=2, stateful_step_count=15, deadline=None, suppress_health_check=list(HealthCheck)
            ),
        )


@pytest.mark.parametrize("backend", ["memory", "redis", "memcached"])
@pytest.mark.parametrize("kind", ["mentions", "replies"])
def test_warm_page_of_any_kind_takes_no_statement(database_url, stores, backend, kind):
    with closing(Process(database_url, backend, **stores, **REPLIES)) as process:
        ann, bob = sign_up(process, "ann"), sign_up(process, "bob")
        tweet = act(process, "post", ann, "hello")
        replies = [act(process, "post", bob, f"@ann {number}", tweet) for number in range(3)]
        timeline = Timeline(kind, ann)
        assert [each.id for each in process.page(timeline, Cursor()).tweets] == replies[::-1]
        replies.append(act(process, "post", bob, "@ANN once more", tweet))
        process.settle()
        with measure.measuring() as meter:
            page = process.timelines.page(timeline, Cursor())
        assert [each.id for each in page.tweets] == replies[::-1]
        assert meter.served_by == backend
        assert meter.round_trips <= 2
        assert not meter.statements


@pytest.mark.parametrize("backend", ["memory", "redis", "memcached"])
def test_reposts_do_not_touch_a_kind_of_followers_without_reposts(sqlite_url, stores, backend):
    kinds = {"tweeter.timelines.kinds": "tests.thirdparty.friends"}
    with closing(Process(sqlite_url, backend, **stores, **kinds)) as process:
        ann, bob = sign_up(process, "ann"), sign_up(process, "bob")
        act(process, "follow", ann, "bob")
        mine, his = (act(process, "post", who, "hello") for who in (ann, bob))
        process.page(Timeline("friends", ann), Cursor())
        act(process, "repost", bob, mine)
        process.settle()
        assert process.timelines.peek(Timeline("friends", ann)).ids == [his]
        assert process.reads_store


def test_page_and_poll_of_a_third_party_kind(sqlite_url):
    with running(settings_of(sqlite_url) | {"tweeter.timelines": "memory", **REPLIES}) as app:
        ada, bob = (Person(Browser(app, HERE), name) for name in ("Ada", "bob"))
        reply = bob.post("A reply", ada.post("A question"))
        assert bob.ids("/timelines/replies?user=1") == [reply]
        question = ada.ids("/timelines/profile?user=1")[0]
        second = ada.post("Another question")
        page = ada.get("/timelines/profile?user=1&limit=1")
        assert ada.ids("/timelines/profile?user=1&limit=1") == [second]
        assert page.html.select_one("a[rel=next]")["href"] == f"/timelines/profile?user=1&before={second}&limit=1"
        assert ada.ids(f"/timelines/profile?user=1&before={second}&limit=1") == [question]
        assert bob.get("/newer?timeline=replies&user=1&since=0").json == {"count": 0}  # the reply is bob's own
        assert ada.get("/newer?timeline=replies&user=1&since=0").json == {"count": 1}
        assert ada.ids("/timelines/mentions") == []
        Browser(app, HERE).get("/timelines/mentions", status=303)  # to sign in
        ada.get("/timelines/nosuch", status=400)
        ada.get("/timelines/replies?user=99", status=404)


def test_page_of_a_kind_without_owners(sqlite_url):
    kinds = {"tweeter.timelines.kinds": "tests.thirdparty.friends"}
    with running(settings_of(sqlite_url) | {"tweeter.timelines": "memory", **kinds}) as app:
        ada = Person(Browser(app, HERE), "Ada")
        tweet = ada.post("A question")
        first, second = (ada.post(text, tweet) for text in ("A reply", "Another reply"))
        page = ada.get("/timelines/conversations?user=1&limit=1")
        older = page.html.select_one("a[rel=next]")["href"]
        assert older == f"/timelines/conversations?before={second}&limit=1"
        assert ada.ids(older) == [first]


def test_verify_compares_a_third_party_kind(sqlite_url, tmp_path, capsys):
    with closing(Process(sqlite_url, "sql")) as process:
        ann = sign_up(process, "ann")
        tweet = act(process, "post", ann, "hello")
        for number in range(30):
            act(process, "post", ann, f"{number}", tweet)
    ini = tmp_path / "site.ini"
    ini.write_text(
        f"[app:main]\nuse = egg:tweeter\nsqlalchemy.url = {sqlite_url}\n"
        "tweeter.timelines = tests.thirdparty.forgetful\ntweeter.timelines.kinds = tests.thirdparty.replies\n"
        "tweeter.secret = only for tests\ntweeter.production = false\n"
        "[loggers]\nkeys = root\n[handlers]\nkeys = console\n[formatters]\nkeys = generic\n"
        "[logger_root]\nlevel = WARN\nhandlers = console\n"
        "[handler_console]\nclass = StreamHandler\nargs = (sys.stderr,)\nformatter = generic\n"
        "[formatter_generic]\nformat = %(message)s\n"
    )
    assert main(["verify", str(ini), "--all"]) == 1
    out, err = capsys.readouterr()
    assert f"replies:{ann}: page 1: lacks " in out + err
    assert "6 timelines compared with SQL, 4 differ." in out


def test_store_starts_cold_when_its_relay_gets_another_kind(sqlite_url, stores):
    """Until the relay delivers to its timelines, SQL serves the kind."""
    with closing(Process(sqlite_url, "redis", **stores)) as old:
        ann = sign_up(old, "ann")
        tweet = act(old, "post", ann, "hello")
        reply = act(old, "post", ann, "a reply", tweet)
        old.settle()
        with closing(Process(sqlite_url, "redis", **stores, **REPLIES, **{"tweeter.delivery": "relay"})) as new:
            new.settle()
            with measure.measuring() as meter:
                page = new.timelines.page(Timeline("replies", ann), Cursor())
            assert [each.id for each in page.tweets] == [reply]
            assert meter.served_by == "redis, from SQL"
            assert fallbacks("redis")["kind"] >= 1
            assert new.timelines.peek(Timeline("replies", ann)) is None
        old.timelines.page(Timeline("home", ann), Cursor())
        assert old.timelines.peek(Timeline("home", ann))
    with closing(Process(sqlite_url, "redis", **stores, **REPLIES)) as new:
        wait_until(lambda: holds(new))
        new.settle()
        assert new.timelines.peek(Timeline("home", ann)) is None
        with measure.measuring() as meter:
            new.timelines.page(Timeline("replies", ann), Cursor())
        assert meter.served_by == "redis"


def test_unknown_kind_is_missing(sqlite_url):
    for backend in ("sql", "memory"):
        with closing(Process(sqlite_url, backend)) as process, pytest.raises(Missing):
            process.page(Timeline("nosuch"), Cursor())


@pytest.mark.parametrize(
    ("kinds", "reason"),
    [
        ("nosuch", "built-in modules: home, likes, lists, mentions, profile, public, tags"),
        ("tests.thirdparty", "has no includeme"),
    ],
)
def test_invalid_kind_is_rejected_at_startup(sqlite_url, kinds, reason):
    with pytest.raises(SettingError, match=reason):
        Process(sqlite_url, "sql", **{"tweeter.timelines.kinds": kinds})


class Silent(TimelineKind):
    """Only the first step of docs/extending.md."""

    name = "silent"

    def tweets(self, owner):
        return select(Tweet.id).where(Tweet.user_id == owner)


@pytest.mark.parametrize("name", [None, "", "a:b", "a b", "a/b", "ä", "A", "a\n", "1", "a" * 31])
def test_kind_with_an_odd_name_is_rejected(name):
    """Keys and URLs contain the name."""
    kind = type("Odd", (Silent,), {"name": name, "to_followers": True})()
    with pytest.raises(SettingError, match="must have a name"):
        register(kind)


def test_kind_whose_timelines_no_tweet_would_reach_is_rejected():
    with pytest.raises(SettingError, match="which timelines a new tweet belongs to"):
        register(Silent())


@pytest.mark.parametrize("attribute", ["private", "to_followers"])
def test_kind_without_owners_has_neither_readers_nor_followers_of_its_own(attribute):
    kind = type("Nobodys", (Silent,), {"owned": False, attribute: True})()
    with pytest.raises(SettingError, match="owned by no users"):
        register(kind)


def register(kind):
    config = Configurator(settings={"tweeter.timelines.kinds": ""})
    config.include("tweeter.timelines.kinds")
    config.add_timeline_kind(kind)
