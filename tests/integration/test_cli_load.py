"""`tweeter load`: files, valid and invalid, become people, follows and tweets."""

import gzip
import json
import os
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import pytest
from sqlalchemy import select

from tests.conftest import write_ini
from tests.support.loads import (  # noqa: F401
    _no_breath,
    check_counters,
    ini,
    load_follows,
    load_tweets,
    messages,
    parents,
    tweet,
    usernames,
    write,
)
from tweeter import ids
from tweeter.cli import main
from tweeter.models import Mention, OutboxEvent, Tweet, User


def test_both_files_become_people_follows_tweets_and_mentions(tmp_path, ini, engine, sessions, capsys):
    follows = write(tmp_path, "f.txt.gz", ["# who follows whom", "Ann bob", "", "12 ann # a number", "bob Ann"])
    tweets = write(tmp_path, "t.jsonl", [tweet(12, "hi @ANN and @nobody"), tweet("ann", "hi @u12", "2012-07-01")])
    assert main(["load", ini, "--follows", follows, "--tweets", tweets]) == 0
    assert "Loaded 3 users, 3 follows, 2 tweets." in capsys.readouterr().out
    with sessions() as session:
        assert usernames(session) == ["Ann", "bob", "u12"]
        ann = session.scalars(select(User).where(User.username_key == "ann")).one()
        assert (ann.display_name, ann.password_hash) == ("Ann", "")
        assert (ann.following_count, ann.followers_count, ann.tweets_count) == (1, 2, 1)
        assert messages(session) == ["hi @u12", "hi @ANN and @nobody"]
        midnight = session.scalars(select(Tweet).order_by(Tweet.id)).first()
        assert midnight is not None
        assert midnight.date == datetime(2012, 7, 1, tzinfo=UTC)
        assert midnight.id == ids.first_id(midnight.date)
        named = session.execute(
            select(User.username, Tweet.message).join_from(Mention, User).join(Tweet, Tweet.id == Mention.tweet_id)
        )
        assert set(map(tuple, named)) == {("Ann", "hi @ANN and @nobody"), ("u12", "hi @u12")}
    check_counters(engine)


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        (b"{", "not JSON"),
        (b"[]", "expected `object`"),
        (b'{"user": "a", "date": 1341144000}', "expected one of message, repost and like"),
        (b'{"user": "a", "date": true, "message": "x"}', "date: expected"),
        (b'{"user": "a", "date": NaN, "message": "x"}', "not JSON"),
        (b'{"user": "a", "date": 1e999, "message": "x"}', "date: number out of range"),
        (b'{"user": "a", "date": "", "message": "x"}', "'' is not a date"),
        (b'{"user": "a", "date": "soon", "message": "x"}', "'soon' is not a date"),
        (b'{"user": "a", "date": "0001-01-01T00:00:00+23:59", "message": "x"}', "is before 2006"),
        (b'{"user": "a", "date": 1136073599.999, "message": "x"}', "is before 2006"),
        (b'{"user": "a", "date": -1, "message": "x"}', "is before 2006"),
        (b'{"user": "a", "date": 2341100972, "message": "x"}', "2341100972 (2044-03-09) is in the future"),
        (b'{"user": "a", "date": 1e300, "message": "x"}', "is in the future"),
        (b'{"user": "a", "date": "9999-12-31T23:59:59-14:00", "message": "x"}', "is in the future"),
        (b'{"user": "a", "date": "2341100972", "message": "x"}', "is in the future"),
        (b'{"user": "a", "date": 1341100972000, "message": "x"}', "looks like milliseconds"),
        (b'{"user": "a", "date": "1341100972000", "message": "x"}', "looks like milliseconds"),
        (b'{"user": "a", "date": 1341100972000000.0, "message": "x"}', "looks like microseconds"),
        (b'{"user": "a", "date": 1341100972000000000, "message": "x"}', "looks like nanoseconds"),
        (b'{"user": "a", "date": -Infinity, "message": "x \\ud83d"}', "not JSON"),
        (b'{"user": "a", "date": 1' + b"0" * 5000 + b', "message": "x"}', ""),
        (b'{"user": 1' + b"0" * 5000 + b', "date": 1341144000, "message": "x"}', ""),
        (b'{"user": null, "date": 1341144000, "message": "x"}', "user: expected"),
        (b'{"user": -5, "date": 1341144000, "message": "x"}', "'-5' is not a valid username"),
        (b'{"user": "a b", "date": 1341144000, "message": "x"}', "'a b' is not a valid username"),
        (b'{"user": "a", "date": 1341144000, "message": " \\u200b\\n"}', "the message is empty"),
        (b'{"user": "a", "date": 1341144000, "message": 7}', "message: expected"),
        (b'{"user": "a", "date": 1341144000, "message": "' + b"x" * 1401 + b'"}', "longer than 1,400 characters"),
        (b'{"user": "a", "date": 1341144000, "message": "\xff"}', "not UTF-8"),
        (b'{"user": "a", "date": 1341144000, "message": "\\ud800"}', "the message is empty"),
        (b'{"user": "a", "date": 1341144000, "message": "\\ud800', "not JSON"),
        (b'{"user": "a", "date": 1341144000, "message": "x", "id": 1.5}', "id: expected"),
        (b'{"x": ' + b"[" * 100_000, "not JSON"),
        (b"x" * (2 << 20), "longer than 1,048,576 bytes"),
    ],
)
def test_invalid_line_is_reported_with_its_number_and_skipped(tmp_path, sqlite_url, capsys, line, reason):
    ini = write_ini(tmp_path, sqlite_url)
    good = tweet("ann", "x" * 1400)
    assert load_tweets(tmp_path, ini, good, line, good) == 0
    told = capsys.readouterr()
    assert "tweets.jsonl:2: " in told.err
    assert reason in told.err
    assert "Loaded 1 users, 0 follows, 2 tweets." in told.out
    assert "Bad lines, skipped: 1." in told.out


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        (b"ann", "expected `follower followee`, got 1 word"),
        (b"ann bob cy", "got 3 words"),
        (b"ann ANN", "ann can't follow themselves"),
        (b"7 u7", "u7 can't follow themselves"),
        (b"ann b-b", "'b-b' is not a valid username"),
        (b"ann \xff", "not UTF-8"),
        (b"ann 12345678901234567890", "is not a valid username"),
    ],
)
def test_invalid_follow_is_reported_with_its_number_and_skipped(tmp_path, sqlite_url, capsys, line, reason):
    ini = write_ini(tmp_path, sqlite_url)
    assert load_follows(tmp_path, ini, "# first", "ann bob", line, "@bob\tann\r") == 0
    told = capsys.readouterr()
    assert "follows.txt:3: " in told.err
    assert reason in told.err
    assert "Loaded 2 users, 2 follows, 0 tweets." in told.out


def test_only_the_first_bad_lines_are_printed(tmp_path, sqlite_url, capsys):
    assert load_follows(tmp_path, write_ini(tmp_path, sqlite_url), *["bad"] * 500, "ann bob") == 0
    told = capsys.readouterr()
    assert told.err.count("expected `follower followee`") == 20
    assert "Bad lines, skipped: 500." in told.out


def test_strict_loads_nothing_if_any_line_is_bad(tmp_path, ini, sessions, capsys):
    follows = write(tmp_path, "f.txt", ["ann bob"])
    tweets = write(tmp_path, "t.jsonl", [tweet("ann", "x"), "{}"])
    assert main(["load", ini, "--follows", follows, "--tweets", tweets, "--strict"]) == 1
    assert "t.jsonl:2: object missing required field" in capsys.readouterr().err
    with sessions() as session:
        assert usernames(session) == []
        assert session.scalars(select(OutboxEvent)).all() == []


def test_unreadable_files_are_reported_and_nothing_is_loaded(tmp_path, ini, sessions, capsys):
    whole = gzip.compress(os.urandom(5000) + b"\n")
    (tmp_path / "cut.gz").write_bytes(whole[:-40])
    (tmp_path / "damaged.gz").write_bytes(whole[:2000] + b"garbage" + whole[2000:])
    (tmp_path / "plain.gz").write_text("ann bob\n")
    (tmp_path / "folder").mkdir()
    for name, reason in (
        ("missing", "No such file"),
        ("folder", "Is a directory"),
        ("plain.gz", "not a gzip file"),
        ("cut.gz", "ends in the middle"),
        ("damaged.gz", ""),
    ):
        assert main(["load", ini, "--follows", str(tmp_path / name)]) == 1
        told = capsys.readouterr().err
        assert name in told
        assert reason in told
        assert "Traceback" not in told
    with sessions() as session:
        assert usernames(session) == []


@pytest.mark.parametrize(
    ("options", "follows", "tweets", "which"),
    [
        ([], None, ["bad", "{}"], "t.jsonl"),
        ([], ["ann"], None, "f.txt"),
        ([], ["ann bob"], ["", "bad"], "t.jsonl"),
        ([], ["# who", '{"user": "ann"}'], [tweet("ann", "x")], "f.txt"),
    ],
)
def test_a_file_of_bad_lines_only_loads_nothing(tmp_path, ini, sessions, capsys, options, follows, tweets, which):
    arguments = ["--follows", write(tmp_path, "f.txt", follows)] if follows else []
    arguments += ["--tweets", write(tmp_path, "t.jsonl", tweets)] if tweets else []
    assert main(["load", ini, *arguments, *options]) == 1
    assert f"{which} is bad. Nothing was loaded." in capsys.readouterr().err
    with sessions() as session:
        assert usernames(session) == []


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le", "utf-16-be", "utf-32", "utf-32-le", "utf-32-be"])
def test_other_encodings_are_reported_in_one_message(tmp_path, ini, capsys, encoding):
    path = tmp_path / "t.jsonl"
    path.write_text(json.dumps(tweet("ann", "x")) + "\n", encoding=encoding)
    assert main(["load", ini, "--tweets", str(path)]) == 1
    (line,) = [line for line in capsys.readouterr().err.splitlines() if not line.startswith("Reading")]
    assert line.startswith(f"tweeter: {path} is in UTF-16 or UTF-32, not in UTF-8.")


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize("mark", [b"", b"\xef\xbb\xbf"])
def test_line_ends_of_any_system_are_accepted(tmp_path, ini, sessions, capsys, end, mark):
    lines = [json.dumps(tweet("ann", "1")), "bad", json.dumps(tweet("ann", "2"))]
    path = tmp_path / "t.jsonl"
    path.write_bytes(mark + end.join(lines).encode())
    assert main(["load", ini, "--tweets", str(path)]) == 0
    assert "t.jsonl:2: not JSON" in capsys.readouterr().err
    with sessions() as session:
        assert messages(session) == ["1", "2"]


def test_files_are_read_from_standard_input_too(tmp_path, sqlite_url):
    ini = write_ini(tmp_path, sqlite_url)
    with Path(write(tmp_path, "t.jsonl.gz", [tweet("ann", "x")])).open() as file:
        command = [sys.executable, "-m", "tweeter.cli", "load", ini, "--tweets", "-"]
        done = subprocess.run(command, stdin=file, capture_output=True, text=True, check=False)
    assert "Loaded 1 users, 0 follows, 1 tweets." in done.stdout, done.stderr


def test_repeated_lines_are_not_reported_as_existing(tmp_path, ini, capsys):
    follows = write(tmp_path, "f.txt", ["ann bob", "ANN @bob", "bob ann"])
    tweets = write(tmp_path, "t.jsonl", [tweet("ann", "x", id=1), tweet("ann", "x", id=1), *[tweet("ann", "y")] * 2])
    assert main(["load", ini, "--follows", follows, "--tweets", tweets]) == 0
    assert capsys.readouterr().out.splitlines() == [
        "Loaded 2 users, 2 follows, 3 tweets.",
        "More than once in the files: 1 follows, 1 tweets.",
    ]
    assert main(["load", ini, "--follows", follows, "--tweets", tweets]) == 0
    assert capsys.readouterr().out.splitlines() == [
        "Loaded 0 users, 0 follows, 0 tweets.",
        "Already there: 2 follows, 3 tweets.",
        "More than once in the files: 1 follows, 1 tweets.",
    ]


@pytest.mark.parametrize(
    ("follows", "tweets"),
    [
        (["ann 123", "u123 ann"], []),
        ([], [tweet(123, "x"), tweet("U123", "y")]),
        (["ann @u123"], [tweet("@123", "x"), tweet("u7", "y"), tweet(7, "z")]),
    ],
)
def test_colliding_usernames_are_refused(tmp_path, ini, sessions, capsys, follows, tweets):
    paths = write(tmp_path, "f.txt", follows), write(tmp_path, "t.jsonl", tweets)
    assert main(["load", ini, "--follows", paths[0], "--tweets", paths[1]]) == 1
    told = capsys.readouterr().err.splitlines()[-1]
    assert told.startswith("tweeter: The files name 123 and u123")
    assert ("(1 more such pairs)" in told) is (len(tweets) == 3)
    with sessions() as session:
        assert usernames(session) == []


def test_truncated_emoji_is_dropped(tmp_path, ini, sessions):
    lines = [
        b'{"user": "ann", "date": 1341144000, "message": "ok \\ud83d", "id": "a\\udc00"}',
        b'{"user": "ann", "date": 1341144000, "message": "whole \\ud83d\\ude00 \\\\ud83d", "parent": "a"}',
    ]
    assert load_tweets(tmp_path, ini, *lines) == 0
    with sessions() as session:
        assert parents(session) == {"ok": None, "whole 😀 \\ud83d": "ok"}


def test_empty_files_load_nothing(tmp_path, ini, sessions):
    for name in ("f.txt", "f.txt.gz"):
        assert main(["load", ini, "--follows", write(tmp_path, name, [])]) == 0
    assert main(["load", ini, "--tweets", write(tmp_path, "t.jsonl", [])]) == 0
    with sessions() as session:
        assert session.scalars(select(OutboxEvent)).all() == []


def test_missing_tables_are_reported_with_the_remedy(tmp_path, empty_url, capsys):
    assert load_follows(tmp_path, write_ini(tmp_path, empty_url), "ann bob") == 1
    assert "upgrade head" in capsys.readouterr().err


def test_bad_usage_ends_with_code_2(tmp_path, sqlite_url, capsys):
    ini = write_ini(tmp_path, sqlite_url)
    for arguments in ([], ["load"], ["load", ini], ["load", ini, "--tweets"], ["reload", ini]):
        with pytest.raises(SystemExit) as stopped:
            main(arguments)
        assert stopped.value.code == 2
        assert "usage:" in capsys.readouterr().err


def test_invalid_ini_file_is_reported(tmp_path, capsys):
    (tmp_path / "bad.ini").write_text("no section\n")
    (tmp_path / "empty.ini").write_text("")
    for name in ("missing.ini", "bad.ini", "empty.ini"):
        assert main(["load", str(tmp_path / name), "--tweets", "t"]) == 1
        assert name in capsys.readouterr().err
