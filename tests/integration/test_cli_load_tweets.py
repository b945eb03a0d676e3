"""`tweeter load`: people, the order of tweets, and replies across files."""

from collections import Counter
from datetime import UTC, datetime
from typing import Any

import pytest
from sqlalchemy import func, make_url, select, text

from tests.conftest import engine_on, write_ini
from tests.support.loads import (  # noqa: F401
    NOON,
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
from tweeter.bulk import database as bulk
from tweeter.bulk.load import links
from tweeter.bulk.load import tweets as writing
from tweeter.cli import main
from tweeter.db.sessions import make_sessions
from tweeter.models import Mention, OutboxEvent, Tweet, User
from tweeter.models import Site as SiteRow
from tweeter.models.imported import Unlinked
from tweeter.services.closing import remove_some
from tweeter.services.passwords import Passwords

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


@pytest.mark.parametrize("rights", ["SUPERUSER", "NOSUPERUSER"])
def test_account_deleted_during_the_load_is_skipped_whatever_the_rights_of_the_role(
    tmp_path, postgresql_url, monkeypatch, rights
):
    """With the right the load locks the rows to which it refers; otherwise PostgreSQL checks each reference."""
    with engine_on(postgresql_url) as engine:

        def execute(*statements: str) -> None:
            with engine.begin() as connection:
                for statement in statements:
                    connection.execute(text(statement))

        execute(
            f"CREATE ROLE loader {rights} LOGIN",
            *(f"GRANT ALL ON ALL {kind} IN SCHEMA public TO loader" for kind in ("TABLES", "SEQUENCES")),
        )
        give_ids = writing._give_ids
        deleted: list[bool] = []

        def give_and_delete(*arguments: Any) -> Any:
            given = give_ids(*arguments)
            if not deleted:
                deleted.append(True)
                execute("DELETE FROM users WHERE username = 'bob'")
            return given

        monkeypatch.setattr(writing, "_give_ids", give_and_delete)
        ini = write_ini(tmp_path, make_url(postgresql_url).set(username="loader").render_as_string(hide_password=False))
        lines = tweet("ann", "hi @bob @cy", id="a"), tweet("bob", "gone", id="b"), tweet("cy", "x", id="c")
        try:
            assert load_tweets(tmp_path, ini, *lines) == 0
        finally:
            execute("DROP OWNED BY loader", "DROP ROLE loader")
        with make_sessions(engine)() as session:
            assert usernames(session) == ["ann", "cy"]
            assert messages(session) == ["hi @bob @cy", "x"]
            assert session.scalar(select(func.count()).select_from(Mention)) == 1
        check_counters(engine)
