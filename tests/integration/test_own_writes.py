"""The viewer's own writes are on the next page, from the store, before the relay delivers them."""

import random
from contextlib import closing

import pytest
from sqlalchemy import select, text

from tests.support.children import SECONDS, act, pause, sign_up
from tweeter import measure
from tweeter.models import User
from tweeter.testing import Process
from tweeter.timelines.freshness import PENDING
from tweeter.timelines.pull import PullTimelines
from tweeter.values import Cursor, Page, Timeline, TweetView, Viewer
from tweeter.web.views import pages

OPERATIONS = 25


@pytest.fixture(params=["redis", "memcached", "memory"])
def process(request, database_url, stores):
    with closing(Process(database_url, request.param, **stores)) as process:
        yield process


def look(process, viewer, timeline, limit=10):
    """A page for the viewer, the backend that served it, and the page from SQL."""
    with process.sessions() as session:
        written = session.scalar(select(User.last_write).where(User.id == viewer))
    cursor, reader = Cursor(limit=limit), Viewer(viewer, written)
    with measure.measuring() as meter:
        page = process.timelines.page(timeline, cursor, reader)
    return page, meter.served_by, PullTimelines("sql", process.sessions, process.kinds).page(timeline, cursor, reader)


@pytest.mark.parametrize("seed", range(3))
def test_own_writes_of_the_viewer_are_merged(process, seed):
    """One user writes; every page with the change equals SQL's and comes from the store."""
    chance = random.Random(seed)
    ann, bob, cid = (sign_up(process, name) for name in ("ann", "bob", "cid"))
    follows = {"bob"}
    act(process, "follow", ann, "bob")
    act(process, "follow", bob, "ann")
    mine = [act(process, "post", ann, f"old {number}") for number in range(3)]
    answers = [act(process, "post", bob, f"answer to {tweet}", tweet) for tweet in mine]
    for number in range(20):
        act(process, "post", cid, f"{number}")
    timelines = [Timeline("public"), Timeline("home", ann), Timeline("profile", ann), Timeline("profile", bob)]
    assert process.delivery.drain(SECONDS)
    for timeline in timelines[seed:]:  # the others are cold
        look(process, ann, timeline)
    pause(process)
    for number in range(OPERATIONS):
        match chance.choice(
            ["post", "reply", "delete", "rename", "follow", "follow", "repost", "undo", "like", "unlike"]
        ):
            case "post":
                mine.append(act(process, "post", ann, f"post {number}"))
            case "reply":
                mine.append(act(process, "post", ann, f"reply {number}", chance.choice([*mine, *answers])))
            case "delete" if mine:
                act(process, "delete", ann, mine.pop(chance.randrange(len(mine))))
            case "follow":
                name = chance.choice(["bob", "cid"])
                act(process, "unfollow" if name in follows else "follow", ann, name)
                follows ^= {name}
            case "repost" | "like" as name:
                act(process, name, ann, chance.choice([*mine, *answers]))
            case "undo" | "unlike" as name:
                act(process, "undo_repost" if name == "undo" else name, ann, chance.choice([*mine, *answers]))
            case _:
                act(process, "change_profile", ann, f"Ann {number}", "")
        for timeline in timelines:
            page, by, expected = look(process, ann, timeline, limit=chance.choice([3, 10]))
            assert page == expected
            assert by == process.backend


def test_posts_of_others_wait_for_the_relay(process):
    ann, bob = sign_up(process, "ann"), sign_up(process, "bob")
    act(process, "follow", ann, "bob")
    assert process.delivery.drain(SECONDS)
    look(process, ann, Timeline("home", ann))
    pause(process)
    act(process, "post", bob, "hello")
    mine = act(process, "post", ann, "hello")
    page, by, _ = look(process, ann, Timeline("home", ann))
    assert ([tweet.id for tweet in page.tweets], by) == ([mine], process.backend)


def test_sql_serves_the_page_behind_many_events(process):
    ann, bob = sign_up(process, "ann"), sign_up(process, "bob")
    assert process.delivery.drain(SECONDS)
    look(process, ann, Timeline("home", ann))
    pause(process)
    with process.acting() as actions:
        for number in range(PENDING):
            actions.post(bob, f"{number}")
    mine = act(process, "post", ann, "hello")
    page, by, expected = look(process, ann, Timeline("home", ann))
    assert [tweet.id for tweet in page.tweets] == [mine]
    assert (page, by) == (expected, f"{process.backend}, from SQL")


def test_follows_are_merged_in_the_order_of_their_commits(postgresql_url):
    """An unfollow in a transaction that began earlier, and commits later than the follow."""
    with closing(Process(postgresql_url, "memory")) as process:
        ann, bob = sign_up(process, "ann"), sign_up(process, "bob")
        act(process, "post", bob, "hello")
        assert process.delivery.drain(SECONDS)
        look(process, ann, Timeline("home", ann))
        pause(process)
        with process.sessions() as late:
            late.execute(text("SELECT pg_current_xact_id()"))
            act(process, "follow", ann, "bob")
            process.actions(late).unfollow(ann, "bob")
            late.commit()
        page, by, expected = look(process, ann, Timeline("home", ann))
        assert (page, by) == (expected, "memory")


def test_tweet_of_others_just_before_an_own_tweet_is_announced():
    """The own tweet is on the page first, so the poll asks for ids above the newest tweet of others."""
    own, other, older = (TweetView(id_, user, "name", "Name", "hello", 0) for id_, user in ((9, 1), (7, 2), (5, 1)))
    assert "since=7" in pages._since(Page((own, other, older), None), 1)
    assert "since=9" in pages._since(Page((own, other, older), None), None)
    assert "since=5" in pages._since(Page((own, older), None), 1)
