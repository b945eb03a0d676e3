"""A poison event of any kind blocks no other event, and pages are correct."""

from contextlib import closing

import pytest
from sqlalchemy import insert, select
from sqlalchemy.exc import OperationalError, ProgrammingError

from tests.support.children import act, home, sign_up
from tweeter import outbox
from tweeter.db.sessions import begin_immediate
from tweeter.delivery import holder
from tweeter.errors import BackendUnavailable
from tweeter.ids import MAX_ID
from tweeter.metrics import POISONED
from tweeter.models import OutboxEvent, User
from tweeter.testing import Process
from tweeter.timelines import followers, projector, streams
from tweeter.values import (
    AccountClosed,
    Cursor,
    Followed,
    ProfileChanged,
    Reloaded,
    Timeline,
    Truncated,
    TweetCreated,
    TweetsDeleted,
    Unfollowed,
)

SECONDS = 30
BACKENDS = ["memory", "redis", "memcached"]


@pytest.fixture(params=BACKENDS)
def process(request, sqlite_url, redis_server, memcached_server):
    settings = {
        "tweeter.redis.url": redis_server.url,
        "tweeter.memcached.servers": memcached_server.address,
    }
    with closing(Process(sqlite_url, request.param, **settings)) as process:
        yield process


@pytest.fixture
def people(process):
    """Ann, whom Bob follows, and Cid."""
    ann, bob, cid = (sign_up(process, name) for name in ("ann", "bob", "cid"))
    act(process, "follow", bob, "ann")
    act(process, "post", ann, "one")
    for user in (ann, bob, cid):
        home(process, user)
    assert process.delivery.drain(SECONDS)
    return ann, bob, cid


def poisoned(process):
    return POISONED.labels(process.backend)._value.get()


def assert_right_and_live(process, sql_url):
    """Everything is delivered; pages come from the store and equal SQL's."""
    assert process.delivery.drain(SECONDS)
    with closing(Process(sql_url, "sql")) as sql:
        with sql.sessions() as session:
            people = session.scalars(select(User.id).where(~User.closed)).all()
        timelines = list(sql.kinds.timelines(people))
        for _ in range(2):  # cold, and warm
            for timeline in timelines:
                assert process.page(timeline, Cursor()) == sql.page(timeline, Cursor())
    assert process.timelines.live()


def do(process, kind, people):
    """An action that records an event of this type."""
    ann, bob, cid = people
    match kind:
        case "TweetCreated":
            act(process, "post", ann, "poison")
        case "TweetsDeleted":
            tweet = process.timelines.page(Timeline("profile", ann), Cursor()).tweets[0]
            act(process, "delete", ann, tweet.id)
        case "Followed":
            act(process, "follow", cid, "ann")
        case "Unfollowed":
            act(process, "unfollow", bob, "ann")
        case "ProfileChanged":
            act(process, "change_profile", ann, "Anna", "")
        case "AccountClosed":
            act(process, "close_account", ann)
        case "Truncated" | "Reloaded":
            with process.sessions() as session:
                begin_immediate(session)
                outbox.record(session, Truncated(MAX_ID) if kind == "Truncated" else Reloaded())
                session.commit()


KINDS = [
    each.__name__
    for each in (
        TweetCreated, TweetsDeleted, Followed, Unfollowed, ProfileChanged, AccountClosed, Truncated, Reloaded,
    )
]  # fmt: skip


@pytest.mark.parametrize("kind", KINDS)
def test_projector_fails_for_one_kind_of_event(process, people, sqlite_url, monkeypatch, kind):
    apply = process.timelines.projector.apply

    def fail(events):
        if any(type(event).__name__ == kind for event in events):
            raise ZeroDivisionError
        return apply(events)

    before = poisoned(process)
    monkeypatch.setattr(process.timelines.projector, "apply", fail)
    do(process, kind, people)
    assert process.delivery.drain(SECONDS)
    assert poisoned(process) == before + 1
    monkeypatch.undo()
    act(process, "post", people[2], "behind it")
    assert_right_and_live(process, sqlite_url)


@pytest.mark.parametrize("kind", ["TweetCreated", "TweetsDeleted", "ProfileChanged", "AccountClosed"])
def test_failing_stream_is_poison(process, people, sqlite_url, monkeypatch, kind):
    """The stream of a long event, step by step."""
    monkeypatch.setattr(projector, "SMALL", 0)
    monkeypatch.setattr(streams, "CHUNK", 1)
    before = poisoned(process)

    def fail(stream):
        raise ProgrammingError("", {}, ZeroDivisionError())

    tweet = process.timelines.page(Timeline("profile", people[0]), Cursor()).tweets[0]
    act(process, "post", people[2], "an answer", tweet.id)
    assert process.delivery.drain(SECONDS)
    monkeypatch.setattr(streams.Stream, "step", fail)
    do(process, kind, people)
    assert process.delivery.drain(SECONDS)
    monkeypatch.undo()
    assert poisoned(process) == before + 1
    act(process, "post", people[2], "behind it")
    assert_right_and_live(process, sqlite_url)


@pytest.fixture
def quick(monkeypatch):
    """The event fails for so long, not the store or SQL."""
    monkeypatch.setattr(holder, "FLAPPING", 0.5)


def test_unreadable_followers_are_poison(process, people, sqlite_url, monkeypatch, quick):
    """A statement for one author that always times out."""
    of_each, before = followers.of_each, poisoned(process)

    def fail(session, authors, limit):
        if people[0] in authors:
            raise OperationalError("", {}, ZeroDivisionError())
        return of_each(session, authors, limit)

    monkeypatch.setattr(followers, "of_each", fail)
    act(process, "post", people[2], "before it")
    do(process, "TweetCreated", people)
    act(process, "post", people[2], "behind it")
    assert process.delivery.drain(SECONDS)
    assert poisoned(process) == before + 1
    assert_right_and_live(process, sqlite_url)


def test_unreadable_followers_of_a_large_author_are_poison(process, people, sqlite_url, monkeypatch, quick):
    monkeypatch.setattr(projector, "SMALL", 0)
    before = poisoned(process)

    def fail(*args):
        raise OperationalError("", {}, ZeroDivisionError())

    monkeypatch.setattr(followers, "between", fail)
    do(process, "TweetCreated", people)
    act(process, "post", people[2], "behind it")
    assert process.delivery.drain(SECONDS)
    assert poisoned(process) == before + 1
    monkeypatch.undo()
    assert_right_and_live(process, sqlite_url)


def test_store_refuses_one_key(process, people, sqlite_url, monkeypatch, quick):
    store, before = process.timelines.store, poisoned(process)
    add_batch = store.add_batch

    def refuse(added, of):
        if f"home:{people[1]}" in added:
            raise BackendUnavailable("NOPERM")
        add_batch(added, of)

    monkeypatch.setattr(store, "add_batch", refuse)
    do(process, "TweetCreated", people)
    act(process, "post", people[2], "behind it")
    assert process.delivery.drain(SECONDS)
    assert poisoned(process) == before + 1
    assert_right_and_live(process, sqlite_url)


def test_events_of_a_newer_version(process, people, sqlite_url):
    """Each is one poison event."""
    before = poisoned(process)
    with process.sessions() as session:
        begin_immediate(session)
        session.execute(insert(OutboxEvent), [{"payload": '{"type":"Renamed","user_id":1}'}] * 3)
        session.execute(insert(OutboxEvent), [{"payload": '{"type":"TweetCreated","tweet_id":"x"}'}, {"payload": "?"}])
        session.commit()
    act(process, "post", people[0], "behind it")
    assert process.delivery.drain(SECONDS)
    assert poisoned(process) == before + 5
    assert_right_and_live(process, sqlite_url)
