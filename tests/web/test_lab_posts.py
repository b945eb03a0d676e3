"""The lab: readers at once, and posts to many followers."""

import re
import threading
from contextlib import closing

import pytest
import redis
from sqlalchemy import select, update

from tests.conftest import HERE, serving
from tests.support.labs import _break_at_once, app, finished, id_of, lab, lab_on, people, small_dial, with_servers  # noqa: F401
from tests.support.people import Browser, Person
from tweeter.bench import browser as bench
from tweeter.db.sessions import begin_immediate
from tweeter.interfaces import IDelivery
from tweeter.lab import accounts, crowds, load
from tweeter.models import LoginSession, Relationship, User
from tweeter.values import Cursor, Timeline

pytestmark = pytest.mark.slow


# readers at once


def test_readers_at_once_read_each_backend_in_turn(app, people, lab, monkeypatch):
    monkeypatch.setattr(load, "ROUNDS", 2)
    monkeypatch.setattr(load, "SECONDS", 0.3)
    with serving(app) as url, closing(bench.Browser(("127.0.0.1", int(url.rpartition(":")[2])))) as browser:
        browser.sign_in("cleo", "a long password", "/signup")
        browser.send("/@bob/follow")
        assert app.registry.getUtility(IDelivery).drain(10)
        assert browser.send("/lab/load", readers="8").status == 303
        job = finished(lab)
        assert job.error == ""
        assert job.title == "8 readers at once"
        verdict, *phases = job.phases
        assert [phase.name for phase in phases] == list(lab.backends)
        for phase in phases:
            assert re.match(r"[\d,]+ pages/s, median [\d.]+ .s, 95\s% .*, 99\s% .*, no errors, ", phase.note)
            assert re.search(
                r", none of \d+ checked pages differ from SQL’s, CPU time of 1,000 pages: site ", phase.note
            )
        assert verdict.note.startswith("2 rounds: no conclusion about ")
        assert browser.get("/").served_by == lab.default.name  # the browser itself is not switched
        assert "8 readers at once" in browser.get("/lab/live").text
        assert "pages/s" in browser.get("/lab/progress").text


def test_a_reader_of_the_dial_reads_in_a_session_that_ends_with_the_job(app, people, lab, small_dial, monkeypatch):
    monkeypatch.setattr(load, "ROUNDS", 1)
    monkeypatch.setattr(load, "SECONDS", 0.3)
    ada, _ = people
    ada.send("/lab/load", readers="1", user="lab_follows_30", status=303)
    assert finished(lab).error == "There is no test reader @lab_follows_30."
    ada.send("/lab/dial", status=303)
    assert finished(lab).error == ""
    with serving(app) as url, closing(bench.Browser(("127.0.0.1", int(url.rpartition(":")[2])))) as browser:
        browser.sign_in("cleo", "a long password", "/signup")
        assert "The home page of @lab_follows_30 is read by" in browser.get("/lab/live?user=lab_follows_30").text
        assert browser.send("/lab/load", readers="1", backend="sql", user="lab_follows_30").status == 303
        job = finished(lab)
        assert job.error == ""
        assert re.search(r", none of [1-9]\d* checked pages differ from SQL’s", job.phases[1].note)
    with app.registry.database.sessions() as session:
        reader = select(User.id).where(User.username == "lab_follows_30").scalar_subquery()
        assert session.scalars(select(LoginSession).where(LoginSession.user_id == reader)).all() == []


def test_load_of_a_site_that_can_not_be_reached(app, people, lab):
    ada, _ = people
    assert "Readers at once" in ada.get("/lab/live").text
    ada.send("/lab/load", readers="1", backend="sql", status=303)  # WebTest has no server on port 80
    assert "The lab can't reach its own site at 127.0.0.1:80: " in finished(lab).error
    assert "The number of readers must be one of: 1, 8, 32, 128." in ada.send("/lab/load", readers="9", status=400).text


# posts to many


@pytest.mark.parametrize("what", ["post", "repost"])
@pytest.mark.parametrize("kind", ["sqlite", "postgresql"])
def test_a_post_or_a_repost_to_warm_timelines_reaches_every_store(with_servers, request, kind, what):
    count = {"post": 13, "repost": 12}[what]  # the public timeline shows no reposts
    with lab_on(with_servers(request.getfixturevalue(f"{kind}_url"))) as app:
        lab = app.registry["lab"]
        ada = Person(Browser(app, HERE), "Ada")
        ada.send("/lab/post", followers="10", timelines="warm", what=what, status=303)
        job = finished(lab)
        assert not job.error
        delivered = {phase.name: (phase.done, phase.total) for phase in job.phases if "Delivered" in phase.name}
        assert delivered == {f"Delivered to {name}": (count, count) for name in ("memory", "redis", "memcached")}
        lanes = {phase.name.removeprefix("Lane: "): phase.done for phase in job.phases if "Lane" in phase.name}
        assert lanes == dict.fromkeys(("memory", "redis", "memcached", "the talk’s way"), 10)
        follower = Timeline("home", id_of(app, "lab_ten_00007"))
        for backend in lab.stores:
            assert len(backend.timelines.peek(follower).ids) == 1
        page = ada.get("/lab/live")
        assert f"Done: a {what} to 10 followers, their timelines warm" in page.text
        assert f"{count} of {count} timelines" in page.text
        assert 'aria-label="Deliveries over time"' in page.text
        client = redis.Redis.from_url(app.registry.settings["tweeter.redis.url"])
        assert not list(client.scan_iter(match="*lab-talk:*"))
        assert "A test post of the lab to 10 followers." in ada.get("/@lab_ten").text
        page = ada.get("/lab?user=lab_ten_00007").text
        assert "4 backends returned the same 1 tweet" in page
        assert ("reposted by @lab_ten" in page) == (what == "repost")


def test_cold_timelines_receive_no_writes(app, lab, people):
    ada, _ = people
    for timelines in ("warm", "cold"):
        ada.send("/lab/post", followers="10", timelines=timelines, status=303)
        assert not finished(lab).error
    follower = Timeline("home", id_of(app, "lab_ten_00001"))
    for backend in lab.stores:
        assert backend.timelines.peek(follower) is None
        assert len(backend.timelines.page(follower, Cursor()).tweets) == 2


def test_test_followers_are_created_in_steps_and_only_once(app, lab, people, monkeypatch):
    monkeypatch.setattr(crowds, "CHUNK", 300)
    ada, _ = people
    for _ in range(2):
        ada.send("/lab/post", followers="1000", timelines="cold", status=303)
        assert not finished(lab).error
    assert "Accounts created" not in [phase.name for phase in lab.jobs.current.phases]
    with app.registry.database.sessions() as session:
        author = session.scalars(select(User).where(User.username_key == "lab_thousand")).one()
        assert (author.followers_count, author.tweets_count) == (1000, 2)
        assert accounts.how_many(session) == 1001
    assert "1,000</strong> followers" in ada.get("/@lab_thousand").text


def test_test_accounts_cannot_sign_in(lab, people, visitor):
    people[0].send("/lab/post", followers="10", status=303)
    finished(lab)
    for name in ("lab_ten", "lab_ten_00001"):
        for password in ("", "password"):
            page = Person(visitor(), "").sign_in(name, password)
            assert "Wrong username or password." in page.text


def test_only_test_accounts_are_removed(app, lab, people, visitor):
    ada, bob = people
    neighbour = Person(visitor(), "lab_rat")
    ada.send("/lab/post", followers="10", status=303)
    finished(lab)
    ada.follow("lab_ten")
    bob.follow("lab_ten_00003")
    assert "Remove 11 test accounts" in ada.get("/lab/live").text
    ada.send("/lab/tidy", status=303)
    assert not finished(lab).error
    with app.registry.database.sessions() as session:
        assert accounts.how_many(session) == 0
        names = set(session.scalars(select(User.username)))
        assert names == {"Ada", "bob", "lab_rat"}
        counts = {user.username: (user.following_count, user.followers_count) for user in session.scalars(select(User))}
        assert counts == {"Ada": (1, 0), "bob": (0, 1), "lab_rat": (0, 0)}
        assert len(session.scalars(select(Relationship.to_user_id)).all()) == 1
    assert app.registry.getUtility(IDelivery).drain(10)
    assert "A test post of the lab" not in neighbour.get("/public").text
    assert "4 backends returned the same 20 tweets" in ada.get("/lab").text


def test_taken_username_is_reported_and_not_used(lab, people, visitor):
    Person(visitor(), "lab_ten")
    people[0].send("/lab/post", followers="10", status=303)
    assert finished(lab).error == "The username lab_ten is taken; the lab needs it."
    assert "lab_ten is taken" in people[0].get("/lab/live").text


def test_real_follower_is_not_warmed_as_a_test_account(app, lab, people):
    ada, _ = people
    ada.follow("bob")
    ada.send("/lab/post", followers="10", timelines="cold", status=303)
    finished(lab)
    ada.follow("lab_ten")
    with app.registry.database.sessions() as session:  # a user who copies the bio is no test account
        begin_immediate(session)
        session.execute(update(User).where(User.username == "Ada").values(bio=accounts.BIO))
        session.commit()
    for backend in lab.stores:
        backend.timelines.drop(Timeline("home", id_of(app, "Ada")))
    ada.send("/lab/post", followers="10", timelines="warm", status=303)
    finished(lab)
    assert "4 backends returned the same 20 tweets" in ada.get("/lab").text


@pytest.mark.parametrize("followers", ["", "11", "1e3"])
def test_unknown_crowd_size_is_refused(lab, people, followers):
    page = people[0].send("/lab/post", followers=followers, status=400)
    assert "must be one of: 10, 1,000, 20,000, 200,000, 1,000,000." in page.text
    assert lab.jobs.current is None


def test_one_job_at_a_time(lab, people):
    ada, _ = people
    go_on = threading.Event()
    lab.jobs.start("something long", lambda job: job.phase("Waiting", 1) and go_on.wait(30))
    try:
        assert "data-running" in ada.get("/lab/progress").text
        ada.send("/lab/post", followers="10", status=303)
        assert "The lab is busy: something long." in ada.get("/lab/live").text
    finally:
        go_on.set()
    finished(lab)
    assert "data-running" not in ada.get("/lab/progress").text


def test_failed_job_is_reported_and_the_next_can_start(lab, people, caplog):
    def fail(job):
        raise ValueError("the sky fell")

    lab.jobs.start("failing", fail)
    assert finished(lab).error == "It failed: the sky fell"
    lab.jobs.start("working", lambda job: None)
    assert not finished(lab).error


def test_unavailable_store_receives_pending_deliveries_later(app, lab, people):
    ada, _ = people
    ada.send("/lab/store", backend="redis", action="refuse", status=303)
    ada.send("/lab/post", followers="10", status=303)
    phases = {phase.name: phase for phase in finished(lab).phases}
    assert phases["Delivered to redis"].done == 0
    assert "waits in the outbox" in phases["Delivered to redis"].note
    assert phases["Delivered to memcached"].done == 13
    ada.send("/lab/store", backend="redis", action="mend", status=303)
    assert app.registry.getUtility(IDelivery).drain(10)
    assert ada.get("/lab/live").text.count("13 of 13 timelines") == 3
    assert "4 backends returned the same 1 tweet" in ada.get("/lab?user=lab_ten_00001").text
