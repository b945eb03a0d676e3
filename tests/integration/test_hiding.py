"""Mutes and blocks in the timelines of every backend: freshness, and what 5,000 mutes cost."""

import random
import threading
from contextlib import closing

import pytest
from sqlalchemy import insert, select
from sqlalchemy.exc import OperationalError

from tests.support.children import act, pause, sign_up
from tweeter import measure
from tweeter.errors import Refused
from tweeter.models import Block, Hidden, Mute, Relationship, User
from tweeter.testing import Process
from tweeter.timelines import projector
from tweeter.values import Cursor, Timeline, Viewer

STORES = ["memory", "redis", "memcached", "table"]
MANY = 5000


@pytest.fixture(params=STORES)
def process(request, database_url, stores):
    with closing(Process(database_url, request.param, **stores)) as process:
        yield process


def viewer_of(process, user):
    """The viewer as a request loads it."""
    with process.sessions() as session:
        written = session.scalar(select(User.last_write).where(User.id == user))
        hidden = frozenset(session.scalars(select(Hidden.author_id).where(Hidden.viewer_id == user)))
    return Viewer(user, written, hidden)


def look(process, user, kind="home"):
    """The ids of a page, and the backend that served it."""
    timeline = Timeline(kind) if kind == "public" else Timeline(kind, user)
    with measure.measuring() as meter:
        page = process.timelines.page(timeline, Cursor(), viewer_of(process, user))
    return [tweet.id for tweet in page.tweets], meter.served_by


def three(process):
    ann, bob, cid = (sign_up(process, name) for name in ("ann", "bob", "cid"))
    for followee in ("bob", "cid"):
        act(process, "follow", ann, followee)
    return ann, bob, cid


@pytest.mark.parametrize("small", [0, projector.SMALL])
def test_mute_and_unmute_are_on_the_next_page_before_they_are_delivered(process, small, monkeypatch):
    monkeypatch.setattr(projector, "SMALL", small)
    ann, bob, cid = three(process)
    mine, muted, other = (act(process, "post", who, "hello @ann") for who in (ann, bob, cid))
    process.settle()
    for kind in ("home", "public", "mentions"):
        look(process, ann, kind)
    pause(process)
    act(process, "mute", ann, "bob")
    for kind, expected in (("home", [other, mine]), ("public", [other, mine]), ("mentions", [other, mine])):
        assert look(process, ann, kind) == (expected, process.backend)
    act(process, "unmute", ann, "bob")
    for kind in ("home", "public", "mentions"):
        assert look(process, ann, kind)[0] == [other, muted, mine]


def test_block_by_the_other_is_on_the_next_page(process):
    ann, bob, cid = three(process)
    mine, blocked, other = (act(process, "post", who, "hello @ann") for who in (ann, bob, cid))
    process.settle()
    for kind in ("home", "public", "mentions"):
        look(process, ann, kind)
    pause(process)
    act(process, "block", bob, "ann")
    for kind in ("home", "public", "mentions"):
        assert look(process, ann, kind)[0] == [other, mine]
    assert look(process, bob, "public")[0] == [other, blocked]


def test_the_profile_of_a_muted_author_shows_which_tweets_the_viewer_likes(process):
    ann, bob, cid = three(process)
    muted, other = (act(process, "post", who, "hello") for who in (bob, cid))
    for tweet in (muted, other):
        act(process, "like", ann, tweet)
    act(process, "mute", ann, "bob")
    process.settle()
    for _ in ("cold", "warm"):
        profile = process.timelines.page(Timeline("profile", bob), Cursor(), viewer_of(process, ann))
        assert profile.liked == {muted}
        assert look(process, ann, "likes")[0] == [other]
    act(process, "unmute", ann, "bob")
    assert look(process, ann, "likes")[0] == [other, muted]


def test_5000_mutes_cost_a_warm_page_nothing(process):
    """The same statements and round trips as of a reader who mutes nobody, also where a third of a page is hidden."""
    ann, bob, cid = three(process)
    dan = sign_up(process, "dan")
    for followee in ("bob", "cid"):
        act(process, "follow", dan, followee)
    with process.registry.database.writing_sessions.begin() as session:
        rows = [
            {"username": f"m{n}", "username_key": f"m{n}", "display_name": "x", "password_hash": ""}
            for n in range(MANY)
        ]
        session.execute(insert(User), rows)
        others = list(session.scalars(select(User.id).where(User.display_name == "x")))
        assert len(others) == MANY
        session.execute(insert(Mute), [{"from_user_id": dan, "to_user_id": other} for other in others])
        session.execute(insert(Hidden), [{"viewer_id": dan, "author_id": other} for other in others])
    for number in range(60):
        act(process, "post", (bob, cid, others[number])[number % 3], f"hello @ann @dan {number}")
    process.settle()
    for kind in ("home", "public"):
        costs = []
        for reader in (ann, dan):
            timeline, viewer = Timeline(kind, 0 if kind == "public" else reader), viewer_of(process, reader)
            for _ in range(2):
                with measure.measuring() as meter:
                    page = process.timelines.page(timeline, Cursor(), viewer)
            assert len(page.tweets) == 20
            assert meter.served_by == process.backend
            assert viewer.hidden.isdisjoint(tweet.user_id for tweet in page.tweets)
            costs.append((meter.sql, meter.round_trips))
        assert costs[0] == costs[1]


def test_concurrent_blocks_and_follows_leave_no_follow_between_blocked_people(process):
    """Four threads block, mute and follow, and undo it; then `hidden` has what the mutes and blocks say."""
    names = ["ann", "bob", "cid"]
    ids = {name: sign_up(process, name) for name in names}
    errors = []

    def live(seed):
        chance = random.Random(seed)
        for _ in range(15):
            one, other = chance.sample(names, 2)
            action = chance.choice(["block", "unblock", "mute", "unmute", "follow", "follow"])
            try:
                act(process, action, ids[one], other)
            except Refused:
                pass
            except OperationalError as error:
                errors.append(error)

    threads = [threading.Thread(target=live, args=(seed,)) for seed in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not errors
    with process.sessions() as session:
        mutes = {(row.from_user_id, row.to_user_id) for row in session.scalars(select(Mute))}
        blocks = {(row.from_user_id, row.to_user_id) for row in session.scalars(select(Block))}
        hidden = {(row.viewer_id, row.author_id) for row in session.scalars(select(Hidden))}
        follows = {(row.from_user_id, row.to_user_id) for row in session.scalars(select(Relationship))}
    assert follows.isdisjoint(blocks | {(other, one) for one, other in blocks})
    assert hidden == mutes | blocks | {(other, one) for one, other in blocks}
