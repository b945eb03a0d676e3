"""`tweeter load`: any files, in any parts, repeated and interrupted."""

import gzip
import json
import os
import signal
import subprocess
import sys
import tracemalloc
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from contextlib import nullcontext
from datetime import UTC, datetime
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import Engine, func, select, text
from sqlalchemy.orm import Session, sessionmaker

from tests.conftest import check_searchable, engine_on, settings_of, write_ini
from tweeter import ids
from tweeter.bulk import database as bulk
from tweeter.bulk.load import files, links, load, stage
from tweeter.cli import main
from tweeter.console.commands import CommandError, Site
from tweeter.console.progress import Lines
from tweeter.db.engines import make_engine
from tweeter.db.sessions import make_sessions
from tweeter.models import Mention, OutboxEvent, Relationship, Tweet, User
from tweeter.models import Site as SiteRow
from tweeter.models.imported import Imported, Unlinked
from tweeter.services.closing import remove_some
from tweeter.services.passwords import Passwords
from tweeter.text import entities

NOON = 1341144000  # seconds: 2012-07-01T12:00:00Z


@pytest.fixture(autouse=True)
def _no_breath(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bulk, "BREATH", 0)


@pytest.fixture
def ini(tmp_path: Path, database_url: str) -> str:
    return write_ini(tmp_path, database_url)


def write(folder: Path, name: str, lines: Sequence[str | bytes | dict[str, Any]]) -> str:
    path = folder / name
    encoded = [
        line if isinstance(line, bytes) else (line if isinstance(line, str) else json.dumps(line)).encode()
        for line in lines
    ]
    content = b"".join(line + b"\n" for line in encoded)
    path.write_bytes(gzip.compress(content) if name.endswith(".gz") else content)
    return str(path)


def tweet(user: Any, message: str, date: Any = NOON, **more: Any) -> dict[str, Any]:
    return {"user": user, "date": date, "message": message, **more}


def load_tweets(folder: Path, ini: str, *lines: Any, options: Sequence[str] = (), name: str = "tweets.jsonl") -> int:
    return main(["load", ini, "--tweets", write(folder, name, lines), *options])


def load_follows(folder: Path, ini: str, *lines: str | bytes, options: Sequence[str] = ()) -> int:
    return main(["load", ini, "--follows", write(folder, "follows.txt", lines), *options])


def messages(session: Session) -> list[str]:
    """Oldest first."""
    return list(session.scalars(select(Tweet.message).order_by(Tweet.id)))


def usernames(session: Session) -> list[str]:
    return list(session.scalars(select(User.username).order_by(User.username)))


def parents(session: Session) -> dict[str, str | None]:
    by_id = {row.id: row for row in session.scalars(select(Tweet))}
    return {row.message: by_id[row.parent_id].message if row.parent_id is not None else None for row in by_id.values()}


def check_counters(engine: Engine) -> None:
    with make_sessions(engine)() as session:
        wrong = session.scalars(
            select(User.username).where(
                (User.tweets_count != count_of(Tweet.user_id))
                | (User.following_count != count_of(Relationship.from_user_id))
                | (User.followers_count != count_of(Relationship.to_user_id))
            )
        ).all()
        assert not wrong
    check_searchable(engine)


def count_of(column: Any) -> Any:
    return select(func.count()).where(column == User.id).correlate(User).scalar_subquery()


# files


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
        (b'{"user": "a", "date": 1341144000}', "missing required field `message`"),
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


# people


def test_existing_users_are_matched_case_insensitively(tmp_path, ini, acting, engine, sessions):
    with acting() as actions:
        ann = actions.sign_up("Ann", "a good password").id
        actions.post(ann, "posted here")
    assert load_tweets(tmp_path, ini, tweet("ANN", "loaded"), options=["--password", "another one"]) == 0
    with sessions() as session:
        user = session.get_one(User, ann)
        assert (user.username, user.tweets_count) == ("Ann", 2)
        assert Passwords(1, 8).check(user.password_hash, "a good password")
    check_counters(engine)


def test_loaded_users_can_sign_in_with_the_given_password(tmp_path, ini, sessions):
    assert load_follows(tmp_path, ini, "ann bob", options=["--password", "open sesame"]) == 0
    with sessions() as session:
        (password_hash,) = set(session.scalars(select(User.password_hash)))
        assert Passwords(1, 8).check(password_hash, "open sesame")


def test_invalid_password_is_refused(tmp_path, ini, sessions, capsys):
    for password in ("short", "\udcff" * 10):
        assert load_follows(tmp_path, ini, "ann bob", options=["--password", password]) == 1
        assert capsys.readouterr().err.startswith("tweeter: ")
    with sessions() as session:
        assert usernames(session) == []


# tweets


def test_within_a_millisecond_later_lines_are_newer(tmp_path, ini, sessions):
    same = [NOON, NOON + 0.0, "2012-07-01T12:00:00Z", "2012-07-01 14:00:00+02:00", "2012-07-01T12:00:00.000900"]
    assert load_tweets(tmp_path, ini, *(tweet("ann", str(n), date) for n, date in enumerate(same))) == 0
    with sessions() as session:
        assert messages(session) == list("01234")
        rows = session.scalars(select(Tweet).order_by(Tweet.id)).all()
        assert [row.id for row in rows] == [ids.first_id_of_ms(NOON * 1000) + n for n in range(5)]
        assert {row.date for row in rows} == {datetime.fromtimestamp(NOON, UTC)}


def test_more_tweets_than_a_millisecond_has_ids_spill_over(tmp_path, ini, sessions):
    lines = [tweet("ann", f"crowd {n % 4990}") for n in range(5000)] + [tweet("bob", "next", NOON + 0.001)]
    for _ in range(2):
        assert load_tweets(tmp_path, ini, *lines) == 0
        with sessions() as session:
            first = ids.first_id_of_ms(NOON * 1000)
            assert list(session.scalars(select(Tweet.id).order_by(Tweet.id))) == list(range(first, first + 5001))
            assert messages(session) == [line["message"] for line in lines]


def test_the_same_line_twice_is_two_tweets_and_a_second_load_adds_none(tmp_path, ini, sessions, capsys):
    for _ in range(2):
        assert load_tweets(tmp_path, ini, tweet("ann", "x"), tweet("ann", "x")) == 0
    assert "Already there: 2 tweets." in capsys.readouterr().out
    assert load_tweets(tmp_path, ini, tweet("ann", "x"), tweet("ann", "y"), *[tweet("ann", "x")] * 2) == 0
    with sessions() as session:
        assert messages(session) == ["x", "x", "y", "x"]


def test_ids_of_existing_tweets_are_not_reused(tmp_path, ini, acting, sessions, engine):
    with acting() as actions:
        here = actions.post(actions.sign_up("ann", "a good password").id, "posted here")
        id_, date = here.id, here.date
    assert (
        load_tweets(
            tmp_path, ini, tweet("bob", "loaded", date.timestamp()), tweet("ann", "posted here", date.isoformat())
        )
        == 0
    )
    with sessions() as session:
        assert messages(session) == ["posted here", "loaded"]
        assert session.get_one(Tweet, id_).message == "posted here"
    check_counters(engine)


def test_replies_find_parents_before_them_after_them_and_in_earlier_files(tmp_path, ini, sessions, capsys):
    snowflake = 2**64 + 1
    assert load_tweets(
        tmp_path, ini,
        tweet("ann", "early answer", NOON + 5, parent="root"),
        tweet("bob", "root", NOON, id="root"),
        tweet("cy", "late root", NOON + 60, id=snowflake),
        tweet("cy", "answer dated before", NOON + 30, parent=str(snowflake)),
        tweet("cy", "lonely", NOON + 61, parent="nobody"),
        tweet("cy", "itself", NOON + 62, id="self", parent="self"),
        tweet("cy", "egg", NOON + 63, id="egg", parent="hen"),
        tweet("cy", "hen", NOON + 64, id="hen", parent="egg"),
        tweet("dee", "the same id again", NOON + 65, id="root"),
    ) == 0  # fmt: skip
    told = capsys.readouterr()
    assert "tweets.jsonl:5: there is no tweet 'nobody'" in told.err
    assert "tweets.jsonl:6: " in told.err
    assert "without a parent: 3." in told.out
    assert load_tweets(tmp_path, ini, tweet("dee", "next day", NOON + 99, parent=snowflake), name="later.jsonl") == 0
    with sessions() as session:
        assert parents(session) == {
            "early answer": "root",
            "root": None,
            "late root": None,
            "answer dated before": "late root",
            "lonely": None,
            "itself": None,
            "egg": None,
            "hen": "egg",
            "next day": "late root",
        }


TWO = [tweet("ann", "two of two", id="2", parent="1"), tweet("ann", "one of two", id="1")]


def named(*parents: str | None) -> list[dict[str, Any]]:
    """A thread with non-numeric ids, newest first."""
    found = [tweet("ann", str(n), id=f"t{n}", **({"parent": f"t{p}"} if p else {})) for n, p in enumerate(parents)]
    return found[::-1]


@pytest.mark.parametrize(
    ("lines", "expected"),
    [
        (TWO, ["one of two", "two of two"]),
        (TWO[::-1], ["one of two", "two of two"]),
        # Numeric ids order the tweets, also without replies, ascending or descending as in the file.
        ([tweet("ann", str(n), id=n) for n in (10, 9, 100)], ["9", "10", "100"]),
        ([tweet("ann", str(n), NOON - n // 4, id=n) for n in range(8)], ["7", "6", "5", "4", "3", "2", "1", "0"]),
        # Else lines, in the direction of the file.
        ([tweet("ann", str(n), NOON + n // 4) for n in range(8)], list("01234567")),
        ([tweet("ann", str(n), NOON - n // 4) for n in range(8)], list("76543210")),
        ([tweet("ann", str(n), NOON - n // 4, **({"id": 5} if n == 5 else {})) for n in range(8)], list("76543210")),
        # A reply always comes after its parent; tweets between the two stay there.
        (named(None, "0", "1", "2"), ["0", "1", "2", "3"]),
        ([*named(None, "0", "0"), tweet("bob", "x"), tweet("bob", "y")], ["0", "2", "1", "x", "y"]),
        ([tweet("ann", "5", id="5", parent="8"), tweet("bob", "6", id=6), tweet("ann", "8", id=8)], ["6", "8", "5"]),
    ],
)
def test_tweets_of_one_second_are_in_the_order_of_the_archive(tmp_path, ini, sessions, lines, expected):
    for _ in range(2):
        assert load_tweets(tmp_path, ini, *lines) == 0
        with sessions() as session:
            assert messages(session) == expected


def test_a_thread_of_one_second_is_put_in_order_in_few_steps(tmp_path, sqlite_url):
    ini = write_ini(tmp_path, sqlite_url)
    assert load_tweets(tmp_path, ini, *named(None, *map(str, range(3_000)))) == 0
    with engine_on(sqlite_url) as engine, make_sessions(engine)() as session:
        assert messages(session) == list(map(str, range(3_001)))


def test_replies_find_their_parents_in_later_files(tmp_path, ini, sessions, capsys, monkeypatch):
    monkeypatch.setattr(links, "LINKS_AT_ONCE", 2)
    replies = [tweet("ann", f"to {n}", NOON + 5, parent=n) for n in range(7)]
    assert load_tweets(tmp_path, ini, *replies, tweet("ann", "egg", id="egg", parent="hen")) == 0
    assert "without a parent: 8." in capsys.readouterr().out
    assert load_tweets(tmp_path, ini, *(tweet("bob", f"question {n}", id=n) for n in range(6)), name="later") == 0
    assert load_tweets(tmp_path, ini, tweet("bob", "hen", id="hen", parent="egg"), name="last") == 0
    with sessions() as session:
        expected: dict[str, str | None] = {f"to {n}": f"question {n}" for n in range(6)}
        expected |= {f"question {n}": None for n in range(6)} | {"to 6": None, "egg": None, "hen": "egg"}
        assert parents(session) == expected
        assert session.scalars(select(Unlinked.parent)).all() == ["6"]


def test_source_ids_may_be_any_text(tmp_path, ini, sessions):
    long, nul = "x" * 20_000, "a\0b"
    assert load_tweets(
        tmp_path, ini,
        tweet("ann", "1", id=long), tweet("ann", "2", parent=long),
        tweet("ann", "3", id=nul), tweet("ann", "4", parent=nul),
        tweet("ann", "5", id=""), tweet("ann", "6", id="", parent=""), tweet("ann", "7", id=None, parent=None),
    ) == 0  # fmt: skip
    with sessions() as session:
        assert parents(session) == {"1": None, "2": "1", "3": None, "4": "3", "5": None, "6": None, "7": None}


def test_running_sites_are_notified_once_at_the_end(tmp_path, ini, sessions, monkeypatch):
    monkeypatch.setattr(bulk, "BATCH", {"sqlite": 2, "postgresql": 2})
    for _ in range(2):
        assert load_tweets(tmp_path, ini, *(tweet("ann", str(n)) for n in range(5))) == 0
        with sessions() as session:
            assert session.scalars(select(OutboxEvent.payload)).all() == ['{"type":"Reloaded"}']
            assert session.scalars(select(SiteRow.loading_until)).all() == [None]


def test_account_closed_during_the_load_is_skipped(tmp_path, ini, acting, engine, sessions, monkeypatch):
    monkeypatch.setattr(bulk, "BATCH", {"sqlite": 2, "postgresql": 2})
    breaths = Counter[str]()

    def close_bob(self: Any) -> None:
        breaths["all"] += 1
        if breaths["all"] == 5:
            with acting() as actions:
                actions.close_account(actions.find("bob").id)

    monkeypatch.setattr(bulk.BulkDatabase, "breathe", close_bob)
    follows = write(tmp_path, "f.txt", ["ann bob", "bob ann", "ann cy", "cy bob"])
    tweets = write(tmp_path, "t.jsonl", [tweet(name, f"{n} @bob") for n in range(3) for name in ("ann", "bob", "cy")])
    assert main(["load", ini, "--follows", follows, "--tweets", tweets]) == 0
    with sessions() as session:
        assert {user.username for user in session.scalars(select(User)) if not user.closed} == {"ann", "cy"}
        while remove_some(session):  # as the housekeeper does
            session.commit()
        session.commit()
        assert usernames(session) == ["ann", "cy"]
        assert messages(session) == [f"{n} @bob" for n in range(3) for _ in ("ann", "cy")]
    check_counters(engine)


# memory and interruptions


def test_memory_does_not_grow_with_the_files(tmp_path, sqlite_url, monkeypatch):
    monkeypatch.setattr(bulk, "BATCH", {"sqlite": 500})
    monkeypatch.setattr(files, "CHUNK", 10_000)
    monkeypatch.setattr(stage, "ROWS_AT_ONCE", 500)
    monkeypatch.setattr(stage, "NAMES_REMEMBERED", 500)
    site = make_site(sqlite_url)
    peaks = []
    for thousands in (2, 2, 8):  # the first warms up
        tweets = tmp_path / "t.jsonl"
        with tweets.open("w") as file:
            for n in range(thousands * 1000):
                print(json.dumps(tweet(f"p{thousands}_{n}", f"@p2_{n} " + "x" * 100, NOON + n)), file=file)
        tracemalloc.start()
        load(site, Lines(), None, tweets)
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    site.engine.dispose()
    assert peaks[2] < 1.3 * peaks[1]


def test_next_load_completes_a_killed_one(tmp_path, ini, engine, sessions):
    follows = write(tmp_path, "f.txt", [f"{n} {n % 7 + 100}" for n in range(40)])
    tweets = write(tmp_path, "t.jsonl", [tweet(n % 5, f"{n} @u101", NOON + n // 3) for n in range(40)])
    arguments = ["load", ini, "--follows", follows, "--tweets", tweets]
    for commits in (3, 12, 8):  # within a transaction: of users, of follows, of tweets
        assert killed_load(commits, *arguments) == -signal.SIGKILL
        check_counters(engine)
    with sessions() as session:
        assert 0 < len(messages(session)) < 40
    assert main(arguments) == 0
    with sessions() as session:
        assert [message.split()[0] for message in messages(session)] == [str(n) for n in range(40)]
        assert session.scalar(select(func.count()).select_from(Mention)) == 40
        assert session.scalar(select(func.count()).select_from(Relationship)) == 40
    check_counters(engine)


def killed_load(commits: int, *arguments: str) -> int:
    """Kills a load within the `commits`th transaction that changes rows. Returns the exit code."""
    program = f"""
import os, signal, sys
from tweeter.cli import main
from tweeter.bulk import database
database.BATCH = {{"sqlite": 5, "postgresql": 5}}
note, commits = database.BulkDatabase.note_change, []
def killed(self):
    note(self)
    commits.append(1)
    if len(commits) == int(sys.argv[1]):
        os.kill(os.getpid(), {signal.SIGKILL:d})
database.BulkDatabase.note_change = killed
main(sys.argv[2:])
"""
    command = [sys.executable, "-c", program, str(commits), *arguments]
    return subprocess.run(command, check=False, capture_output=True).returncode


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize(
    ("step", "said"),
    [
        ("Stage.check_names", "Nothing was loaded."),
        ("write_tweets", "Rows loaded so far are kept. Run the same command again to complete the load."),
    ],
)
def test_interrupted_load_prints_how_to_continue(tmp_path, sqlite_url, number, step, said):
    program = f"""
import os, sys
from tweeter.bulk import load
from tweeter.cli import main
def interrupted(*arguments):
    os.kill(os.getpid(), {number:d})
load.{step} = interrupted
sys.exit(main(sys.argv[1:]))
"""
    tweets = write(tmp_path, "t.jsonl", [tweet("ann", "x")])
    command = [sys.executable, "-c", program, "load", write_ini(tmp_path, sqlite_url), "--tweets", tweets]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 130
    assert done.stderr.splitlines()[-2:] == ["tweeter: interrupted", said]


# the property: the tables equal a model in plain Python


class Lines_(NamedTuple):
    follows: list[tuple[str, str]]
    tweets: list[dict[str, Any]]


NAMES = st.sampled_from(["1", "ann", "ANN", "@bob", "cy", "no!"])
FOLLOWS = st.tuples(NAMES, NAMES)
IDS = st.sampled_from(["x", "y", 7, 8, "9"])
TWEETS = st.fixed_dictionaries(
    {
        "user": NAMES,
        "date": st.sampled_from([NOON, NOON + 1, NOON + 0.001, NOON - 1, 0]),
        "message": st.sampled_from(["a", "b @ann", "@u1 @bob @nobody", ""]),
    },
    optional={"id": IDS, "parent": st.one_of(IDS, st.just("7"), st.just("z"))},
)
FILES = st.lists(st.builds(Lines_, st.lists(FOLLOWS, max_size=5), st.lists(TWEETS, max_size=7)), min_size=1, max_size=2)


class Model:
    def __init__(self) -> None:
        self.users: dict[str, str] = {}
        self.follows: set[tuple[str, str]] = set()
        self.tweets: dict[int, list[Any]] = {}  # id: [user, ms, message, parent]
        self.mentions: set[tuple[int, str]] = set()
        self.sources: dict[str, int] = {}
        self.unlinked: dict[int, str] = {}

    def load(self, lines: Lines_) -> bool:
        """False if a file has only bad lines, so nothing is loaded."""
        pairs = [(clean(a), clean(b)) for a, b in lines.follows]
        pairs = [(a, b) for a, b in pairs if a.lower() != b.lower() and "!" not in a + b]
        rows = [
            t | {"user": clean(t["user"])} for t in lines.tweets if t["date"] and t["message"] and t["user"] != "no!"
        ]
        if (lines.follows and not pairs) or (lines.tweets and not rows):
            return False
        for name in [name for pair in pairs for name in pair] + [row["user"] for row in rows]:
            self.users.setdefault(name.lower(), name)
        self.follows |= {(a.lower(), b.lower()) for a, b in pairs}
        every, named = rows, [str(row["id"]) if "id" in row else None for row in rows]
        rows = [row for n, row in enumerate(rows) if named[n] is None or named[n] not in named[:n]]
        rows = in_order(rows, every)
        there, ids_, fresh = sorted(self.tweets.items()), [], []
        for row in rows:
            user, ms = row["user"].lower(), round(row["date"] * 1000)
            twins = [id_ for id_, old in there if old[:3] == [user, ms, row["message"]] and id_ not in ids_]
            first = ids.first_id_of_ms(ms)
            id_ = twins[0] if twins else max([first - 1, *(i for i in self.tweets if i >> 12 == first >> 12)]) + 1
            if not twins:
                self.tweets[id_] = [user, ms, row["message"], None]
                self.mentions |= {(id_, name) for name in entities(row["message"]).mentions if name in self.users}
                fresh.append(id_)
            ids_.append(id_)
        own = {str(row["id"]): id_ for row, id_ in zip(rows, ids_, strict=True) if "id" in row}
        wanted = {
            i: {**self.sources, **own}.get(str(r["parent"])) for r, i in zip(rows, ids_, strict=True) if "parent" in r
        }
        for ready in (True, False):  # parents written before their replies; then the others, unless they create a cycle
            for id_, parent in sorted(wanted.items(), key=lambda link: ids_.index(link[0])):
                before = parent not in ids_ or ids_.index(parent) < ids_.index(id_)
                if parent is None or self.tweets[id_][3] is not None:
                    continue
                if (id_ in fresh and before) if ready else (id_ not in self.above(parent)):
                    self.tweets[id_][3] = parent
        for row, id_ in zip(rows, ids_, strict=True):
            if "parent" in row and wanted[id_] is None and self.tweets[id_][3] is None:
                self.unlinked[id_] = str(row["parent"])
        self.sources |= own
        for id_ in sorted(self.unlinked) if own else ():
            if (parent := self.sources.get(self.unlinked[id_])) is not None:
                del self.unlinked[id_]
                if self.tweets[id_][3] is None and id_ not in self.above(parent):
                    self.tweets[id_][3] = parent
        return True

    def above(self, id_: int | None) -> Iterator[int]:
        while id_:
            yield id_
            id_ = self.tweets[id_][3]


def in_order(rows: list[dict[str, Any]], every: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The rows in the order of their dates, ids, lines and parents; `every` includes rows with existing ids."""

    def number(row: dict[str, Any]) -> int | None:
        return int(row["id"]) if str(row.get("id")).isdigit() else None

    def sign(steps: Iterable[bool]) -> int:
        steps = list(steps)
        return -1 if 2 * sum(steps) < len(steps) else 1

    pairs = [(a, b) for a, b in pairwise(every) if a["date"] != b["date"]]
    downwards = sign(a["date"] < b["date"] for a, b in pairs)
    against = sign(
        (number(a) < number(b)) == (a["date"] < b["date"])  # type: ignore[operator]
        for a, b in pairs
        if number(a) is not None and number(b) is not None
    )
    found: list[dict[str, Any]] = []
    for date in sorted({row["date"] for row in rows}):
        same = [row for row in rows if row["date"] == date]
        numbers = [number(row) for row in same]
        ranks = [downwards * n if None in numbers else against * (numbers[n] or 0) for n in range(len(same))]
        place = {str(row["id"]): n for n, row in enumerate(same) if "id" in row}

        def key(n: int, same: Any = same, ranks: Any = ranks, place: Any = place) -> tuple[float, ...]:
            chain = [n]
            while (above := place.get(str(same[chain[-1]].get("parent")), chain[-1])) not in chain:
                chain.append(above)
            circle = above != chain[-1]
            return max(ranks[a] for a in chain), len(same) + 1 if circle else len(chain), ranks[n], n

        found += [same[n] for n in sorted(range(len(same)), key=key)]
    return found


def clean(name: str) -> str:
    return "u1" if name == "1" else name.removeprefix("@")


class PlugPulled(Exception):
    pass


def make_site(url: str) -> Site:
    engine = make_engine(url)
    return Site("site.ini", settings_of(url), engine, make_sessions(engine))


@settings(deadline=None, max_examples=10, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(loads=FILES, plugs=st.lists(st.integers(0, 12), min_size=8, max_size=8))
def test_any_files_with_any_interruptions_match_the_model(tmp_path, settings, engine, loads, plugs):
    site = Site("site.ini", settings, engine, make_sessions(engine))
    with engine.begin() as connection:
        for table in ("unlinked", "imported", "mentions", "relationships", "tweets", "users"):
            connection.execute(text(f"DELETE FROM {table}"))
    model = Model()
    for lines in [*loads, *loads]:
        good = model.load(lines)
        follows = Path(write(tmp_path, "f.txt", [" ".join(pair) for pair in lines.follows]))
        tweets = Path(write(tmp_path, "t.jsonl", lines.tweets))
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(bulk, "BATCH", {"sqlite": 2, "postgresql": 2})
            patch.setattr(links, "LINKS_AT_ONCE", 1)
            interrupt(patch, plugs.pop(), "breathe")
            interrupt(patch, plugs.pop(), "note_change")
            for attempt in range(100):
                try:
                    with nullcontext() if good else pytest.raises(CommandError, match="Every line of"):
                        load(site, Lines(), follows, tweets)
                    break
                except PlugPulled:
                    check_counters(engine)
                    if attempt > 1:
                        patch.undo()
        assert tables(site.sessions) == {
            "users": model.users,
            "follows": model.follows,
            "tweets": model.tweets,
            "mentions": model.mentions,
            "sources": model.sources,
            "unlinked": model.unlinked,
        }
        check_counters(engine)


def interrupt(patch: pytest.MonkeyPatch, after: int, method: str) -> None:
    """Every n-th call of the method raises an error."""
    calls = Counter[str]()
    original = getattr(bulk.BulkDatabase, method)

    def call(self: bulk.BulkDatabase) -> None:
        original(self)
        calls["all"] += 1
        if after and calls["all"] % (after + 2) == 0:
            raise PlugPulled

    patch.setattr(bulk.BulkDatabase, method, call)


def tables(sessions: sessionmaker[Session]) -> dict[str, Any]:
    with sessions() as session:
        key = {user.id: user.username_key for user in session.scalars(select(User))}
        return {
            "users": {user.username_key: user.username for user in session.scalars(select(User))},
            "follows": {(key[r.from_user_id], key[r.to_user_id]) for r in session.scalars(select(Relationship))},
            "tweets": {
                row.id: [key[row.user_id], round(row.date.timestamp() * 1000), row.message, row.parent_id]
                for row in session.scalars(select(Tweet))
            },
            "mentions": {(row.tweet_id, key[row.user_id]) for row in session.scalars(select(Mention))},
            "sources": {row.source_id: row.tweet_id for row in session.scalars(select(Imported))},
            "unlinked": {row.tweet_id: row.parent for row in session.scalars(select(Unlinked))},
        }
