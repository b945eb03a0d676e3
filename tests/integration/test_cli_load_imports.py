"""`tweeter load --user`: a Twitter archive, and the follows of a Mastodon account."""

import gzip
import json
from typing import Any

import pytest
from sqlalchemy import select
from sqlalchemy.orm import aliased

from tests.support.loads import _no_breath, check_counters, ini, messages, parents, usernames, write  # noqa: F401
from tweeter import ids
from tweeter.bulk.load import files
from tweeter.cli import main
from tweeter.models import Relationship, Tweet, User

HEADER = "Account address,Show boosts,Notify on new posts,Languages"


@pytest.fixture
def ann(acting):
    with acting() as actions:
        return actions.sign_up("Ann", "a good password").id


def entry(id_: int, text: str, date: str = "Wed Oct 10 20:19:24 +0000 2018", **more: Any) -> dict[str, Any]:
    return {"id_str": str(id_), "id": str(id_), "full_text": text, "created_at": date, "lang": "en", **more}


def archive(folder, entries, beginning="window.YTD.tweets.part0 = ", name="tweets.js", wrapped=True):
    path = folder / name
    shown = [{"tweet": each} for each in entries] if wrapped else entries
    content = (beginning + json.dumps(shown, indent=2)).encode()
    path.write_bytes(gzip.compress(content) if name.endswith(".gz") else content)
    return str(path)


def load_archive(ini, path, *options):
    return main(["load", ini, "--twitter-archive", path, "--user", "@ann", *options])


def test_each_link_of_an_archive_is_replaced_once(tmp_path, ini, ann, sessions):
    links = {
        "https://t.co/abc": "https://example.com/x",
        "https://t.co/abcd": "https://t.co/abc",
        "https://t.co/e": None,
    }
    urls = [{"url": url, "expanded_url": target} for url, target in links.items()]
    tweets = [
        entry(1, "https://t.co/abcd https://t.co/abc https://t.co/e", entities={"urls": urls}),
        entry(2, "no links", entities=None),
        entry(3, "none either", entities={"urls": None}),
    ]
    assert load_archive(ini, archive(tmp_path, tweets)) == 0
    with sessions() as session:
        messages = set(session.scalars(select(Tweet.message)))
    assert messages == {"https://t.co/abc https://example.com/x https://t.co/e", "no links", "none either"}


@pytest.mark.parametrize("chunk", [40, 1 << 20])
def test_the_tweets_of_an_archive_are_those_of_the_user(
    tmp_path, ini, ann, engine, sessions, capsys, monkeypatch, chunk
):
    monkeypatch.setattr(files, "CHUNK", chunk)
    link = {"url": "https://t.co/abc", "expanded_url": "https://example.com/?a=1&b=2", "indices": ["0", "1"]}
    tweets = [
        entry(1050118621198921730, "@bob me, too \U0001f600", in_reply_to_status_id_str="1050118621198921728"),
        entry(1050118621198921728, "a &lt; b &amp;&amp; c &amp;lt; https://t.co/abc", entities={"urls": [link]}),
        entry(20, "just setting up", "Tue Mar 21 20:50:14 +0000 2006", entities={}),
        entry(30, "RT @bob: long …", "Tue Mar 21 23:50:14 +0300 2006", in_reply_to_status_id_str=None),
    ]
    path = archive(tmp_path, tweets)
    assert load_archive(ini, path) == 0
    assert capsys.readouterr().out.splitlines() == [
        "Loaded 0 users, 0 follows, 4 tweets.",
        "Retweets loaded as tweets: 1.",
    ]
    text = "a < b && c &lt; https://example.com/?a=1&b=2"
    with sessions() as session:
        assert messages(session) == ["just setting up", "RT @bob: long …", text, "@bob me, too \U0001f600"]
        assert parents(session)["@bob me, too \U0001f600"] == text
        rows = session.scalars(select(Tweet).order_by(Tweet.id)).all()
        assert {row.user_id for row in rows} == {ann}
        assert [round(ids.date_of(row.id).timestamp()) for row in rows] == [
            1142974214,
            1142974214,
            1539202764,
            1539202764,
        ]
        assert usernames(session) == ["Ann"]
    check_counters(engine)
    assert load_archive(ini, path) == 0
    assert "Already there: 4 tweets." in capsys.readouterr().out


@pytest.mark.parametrize(
    ("beginning", "name", "wrapped"),
    [
        ("window.YTD.tweet.part0 = ", "tweet.js", True),
        ("window.YTD.tweet.part0=", "tweet.js", False),
        ("\n window.YTD.tweets.part1 = ", "tweets-part1.js.gz", True),
    ],
)
def test_older_and_further_files_of_an_archive_are_read(tmp_path, ini, ann, sessions, beginning, name, wrapped):
    assert load_archive(ini, archive(tmp_path, [entry(1, "x")], beginning, name, wrapped)) == 0
    with sessions() as session:
        assert messages(session) == ["x"]


def test_bad_tweets_of_an_archive_are_reported_with_their_numbers(tmp_path, ini, ann, sessions, capsys):
    tweets = [
        entry(1, "x"),
        entry(2, "y" * 1401),
        entry(3, "z", "2018-10-10"),
        entry(4, "z", "Wed Oct 10 20:19:24 +0000 1999"),
        {"id_str": "5"},
        entry(6, "&#8203;"),
        None,
    ]
    path = archive(tmp_path, tweets, wrapped=False)
    assert load_archive(ini, path) == 0
    told = capsys.readouterr()
    for problem in (
        "tweets.js:2: the message is longer than 1,400 characters",
        "tweets.js:3: '2018-10-10' is not a date: expected Wed Oct",
        "tweets.js:4: 939586764 (1999-10-10) is before 2006",
        "tweets.js:5: object missing required field `full_text`",
        "tweets.js:6: the message is empty",
        "tweets.js:7: expected `object`, got `null`",
    ):
        assert problem in told.err
    assert "Bad lines, skipped: 6." in told.out
    assert load_archive(ini, path, "--strict") == 1
    with sessions() as session:
        assert messages(session) == ["x"]


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (b"", "after 0 tweets: it is empty"),
        (b'{"user": "ann"}', "is not the tweets.js of a Twitter archive"),
        (b'window.YTD.like.part0 = [ {"like": {}} ]', "contains the like of a Twitter archive"),
        (b'window.YTD.deleted_tweets.part0 = [ {"tweet": {}} ]', "contains the deleted_tweets"),
        (b'window.YTD.tweets.part0 = [ {"tweet": {}}, {"tweet": {"id', "ends in the middle, after 1 tweets"),
        (b'window.YTD.tweets.part0 = [ {"tweet": {}}, {"tweet": nonsense} ]', "is damaged, or ends"),
        (b'window.YTD.tweets.part0 = [ {"tweet": "\xff"} ]', "is not UTF-8"),
        (b"window.YTD.tweets.part0 = [ " + b"[" * 100_000, "is damaged, or ends"),
    ],
)
def test_other_and_damaged_files_load_nothing(tmp_path, ini, ann, sessions, capsys, content, problem):
    (tmp_path / "tweets.js").write_bytes(content)
    assert load_archive(ini, str(tmp_path / "tweets.js")) == 1
    assert problem in capsys.readouterr().err
    with sessions() as session:
        assert messages(session) == []


def load_accounts(folder, ini, *rows):
    return main(["load", ini, "--mastodon-follows", write(folder, "following_accounts.csv", rows), "--user", "ann"])


def followees(session):
    follower, followee = aliased(User), aliased(User)
    rows = select(follower.username, followee.username).select_from(Relationship)
    rows = rows.join(follower, follower.id == Relationship.from_user_id)
    return sorted(map(tuple, session.execute(rows.join(followee, followee.id == Relationship.to_user_id))))


def test_accounts_with_a_user_of_that_name_are_followed(tmp_path, ini, ann, acting, sessions, capsys):
    with acting() as actions:
        for name in ("bob", "cy", "dan", "eve", "7"):
            user = actions.sign_up(name, "a good password").id
            if name == "cy":
                actions.block(user, "ann")
            if name == "dan":
                actions.close_account(user)
            if name == "eve":
                actions.follow(ann, "eve")
    rows = [
        HEADER,
        "Bob@mastodon.example,true,false,",
        'eve@mastodon.example,true,false,"en, de"',
        "cy@mastodon.example,true,false,",
        "dan@mastodon.example,true,false,",
        "someone.else@other.example,true,false,",
        "ann@mastodon.example,true,false,",
        "7@other.example,true,false,",
        "@bob@other.example",
        "",
        "two words,true,false,",
    ]
    assert load_accounts(tmp_path, ini, *rows) == 0
    told = capsys.readouterr()
    assert told.out.splitlines() == [
        "Loaded 0 users, 2 follows, 0 tweets.",
        "Already there: 1 follows.",
        "More than once in the files: 1 follows.",
        "Bad lines, skipped: 1.",
        "Accounts that were not followed: 4.",
    ]
    for problem in (
        "following_accounts.csv:4: one of Ann and cy blocks the other",
        "following_accounts.csv:5: there is no user called 'dan' here",
        "following_accounts.csv:6: there is no user called 'someone.else' here",
        "following_accounts.csv:7: Ann can't follow themselves",
        "following_accounts.csv:11: 'two words' is not an account address: expected name@server",
    ):
        assert problem in told.err
    with sessions() as session:
        assert followees(session) == [("Ann", "7"), ("Ann", "bob"), ("Ann", "eve")]
        assert session.get_one(User, ann).following_count == 3


def test_a_list_of_muted_accounts_is_refused(tmp_path, ini, ann, acting, sessions, capsys):
    with acting() as actions:
        actions.sign_up("bob", "a good password")
    assert load_accounts(tmp_path, ini, "Account address,Hide notifications", "bob@mastodon.example,true") == 1
    assert "lists muted accounts, not followed ones" in capsys.readouterr().err
    with sessions() as session:
        assert followees(session) == []


def test_an_unknown_user_is_not_added(tmp_path, ini, sessions, capsys):
    assert load_accounts(tmp_path, ini, HEADER, "bob@mastodon.example,true,false,") == 1
    assert "There is no user called 'ann'. Add one: tweeter user add INI NAME" in capsys.readouterr().err
    assert load_archive(ini, archive(tmp_path, [entry(1, "x")])) == 1
    with sessions() as session:
        assert usernames(session) == []


def test_options_that_do_not_go_together_are_refused(tmp_path, ini, capsys):
    for options in (
        ["--user", "ann"],
        ["--twitter-archive", "t"],
        ["--tweets", "t", "--user", "ann"],
        ["--tweets", "t", "--mastodon-follows", "f", "--user", "ann"],
    ):
        with pytest.raises(SystemExit) as stopped:
            main(["load", ini, *options])
        assert stopped.value.code == 2
        assert "usage:" in capsys.readouterr().err
