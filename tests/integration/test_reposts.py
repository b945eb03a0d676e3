"""Reposts and likes: each tweet once, at its newest reason; marks and counts without SQL on a warm page."""

import threading
from contextlib import closing
from functools import partial

import pytest
from sqlalchemy import func, select

from tests.support.children import SECONDS, act, sign_up
from tweeter import measure
from tweeter.db.chunks import in_chunks
from tweeter.errors import Missing, NotYours, Refused
from tweeter.ids import MAX_ID
from tweeter.models import CounterChange, DeletedTweet, Like, Tweet
from tweeter.services import counters
from tweeter.services.closing import remove_some_of_deleted
from tweeter.testing import Process
from tweeter.timelines import projector, streams
from tweeter.timelines.pull import PullTimelines
from tweeter.timelines.queries import load_tweets
from tweeter.values import Cursor, Timeline, Viewer

CAPACITY = 10
# Each store, and each database; the property test of law 1 has all combinations.
PLACES = [("memory", "sqlite"), ("memcached", "sqlite"), ("redis", "postgresql"), ("table", "postgresql")]


@pytest.fixture(params=PLACES, ids=" on ".join)
def process(request, stores):
    backend, database = request.param
    url = request.getfixturevalue(f"{database}_url")
    with closing(Process(url, backend, **{"tweeter.capacity": str(CAPACITY)}, **stores)) as process:
        yield process


@pytest.fixture
def on_sql(database_url):
    with closing(Process(database_url, "sql")) as process:
        yield process


def friends(process, count=4):
    """Ann, who follows all others, and these."""
    ann, *others = (sign_up(process, f"p{number}") for number in range(count))
    for number in range(1, count):
        act(process, "follow", ann, f"p{number}")
    return ann, *others


def home(process, viewer, limit=20, before=MAX_ID + 1):
    """A page of the home timeline from the backend, which equals SQL's."""
    assert process.delivery.drain(SECONDS)
    timeline, cursor = Timeline("home", viewer), Cursor(before=before, limit=limit)
    page = process.timelines.page(timeline, cursor, Viewer(viewer))
    assert page == PullTimelines("sql", process.sessions, process.kinds).page(timeline, cursor, Viewer(viewer))
    return page


def reasons(page):
    """Each tweet, the user who reposted it, and how many others did."""
    reposts = [page.reposts.get(tweet.id) for tweet in page.tweets]
    return [
        (tweet.id, *((repost.user_id, repost.others) if repost else ()))
        for tweet, repost in zip(page.tweets, reposts, strict=True)
    ]


def test_the_newest_repost_places_a_tweet_and_its_undo_brings_back_the_next(process):
    ann, bob, cid, dan = friends(process)
    first, second = (act(process, "post", bob, text) for text in ("one", "two"))
    assert reasons(home(process, ann)) == [(second,), (first,)]
    act(process, "repost", cid, first)
    act(process, "repost", dan, first)
    assert reasons(home(process, ann)) == [(first, dan, 1), (second,)]
    assert reasons(home(process, cid)) == [(first, cid, 0)]
    act(process, "undo_repost", dan, first)
    assert reasons(home(process, ann)) == [(first, cid, 0), (second,)]
    act(process, "undo_repost", cid, first)
    assert reasons(home(process, ann)) == [(second,), (first,)]


def test_reposts_below_the_floor_are_counted(process):
    ann, bob, cid, dan = friends(process)
    old = act(process, "post", sign_up(process, "stranger"), "old")
    act(process, "repost", bob, old)
    act(process, "repost", cid, old)
    home(process, ann)
    for number in range(3 * CAPACITY):
        act(process, "post", bob, f"{number}")
    act(process, "repost", dan, old)
    page = home(process, ann)
    assert reasons(page)[0] == (old, dan, 2)
    while page.older:
        page = home(process, ann, limit=7, before=page.older)
        assert old not in [tweet.id for tweet in page.tweets]


def test_deleting_the_original_removes_all_reposts(process):
    ann, bob, cid, _ = friends(process)
    tweet = act(process, "post", bob, "one")
    repost = act(process, "repost", cid, tweet)
    act(process, "like", cid, tweet)
    home(process, ann)
    act(process, "delete", bob, tweet)
    assert reasons(home(process, ann)) == []
    assert sum(in_chunks(process.sessions, remove_some_of_deleted)) == 3  # the repost, the like, and the mark
    with process.sessions() as session:
        assert [session.scalar(select(func.count()).select_from(table)) for table in (Tweet, Like, DeletedTweet)] == [
            0
        ] * 3
    assert reasons(home(process, ann)) == []
    with pytest.raises(Missing):
        act(process, "repost", cid, repost)


def test_a_repost_of_a_repost_is_one_of_the_tweet_and_each_user_has_one(process):
    ann, bob, cid, dan = friends(process)
    tweet = act(process, "post", bob, "one")
    repost = act(process, "repost", cid, tweet)
    assert act(process, "repost", cid, tweet) == repost
    assert act(process, "repost", dan, repost) != repost
    page = home(process, ann)
    assert reasons(page) == [(tweet, dan, 1)]
    assert page.tweets[0].reposts == 2
    with pytest.raises(NotYours):
        act(process, "delete", dan, repost)
    act(process, "delete", cid, repost)
    assert home(process, ann).tweets[0].reposts == 1


def test_a_large_fan_out_of_a_repost_is_a_stream_like_a_posts(process, monkeypatch):
    for module, name, value in ((streams, "STRETCH", 2), (streams, "CHUNK", 1), (projector, "SMALL", 0)):
        monkeypatch.setattr(module, name, value)
    ann, bob, *_ = friends(process)
    for fan in ("p2", "p3"):
        act(process, "follow", bob, fan)
    tweet = act(process, "post", sign_up(process, "stranger"), "one")
    home(process, ann)
    act(process, "repost", bob, tweet)
    assert reasons(home(process, ann)) == [(tweet, bob, 0)]


def warm_up(process, viewer, timeline):
    for _ in range(3):
        process.timelines.page(timeline, Cursor(), Viewer(viewer))


@pytest.mark.parametrize("kind", ["home", "public"])
def test_a_warm_page_with_reposts_and_marks_takes_two_round_trips_and_no_sql(process, kind):
    ann, bob, cid, dan = friends(process)
    tweets = [act(process, "post", bob, f"{number}") for number in range(CAPACITY // 2)]
    for user in (cid, dan, ann):
        act(process, "repost", user, tweets[0])
    act(process, "like", ann, tweets[1])
    timeline = Timeline(kind, ann if kind == "home" else 0)
    home(process, ann)
    warm_up(process, ann, timeline)
    with measure.measuring() as meter:
        page = process.timelines.page(timeline, Cursor(), Viewer(ann))
    assert (page.liked, page.reposted) == ({tweets[1]}, {tweets[0]})
    assert {tweet.id: (tweet.reposts, tweet.likes) for tweet in page.tweets if tweet.reposts or tweet.likes} == {
        tweets[0]: (3, 0), tweets[1]: (0, 1)
    }  # fmt: skip
    if process.backend == "table":  # it is the database: a statement is its round trip
        assert meter.sql <= 3
    else:
        assert meter.sql == 0
    assert meter.round_trips <= 2


def test_marks_of_tweets_older_than_the_latest_likes_are_exact(process):
    ann, bob, *_ = friends(process)
    tweets = [act(process, "post", bob, f"{number}") for number in range(3 * CAPACITY)]
    for tweet in tweets[::2]:
        act(process, "like", ann, tweet)
    assert home(process, ann, limit=100).liked == set(tweets[::2])
    act(process, "unlike", ann, tweets[0])
    page = home(process, ann, limit=100)
    assert page.liked == set(tweets[2::2])
    assert sum(tweet.likes for tweet in page.tweets) == len(page.liked)


def test_blocked_people_can_neither_repost_nor_like(on_sql):
    ann, bob, *_ = friends(on_sql)
    tweet = act(on_sql, "post", bob, "one")
    act(on_sql, "block", bob, "p0")
    for name in ("repost", "like"):
        with pytest.raises(Refused):
            act(on_sql, name, ann, tweet)


def test_who_blocked_somebody_reposts_likes_and_replies_to_their_own_tweets(on_sql):
    ann, *_ = friends(on_sql)
    tweet = act(on_sql, "post", ann, "one") or 0
    act(on_sql, "block", ann, "p1")
    act(on_sql, "repost", ann, tweet)
    act(on_sql, "like", ann, tweet)
    act(on_sql, "post", ann, "two", tweet)
    with on_sql.sessions() as session:
        view = load_tweets(session, [tweet])[tweet]
    assert (view.reposts, view.likes, view.replies) == (1, 1, 1)


def test_counts_are_exact_while_many_people_like_and_others_count(on_sql):
    """Every reader sees a count that only grows, and that ends with the number of likes."""
    people = [sign_up(on_sql, f"p{number}") for number in range(8)]
    tweet, *tweets = [act(on_sql, "post", people[0], f"{number}") or 0 for number in range(6)]
    seen, over = [], threading.Event()

    def like(user):
        for each in [tweet, *tweets]:
            act(on_sql, "like", user, each)
            act(on_sql, "like", user, each)

    def count():
        while not over.is_set():
            sum(in_chunks(on_sql.sessions, partial(counters.count_some, limit=3), lambda: not over.is_set()))
            with on_sql.sessions() as session:
                seen.append(load_tweets(session, [tweet])[tweet].likes)

    counting, *liking = (
        threading.Thread(target=count),
        *(threading.Thread(target=like, args=[user]) for user in people),
    )
    for each in (counting, *liking):
        each.start()
    for each in liking:
        each.join()
    over.set()
    counting.join()
    sum(in_chunks(on_sql.sessions, counters.count_some))
    assert seen == sorted(seen)
    with on_sql.sessions() as session:
        assert not counters.due(on_sql.sessions)
        assert {view.likes for view in load_tweets(session, [tweet, *tweets]).values()} == {len(people)}
        assert set(session.scalars(select(Tweet.likes_count).where(Tweet.id.in_([tweet, *tweets])))) == {len(people)}
        assert session.scalar(select(func.count()).select_from(CounterChange)) == 0
