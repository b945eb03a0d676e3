"""`tweeter load`: reposts and likes."""

import signal

import pytest
from sqlalchemy import delete, func, select, update

from tests.conftest import engine_on, write_ini
from tests.support.loads import (  # noqa: F401
    NOON,
    _no_breath,
    acts,
    check_counters,
    ini,
    killed_load,
    like,
    load_tweets,
    messages,
    parents,
    repost,
    tweet,
    write,
)
from tweeter import ids
from tweeter.bulk import database as bulk
from tweeter.bulk.load import tweets as writing
from tweeter.cli import main
from tweeter.db.sessions import make_sessions
from tweeter.models import Like, Mention, Relationship, Tweet, User


def test_reposts_and_likes_are_those_of_the_file_and_counted(tmp_path, ini, engine, sessions, capsys):
    lines = [
        tweet("ann", "hello", id=1),
        tweet("bob", "hi", NOON + 5, id=2, parent=1),
        repost("bob", 1, NOON + 10, id=3),
        repost("cy", 1, NOON + 20, id=4),
        repost("ann", 2, NOON + 30, id=5),
        like("cy", 1, NOON + 40, id=1),  # ids of likes identify nothing
        like("bob", 2, NOON + 35, id=9),
    ]
    assert load_tweets(tmp_path, ini, *lines) == 0
    assert capsys.readouterr().out == "Loaded 3 users, 0 follows, 2 tweets, 3 reposts, 2 likes.\n"
    for _ in range(2):
        with sessions() as session:
            assert acts(session) == {
                "reposts": [("bob", "hello"), ("cy", "hello"), ("ann", "hi")],
                "likes": [("bob", "hi"), ("cy", "hello")],
            }
            repost_ids = session.scalars(select(Tweet.id).where(Tweet.repost_of_id.is_not(None)).order_by(Tweet.id))
            assert repost_ids.all() == [ids.first_id_of_ms((NOON + n) * 1000) for n in (10, 20, 30)]
            likes = session.scalars(select(Like.id).order_by(Like.id)).all()
            assert likes == [ids.first_id_of_ms((NOON + n) * 1000) for n in (35, 40)]
        check_counters(engine)
        assert load_tweets(tmp_path, ini, *lines) == 0
        assert capsys.readouterr().out.splitlines() == [
            "Loaded 0 users, 0 follows, 0 tweets, 0 reposts, 0 likes.",
            "Already there: 2 tweets, 3 reposts, 2 likes.",
        ]


def test_a_user_reposts_and_likes_a_tweet_once(tmp_path, ini, engine, sessions, capsys):
    lines = [tweet("ann", "hello", id=1), *[repost("bob", 1, NOON + n) for n in (9, 3, 6)], *[like("bob", 1)] * 2]
    for _ in range(2):
        assert load_tweets(tmp_path, ini, *lines) == 0
        assert "More than once in the files: 2 reposts, 1 likes." in capsys.readouterr().out
        with sessions() as session:
            assert acts(session) == {"reposts": [("bob", "hello")], "likes": [("bob", "hello")]}
            first = session.scalars(select(Tweet.id).where(Tweet.repost_of_id.is_not(None))).one()
            assert first == ids.first_id_of_ms((NOON + 3) * 1000)
    check_counters(engine)


def test_what_is_about_a_repost_is_about_its_tweet(tmp_path, ini, engine, sessions):
    lines = [
        tweet("ann", "hello", id=1),
        repost("bob", 1, NOON + 1, id=2),
        repost("cy", 2, NOON + 2, id=3),
        repost("dan", 3, NOON + 3),
        like("dan", 3, NOON + 4),
        tweet("eve", "hi", NOON + 5, parent=3),
    ]
    assert load_tweets(tmp_path, ini, *lines) == 0
    with sessions() as session:
        assert acts(session) == {
            "reposts": [(name, "hello") for name in ("bob", "cy", "dan")],
            "likes": [("dan", "hello")],
        }
        assert parents(session) | {"": None} == {"hello": None, "hi": "hello", "": None}
    check_counters(engine)


def test_reposts_and_likes_find_tweets_of_earlier_files(tmp_path, ini, engine, sessions, capsys):
    later = [repost("bob", 1, NOON + 9), like("bob", 1, NOON + 9)]
    assert load_tweets(tmp_path, ini, *later) == 0
    told = capsys.readouterr()
    assert "later.jsonl" not in told.err
    assert "tweets.jsonl:1: there is no tweet '1' yet; the repost was skipped" in told.err
    assert "tweets.jsonl:2: there is no tweet '1' yet; the like was skipped" in told.err
    assert "Reposts and likes that were skipped: 2." in told.out
    assert load_tweets(tmp_path, ini, tweet("ann", "hello", id=1)) == 0
    for _ in range(2):
        assert load_tweets(tmp_path, ini, *later) == 0
        with sessions() as session:
            assert acts(session) == {"reposts": [("bob", "hello")], "likes": [("bob", "hello")]}
    check_counters(engine)


def test_in_a_file_with_the_newest_first_reposts_find_their_tweets(tmp_path, ini, sessions):
    lines = [like("bob", 1, NOON + 9), repost("bob", 1, NOON + 5), tweet("ann", "hello", id=1)]
    assert load_tweets(tmp_path, ini, *lines) == 0
    with sessions() as session:
        assert acts(session) == {"reposts": [("bob", "hello")], "likes": [("bob", "hello")]}


def test_within_a_millisecond_a_repost_follows_its_tweet_and_keeps_its_place_among_others(tmp_path, ini, sessions):
    lines = [repost("bob", 7, id=6), tweet("ann", "hello", id=7), tweet("cy", "more", id=9), repost("cy", 7, id=8)]
    for _ in range(2):
        assert load_tweets(tmp_path, ini, *lines) == 0
        with sessions() as session:
            found = session.execute(select(Tweet.message, Tweet.repost_of_id.is_not(None)).order_by(Tweet.id)).all()
            assert found == [("hello", False), ("", True), ("", True), ("more", False)]


@pytest.mark.parametrize("act", [repost, like])
def test_what_is_dated_before_its_tweet_is_skipped(tmp_path, ini, engine, sessions, capsys, act):
    for _ in range(2):
        assert load_tweets(tmp_path, ini, tweet("ann", "hello", NOON + 1, id=1), act("bob", 1)) == 0
        assert f":2: it is dated before its tweet '1'; the {act.__name__} was skipped" in capsys.readouterr().err
    assert load_tweets(tmp_path, ini, act("cy", 1)) == 0
    assert "is dated before" in capsys.readouterr().err
    with sessions() as session:
        assert acts(session) == {"reposts": [], "likes": []}
    check_counters(engine)


@pytest.mark.parametrize("act", [repost, like])
def test_reposts_that_only_refer_to_each_other_are_skipped(tmp_path, ini, sessions, capsys, act):
    circle = [repost("ann", n % 3 + 1, id=n) for n in (1, 2, 3)]
    assert load_tweets(tmp_path, ini, *circle, repost("ann", 4, id=4), act("bob", 2), tweet("ann", "x")) == 0
    assert "Reposts and likes that were skipped: 5." in capsys.readouterr().out
    with sessions() as session:
        assert messages(session) == ["x"]
        assert acts(session) == {"reposts": [], "likes": []}


@pytest.mark.parametrize("act", [repost, like])
def test_blocks_and_closed_accounts_are_respected(tmp_path, ini, acting, sessions, capsys, act):
    assert load_tweets(tmp_path, ini, *[tweet(name, name, id=name) for name in ("ann", "bob", "cy", "dan")]) == 0
    with acting() as actions:
        user = {name: actions.find(name).id for name in ("ann", "bob", "cy", "dan")}
        actions.block(user["ann"], "bob")
        actions.close_account(user["dan"])
    lines = [act("ann", "bob", NOON + 1), act("bob", "ann", NOON + 1), act("bob", "dan", NOON + 1)]
    assert load_tweets(tmp_path, ini, *lines, act("cy", "ann", NOON + 1)) == 0
    told = capsys.readouterr().err
    assert told.count("one of the two users blocks the other; the") == 2
    assert "there is no tweet 'dan' yet" in told
    with sessions() as session:
        assert acts(session)[f"{act.__name__}s"] == [("cy", "ann")]


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ({"repost": 1, "message": "x"}, "expected one of message, repost and like"),
        ({"like": 1, "repost": 1}, "expected one of message, repost and like"),
        ({"repost": ""}, "expected one of message, repost and like"),
        ({"repost": 1, "parent": 1}, "a repost has no parent"),
        ({"like": 1, "parent": 1}, "a like has no parent"),
        ({"repost": 1.5}, "repost: expected"),
        ({"like": ["1"]}, "like: expected"),
    ],
)
def test_invalid_reposts_and_likes_are_reported(tmp_path, sqlite_url, capsys, line, reason):
    ini = write_ini(tmp_path, sqlite_url)
    assert load_tweets(tmp_path, ini, tweet("ann", "x", id=1), {"user": "bob", "date": NOON, **line}) == 0
    told = capsys.readouterr()
    assert f"tweets.jsonl:2: {reason}" in told.err
    assert told.out == "Loaded 1 users, 0 follows, 1 tweets.\nBad lines, skipped: 1.\n"


def test_likes_of_one_moment_have_ids_of_their_own(tmp_path, ini, engine, sessions, monkeypatch):
    monkeypatch.setattr(bulk, "BATCH", {"sqlite": 1000, "postgresql": 1000})
    lines = [tweet("ann", "hello", id=1), *[like(f"p{n}", 1) for n in range(4100)]]
    for parts in (lines[:2000], lines, lines):
        assert load_tweets(tmp_path, ini, lines[0], *parts) == 0
    with sessions() as session:
        assert len(set(session.scalars(select(Like.id)))) == 4100
    check_counters(engine)


def test_next_load_completes_a_killed_one(tmp_path, ini, engine, sessions):
    """The rows are those of a load that was not interrupted."""
    lines = [tweet("ann", f"{n}", NOON + n // 9, id=n) for n in range(20)]
    lines += [act(f"p{n % 5}", n * 7 % 20, NOON + n // 9 + 1) for n in range(20) for act in (repost, like)]
    arguments = ["load", ini, "--tweets", write(tmp_path, "t.jsonl", lines)]
    for commits in (3, 4, 6, 5):  # of users, of tweets and reposts, of likes
        assert killed_load(commits, *arguments) == -signal.SIGKILL
        check_counters(engine)

    def rows():
        with sessions() as session:
            tweets = session.execute(
                select(Tweet.id, Tweet.user_id, Tweet.message, Tweet.repost_of_id).order_by(Tweet.id)
            )
            return tweets.all(), session.execute(select(Like.id, Like.user_id, Like.tweet_id).order_by(Like.id)).all()

    assert main(arguments) == 0
    interrupted = rows()
    with sessions.begin() as session:
        assert session.scalar(select(func.count()).select_from(Like)) == 20
        session.execute(delete(Like))
        session.execute(delete(Tweet))
        session.execute(update(User).values(tweets_count=0))
    assert main(arguments) == 0
    assert rows() == interrupted
    check_counters(engine)


def test_a_tweet_deleted_during_the_load_gets_no_repost(tmp_path, postgresql_url, monkeypatch):
    ini = write_ini(tmp_path, postgresql_url)
    assert load_tweets(tmp_path, ini, tweet("ann", "hello", id=1), tweet("ann", "stays", id=2)) == 0
    find = writing.find_reposts
    deleted = []

    def find_and_delete(database, after, last):
        found = find(database, after, last)
        if not deleted:
            deleted.append(True)
            with engine_on(postgresql_url) as engine, make_sessions(engine).begin() as session:
                session.execute(delete(Tweet).where(Tweet.message == "hello"))
                session.execute(update(User).values(tweets_count=User.tweets_count - 1).where(User.username == "ann"))
        return found

    monkeypatch.setattr(writing, "find_reposts", find_and_delete)
    assert load_tweets(tmp_path, ini, repost("bob", 1, NOON + 1), repost("bob", 2, NOON + 1)) == 0
    with engine_on(postgresql_url) as engine:
        with make_sessions(engine)() as session:
            assert session.scalars(select(Tweet.repost_of_id).where(Tweet.message == "")).all() == [
                session.scalars(select(Tweet.id).where(Tweet.message == "stays")).one()
            ]
        check_counters(engine)


@pytest.mark.parametrize("blocker", ["ann", "bob"])
def test_a_block_prevents_follows_and_mentions(tmp_path, ini, engine, acting, sessions, capsys, blocker):
    follows = write(tmp_path, "follows.txt", ["ann bob", "bob ann", "ann cy"])
    assert main(["load", ini, "--follows", follows]) == 0
    with acting() as actions:
        actions.block(actions.find(blocker).id, "bob" if blocker == "ann" else "ann")
    capsys.readouterr()
    lines = [tweet("ann", "hello @bob @cy"), tweet("bob", "hi @ann @cy")]
    assert load_tweets(tmp_path, ini, *lines, options=["--follows", follows]) == 0
    said = capsys.readouterr().out.splitlines()
    assert said == [
        "Loaded 0 users, 0 follows, 2 tweets.",
        "Already there: 1 follows.",
        "Follows prevented by a block: 2.",
    ]
    with sessions() as session:
        assert session.scalar(select(func.count()).select_from(Relationship)) == 1
        mentioned = select(User.username).join(Mention, Mention.user_id == User.id)
        assert session.scalars(mentioned).all() == ["cy", "cy"]
    check_counters(engine)
