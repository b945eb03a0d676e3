"""Search: equal on every database and in any script, exact for tags, and bounded per page."""

import json
import re
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any
from urllib.parse import quote

import pytest
import webtest
from alembic import command
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pyramid.router import Router
from sqlalchemy import Engine, event, select
from sqlalchemy import text as sql
from sqlalchemy.orm import Session, sessionmaker

from tests.conftest import check_searchable, engine_on
from tests.support.databases import alembic_config, fresh_database
from tests.support.people import Person, ids_on
from tweeter import ids, search, text
from tweeter.bulk.rows import bulk_rows
from tweeter.console.progress import Lines
from tweeter.db.sessions import begin_immediate, make_sessions
from tweeter.devtools.servers import PostgreSQL
from tweeter.models import Hashtag, Mention, OutboxEvent, Tweet, User
from tweeter.search.people import find_people
from tweeter.search.tweets import find_tweets
from tweeter.services.actions import Actions
from tweeter.services.closing import remove_some
from tweeter.services.passwords import Passwords
from tweeter.values import Cursor
from tweeter.web.views import search as page_of_search

Sessions = sessionmaker[Session]
Visitor = Callable[[], webtest.TestApp]

LOCALES = {
    "C": "LC_COLLATE 'C' LC_CTYPE 'C'",
    "ICU": "LOCALE_PROVIDER icu ICU_LOCALE 'tr' LOCALE 'C.UTF-8'",  # whose I has no dot
}


@pytest.fixture(scope="module", params=["sqlite", "postgresql", *LOCALES])
def shared(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sessions]:
    """A migrated database on each kind, and on PostgreSQL with other locales, where ada has an account."""
    with _url(request, tmp_path_factory) as url:
        command.upgrade(alembic_config(url), "head")
        with engine_on(url) as engine:
            sessions = make_sessions(engine)
            with acting(sessions) as actions:
                actions.sign_up("ada", "a good password")
            yield sessions


@contextmanager
def _url(request: pytest.FixtureRequest, folders: pytest.TempPathFactory) -> Iterator[str]:
    if request.param == "sqlite":
        yield f"sqlite:///{folders.mktemp('search') / 'tweeter.sqlite'}"
    else:
        server: PostgreSQL = request.getfixturevalue("postgresql_server")
        locale = LOCALES.get(request.param)
        with fresh_database(server, f"TEMPLATE template0 {locale}" if locale else "") as url:
            yield url


@contextmanager
def acting(sessions: Sessions) -> Iterator[Actions]:
    with sessions.begin() as session:
        begin_immediate(session)
        yield Actions(session, Passwords(time_cost=1, memory_kib=8), 140)


def post(sessions: Sessions, *messages: str) -> list[int]:
    with acting(sessions) as actions:
        return [actions.post(1, message).id for message in messages]


def found(sessions: Sessions, q: str, **cursor: Any) -> list[int]:
    with sessions() as session:
        return [tweet.id for tweet in find_tweets(session, q, Cursor(**cursor)).page.tweets]


def insert_tweets(sessions: Sessions, messages: dict[int, str]) -> None:
    """Tweets of user 1 with these ids."""
    with sessions.begin() as session:
        session.add_all(
            Tweet(id=id_, user_id=1, message=message, date=ids.date_of(id_)) for id_, message in messages.items()
        )
        session.flush()
        session.add_all(
            Hashtag(tag=tag, tweet_id=id_)
            for id_, message in messages.items()
            for tag in text.entities(message).hashtags
        )


def forget(sessions: Sessions) -> None:
    with sessions.begin() as session:
        session.execute(sql("DELETE FROM tweets"))


@pytest.mark.parametrize(
    ("one", "other"),
    [("Привет", "привет"), ("οδος", "ΟΔΟΣ"), ("Straße", "STRASSE"), ("İstanbul", "i̇stanbul"), ("TITLE", "title"),
     ("テスト", "ﾃｽﾄ"), ("ＡＢＣ", "abc"), ("Ճանապարհ", "ճանապարհ"), ("می‌خواهم", "میخواهم"), ("ﬁn", "FIN")],
)  # fmt: skip
def test_case_and_width_make_no_difference(shared: Sessions, one: str, other: str) -> None:
    forget(shared)
    tweets = post(shared, f"#{one}", f"of #{other} we speak", f"#{one}x is another tag")
    for q in (one, other, one.lower(), one.upper()):
        assert found(shared, f"#{q}") == tweets[1::-1], q
        assert found(shared, f"＃{q}") == tweets[1::-1], q
        assert found(shared, q) == tweets[::-1], q


WORDS = st.text(st.sampled_from("aAßſSsıIİéÉе́ЯяΣσςﬁ%_\\/'\"#@ -1١元ん🎉\u200d\u0301"), max_size=8)
# The sizes of the real site, on which the newest tweets are compared; and sizes at which the index names all others, in
# windows that are never or always crowded.
SIZES = st.sampled_from([(10_000, 2_000), (1, 2_000), (1, 0), (2, 1)])


# Near and far, within windows and at their ends.
IDS = st.one_of(*(st.integers(0, 1 << bits).map(lambda n: (1 << 51) - n) for bits in (8, 34, 44, 50)))


@settings(max_examples=100, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.dictionaries(IDS, WORDS, min_size=1, max_size=6), WORDS, st.data(), SIZES)
def test_search_matches_plain_python(
    shared: Sessions, messages: dict[int, str], q: str, data: st.DataObject, sizes: tuple[int, int]
) -> None:
    forget(shared)
    kept = {id_: written for id_, message in messages.items() if (written := text.clean_message(message))}
    insert_tweets(shared, kept)
    if data.draw(st.booleans()) and kept:  # a part of a text is found more often than another text
        message = data.draw(st.sampled_from(list(kept.values())))
        first = data.draw(st.integers(0, len(message) - 1))
        q = message[first : first + data.draw(st.integers(1, 8))]
    q = text.clean_line(q)
    if not q:
        return
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(search.tweets, "AT_ONCE", sizes[0])
        patch.setattr(search.tweets, "CROWD", sizes[1])
        patch.setattr(search.tweets, "ENOUGH", 60)
        assert found(shared, q) == expected(kept, q)
        if kept:  # a page that ends within a window
            before = data.draw(st.sampled_from(list(kept)))
            assert found(shared, q, before=before, limit=1) == [id_ for id_ in expected(kept, q) if id_ < before][:1]
    check_searchable(shared.kw["bind"])


def expected(kept: dict[int, str], q: str) -> list[int]:
    """The ids of the tweets that a search finds, in plain Python."""
    (first, *more) = text.segments(q)
    if not more and first.kind == "hashtag":
        matching = [id_ for id_, message in kept.items() if text.fold(first.value) in text.entities(message).hashtags]
    else:
        matching = [id_ for id_, message in kept.items() if text.fold(q) in text.fold(message)]
    return sorted(matching, reverse=True)


def test_people_are_found_by_the_beginning_of_their_username_and_by_their_name(
    sessions: Sessions, monkeypatch: pytest.MonkeyPatch
) -> None:
    with acting(sessions) as actions:
        for username, name in (("ada", "Ада Лавлейс"), ("Ada_2", "Ωmega"), ("bob", "Robert Ada"), ("adam", "\u3164")):
            actions.sign_up(username, "a good password", name)
        actions.follow(1, "bob")
        actions.follow(1, "adam")
        actions.follow(2, "adam")

    def names(q: str) -> list[str]:
        with sessions() as session:
            return [user.username for user in find_people(session, q)]

    for best in (search.people.BEST, 1):  # those with the most followers, and those that the index names
        monkeypatch.setattr(search.people, "BEST", best)
        assert names("ADA") == ["adam", "bob", "ada", "Ada_2"]
        assert names("@ada") == ["adam", "ada", "Ada_2"]
        assert names("＠ADA_") == ["Ada_2"]
        assert names("лавлейс") == ["ada"]
        assert names("ΩMEGA") == names("ωmega") == ["Ada_2"]
        assert names("#ada") == names("@") == names("%") == names("ada\\") == names('"ad') == []
    monkeypatch.undo()
    assert names("d_") == []
    assert names("bo") == ["bob"]  # two letters: among those with the most followers
    with acting(sessions) as actions:
        actions.change_profile(1, "Countess", "")
        actions.follow(3, "ada")
        actions.follow(4, "ada")
        actions.follow(2, "ada")
        actions.unfollow(1, "bob")
    assert names("лавлейс") == []
    assert names("COUNTESS") == ["ada"]
    assert names("ada") == ["ada", "adam", "Ada_2", "bob"]
    with sessions.begin() as session:
        session.execute(sql("UPDATE users SET closed = TRUE WHERE username_key = 'adam'"))
    assert names("ada") == ["ada", "Ada_2", "bob"]
    with sessions.begin() as session:
        session.execute(sql("DELETE FROM users WHERE username_key = 'bob'"))
    assert names("robert") == []
    monkeypatch.setattr(search.people, "CANDIDATES", 1)  # crowded: the exact username in any case
    assert "Ada_2" in names("ada_2")
    monkeypatch.setattr(search.people, "PEOPLE", 1)
    assert names("ada") == ["ada"]
    assert names("ada_2") == ["Ada_2"]


def test_search_of_two_letters_compares_a_limited_number_of_tweets_per_page(
    ada: Person, sessions: Sessions, monkeypatch: pytest.MonkeyPatch
) -> None:
    rare = [ada.post("a needle")]
    for n in range(25):
        ada.post(f"hay {n}")
        if n % 9 == 8:
            rare.append(ada.post(f"needle {n}"))
    monkeypatch.setattr(search.tweets, "ENOUGH", 60)
    monkeypatch.setattr(search.tweets, "AT_ONCE", 3)
    monkeypatch.setattr(search.tweets, "MOST", 6)
    pages, url = [], "/search?q=ne"
    while url:
        page = ada.get(url)
        pages.append(ids_on(page))
        older = re.search(r'rel="next" href="([^"]+)"', page.text)
        assert ("The next page searches older tweets" in page.text) == bool(older)
        url = older.group(1).replace("&amp;", "&") if older else ""
    assert [tweet for page in pages for tweet in page] == rare[::-1]
    assert [] in pages
    assert len(pages) == 5
    pages = [ada.ids("/search?q=ha"), ada.ids("/search?q=ha&limit=2"), ada.ids("/search?q=%23ha")]
    assert [len(page) for page in pages] == [6, 2, 0]
    monkeypatch.setattr(search.tweets, "ENOUGH", 0)
    assert len(ada.ids("/search?q=ha")) == 3


def test_search_by_the_index_compares_a_limited_number_of_tweets_per_page(
    engine: Engine, sessions: Sessions, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each tweet has all grams of the word, and only the oldest one has the word."""
    with acting(sessions) as actions:
        actions.sign_up("ada", "a good password")
    newest = 1 << 51
    oldest = newest - (400 << 28)
    insert_tweets(sessions, {newest - (n << 28): "abcxbcd" for n in range(400)} | {oldest: "Abcd"})
    monkeypatch.setattr(search.tweets, "ENOUGH", 60)
    monkeypatch.setattr(search.tweets, "AT_ONCE", 10)
    monkeypatch.setattr(search.tweets, "CROWD", 20)
    monkeypatch.setattr(search.tweets, "MOST", 50)
    statements: list[str] = []
    event.listen(engine, "before_cursor_execute", lambda *args: statements.append(args[2]))
    results, pages, before = [], 0, ids.MAX_ID + 1
    while before:
        statements.clear()
        with sessions() as session:
            page, looked_until = find_tweets(session, "abcd", Cursor(before=before, after=oldest - 1))
        # Each compares 10 tweets without the index, or at most 21 candidates.
        assert len([each for each in statements if "LIKE" in each]) <= 50 // 10
        assert page.older == looked_until
        results += [tweet.id for tweet in page.tweets]
        pages, before = pages + 1, page.older or 0
    assert results == [oldest]
    assert pages >= 400 / (50 + 20)


def test_an_old_word_takes_a_few_statements(
    engine: Engine, sessions: Sessions, monkeypatch: pytest.MonkeyPatch
) -> None:
    with acting(sessions) as actions:
        actions.sign_up("ada", "a good password")
    newest = 1 << 51
    old = newest - (2_000 << 39)
    insert_tweets(sessions, {newest - (n << 39): f"common {n}" for n in range(2_000)} | {old: "A needle"})
    with engine.begin() as connection:
        connection.execute(sql("ANALYZE"))
    monkeypatch.setattr(search.tweets, "AT_ONCE", 10)
    monkeypatch.setattr(search.tweets, "QUICK", 60)
    monkeypatch.setattr(search.tweets, "SLOW", 60)
    monkeypatch.setattr(search.tweets, "ENOUGH", 60)
    statements: list[tuple[str, Any]] = []
    event.listen(engine, "before_cursor_execute", lambda *args: statements.append((args[2], args[3])))
    assert found(sessions, "needle") == [old]
    searched = [each for each in statements if "LIKE" in each[0]]
    assert len(searched) <= 1 + 6 + 8  # without the index; ever longer windows; 17 years in the longest ones
    explain = "EXPLAIN QUERY PLAN " if engine.dialect.name == "sqlite" else "EXPLAIN "
    with engine.connect() as connection:
        for statement, values in searched[1:]:
            plan = str(connection.exec_driver_sql(explain + statement, values).all())
            assert ("SCAN tweets_search VIRTUAL TABLE INDEX" in plan) or ("Index Scan on ix_tweets_search" in plan)


def test_what_is_deleted_closed_or_hidden_is_not_found(
    ada: Person, bob: Person, sessions: Sessions, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(search.tweets, "AT_ONCE", 1)  # so the index names all but the newest
    kept, deleted, bobs = ada.post("a needle"), ada.post("no needle"), bob.post("bob's needle")
    ada.post("another")
    assert ada.ids("/search?q=needle") == [bobs, deleted, kept]
    ada.delete(deleted)
    assert ada.ids("/search?q=needle") == [bobs, kept]
    ada.send("/@bob/mute")
    assert ada.ids("/search?q=needle") == [kept]
    ada.send("/@bob/unmute")
    assert ada.ids("/search?q=needle") == [bobs, kept]
    bob.send("/settings", action="close", password="a good password", confirm="yes")
    assert ada.ids("/search?q=needle") == [kept]
    with sessions.begin() as session:
        begin_immediate(session)
        while remove_some(session):
            pass
    assert ada.ids("/search?q=needle") == [kept]


def test_search_for_a_common_word_reads_one_page(sessions: Sessions, monkeypatch: pytest.MonkeyPatch) -> None:
    with acting(sessions) as actions:
        actions.sign_up("ada", "a good password")
    tweets = post(sessions, *(f"hay {n}" for n in range(50)))
    monkeypatch.setattr(search.tweets, "ENOUGH", 60)
    for at_once in (1, 2, 7, 20, 21, 50, 51):
        monkeypatch.setattr(search.tweets, "AT_ONCE", at_once)
        seen, before = [], ids.MAX_ID + 1
        while before:
            with sessions() as session:
                page, looked_until = find_tweets(session, "HAY", Cursor(before=before))
            assert looked_until is None
            seen += [tweet.id for tweet in page.tweets]
            before = page.older or 0
        assert seen == tweets[::-1], at_once


SLOW = {
    "sqlite": "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT count(*) FROM n",
    "postgresql": "SELECT pg_sleep(60)",
}


def test_search_timeout_has_its_own_page(ada: Person, app: Router, monkeypatch: pytest.MonkeyPatch) -> None:
    def slow(session: Session, *rest: Any) -> None:
        session.execute(sql(SLOW[session.get_bind().dialect.name]))

    engine: Engine = app.registry.database.engine

    def limit() -> object:
        with engine.connect() as connection:
            if engine.dialect.name == "postgresql":
                return connection.execute(sql("SHOW statement_timeout")).scalar()
            count = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n LIMIT 2000000) SELECT max(i) FROM n"
            return connection.execute(sql(count)).scalar()  # longer than the search timeout

    before = limit()
    monkeypatch.setattr(page_of_search, "SECONDS", 0.2)
    monkeypatch.setattr(search.tweets, "_containing", slow)
    for _ in range(3):
        began = time.monotonic()
        page = ada.get("/search?q=x", status=503)
        assert time.monotonic() - began < 4  # less than the general statement timeout
        assert "This search took too long" in page.text
        assert page.headers["Retry-After"] == "5"
        assert "Sign out" in page.text
    monkeypatch.undo()
    assert "Nothing found." in ada.get("/search?q=x").text
    assert limit() == before  # it ends with the search, also on the connection returned to the pool


@pytest.mark.parametrize(
    "q", ["\\", "%", "_", "'", '"', "x" * 5000, "🎉" * 500, "#" + "é" * 101, "\U000e0001", "/", "#", "@", "\ud800"]
)
def test_unusual_queries_get_a_page(ada: Person, q: str) -> None:
    ada.post("nothing of the kind")
    page = ada.get("/search?q=" + quote(q, errors="surrogatepass"), status="*")
    assert page.status_int in (200, 400)
    assert ids_on(page) == []


def test_hashtag_link_finds_the_tweet(ada: Person) -> None:
    longest = "é" * text.LONGEST_HASHTAG
    for tag in ("می‌خواهم", "ﾃｽﾄ", longest, "Straße", "葛\U000e0100城", "İ"):
        tweet = ada.post(f"＃{tag} … ")
        url = re.search(r'href="(/tag/[^"]+)"', ada.get(f"/tweets/{tweet}").text)
        assert url
        assert ada.ids(url.group(1)) == [tweet], tag


def test_a_deleted_tweet_and_a_closed_account_leave_no_hashtags(ada: Person, bob: Person, sessions: Sessions) -> None:
    ada.delete(ada.post("#one #two"))
    kept = ada.post("#three")
    bob.post("#four")
    bob.send("/settings", action="close", password="a good password", confirm="yes")
    with sessions() as session:
        assert session.execute(select(Hashtag.tag, Hashtag.tweet_id)).all() == [("three", kept)]


def test_rows_of_benchmarks_can_be_searched(engine: Engine) -> None:
    with bulk_rows(engine, Lines()) as rows:
        (author,) = rows.people(1, "Reader")
        rows.tweets([(ids.first_id_of_ms(1_700_000_000_000 + n), author, f"Say {n} #Slow #web") for n in range(3)], 3)
    check_searchable(engine)


def test_rows_from_before_the_migration_are_searchable(empty_url: str) -> None:
    config = alembic_config(empty_url)
    command.upgrade(config, "0003")
    date, later = "2020-01-01 00:00:00+00:00", "2021-01-01 00:00:00+00:00"
    messages = {
        1: "@annさん #Straße", 2: "plain", 3: "@bob and ＠ANN #\ufe0f\u20e3", 4: "old @ann", 5: "@late",
        6: "@loaded＠x @ann",
    }  # fmt: skip
    messages |= {n: f"Filler {n} #Tag{n % 7}" for n in range(7, 10_010)}
    people = [(1, "Ann", "Ann", "x", date), (2, "bob", "\u3164", "x", date), (3, "late", "Late", "x", later),
              (4, "loaded", "\U0001d159", "", later)]  # fmt: skip
    with engine_on(empty_url) as engine, engine.begin() as connection:
        connection.execute(
            sql(
                "INSERT INTO users (id, username, username_key, display_name, bio, password_hash, auth_version,"
                " tweets_count, followers_count, following_count, date)"
                " VALUES (:id, :name, :key, :shown, '', :hash, 0, 0, 0, 0, :date)"
            ),
            [
                dict(zip(("id", "name", "shown", "hash", "date"), p, strict=True)) | {"key": p[1].lower()}
                for p in people
            ],
        )
        connection.execute(
            sql("INSERT INTO tweets (id, user_id, message, date) VALUES (:id, 1, :message, :date)"),
            [{"id": id_, "message": message, "date": date} for id_, message in messages.items()],
        )
        connection.execute(
            sql("INSERT INTO mentions (user_id, tweet_id) VALUES (:user, :tweet)"),
            [{"user": 2, "tweet": 3}, {"user": 1, "tweet": 4}, {"user": 4, "tweet": 6}],
        )
    for _ in range(2):
        command.upgrade(config, "head")
        with engine_on(empty_url) as engine, make_sessions(engine)() as session:
            check_searchable(engine)
            assert dict(session.execute(select(Tweet.id, Tweet.message)).all()) == messages
            # bob existed; no user is named late when @late is written; loaded@x is an address.
            assert set(session.execute(select(Mention.tweet_id, Mention.user_id))) == {
                (1, 1),
                (3, 1),
                (3, 2),
                (4, 1),
                (6, 1),
            }
            names = dict(session.execute(select(User.id, User.display_name)).all())
            assert names == {1: "Ann", 2: "bob", 3: "Late", 4: "loaded"}
            events = [json.loads(payload) for payload in session.scalars(select(OutboxEvent.payload))]
            assert events == [{"type": "ProfileChanged", "user_id": user_id} for user_id in (2, 4)]
        command.downgrade(config, "0003")
