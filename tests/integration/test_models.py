"""Constraints of the tables, the engine, and the outbox as a log without loss."""

import threading
import time
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import msgspec
import pytest
from sqlalchemy import func, insert, select, text, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session, sessionmaker

from tests.conftest import engine_on
from tests.support.outbox_reader import Reader
from tweeter import measure, outbox
from tweeter.db.sessions import begin_immediate, make_sessions
from tweeter.models import Mention, OutboxEvent, Relationship, Tweet, User
from tweeter.services.actions import Actions
from tweeter.values import (
    AccountClosed,
    Event,
    Followed,
    ProfileChanged,
    Reloaded,
    Truncated,
    TweetCreated,
    TweetsDeleted,
    Unfollowed,
)

Sessions = sessionmaker[Session]
Acting = Callable[[], AbstractContextManager[Actions]]

EVENTS: list[Event] = [
    TweetCreated(2**53 - 1, 7),
    TweetsDeleted((1, 2, 3), 7),
    Followed(1, 2),
    Unfollowed(1, 2),
    ProfileChanged(7),
    AccountClosed(7),
    Truncated(99),
    Reloaded(),
]


def person(name: str, id_: int | None = None) -> User:
    return User(id=id_, username=name, username_key=name.lower(), display_name=name)


@pytest.fixture
def ada(sessions: Sessions) -> int:
    with sessions.begin() as session:
        user = person("Ada")
        session.add(user)
        session.flush()
        return user.id


# the tables' rules


@pytest.mark.parametrize("counter", ["tweets_count", "followers_count", "following_count"])
def test_no_counter_is_ever_negative(sessions: Sessions, ada: int, counter: str) -> None:
    with pytest.raises(IntegrityError), sessions.begin() as session:
        session.execute(update(User).values({counter: -1}))


def test_users_cannot_follow_themselves(sessions: Sessions, ada: int) -> None:
    with pytest.raises(IntegrityError), sessions.begin() as session:
        session.add(Relationship(from_user_id=ada, to_user_id=ada))


def test_names_are_unique_case_insensitively(sessions: Sessions, ada: int) -> None:
    with pytest.raises(IntegrityError), sessions.begin() as session:
        session.add(person("ADA"))


def test_tweets_need_an_author(sessions: Sessions, ada: int) -> None:
    with pytest.raises(IntegrityError), sessions.begin() as session:
        session.add(Tweet(id=1, user_id=ada + 1, message="hi", date=datetime.now(UTC)))


def test_deleting_an_account_deletes_its_rows(sessions: Sessions, ada: int) -> None:
    with sessions.begin() as session:
        bob = person("bob")
        session.add(bob)
        session.flush()
        session.add(Tweet(id=1, user_id=ada, message="@bob", date=datetime.now(UTC)))
        session.flush()
        session.add_all([Relationship(from_user_id=ada, to_user_id=bob.id), Mention(user_id=bob.id, tweet_id=1)])
    with sessions.begin() as session:
        session.execute(text("DELETE FROM users WHERE id = :id"), {"id": ada})
    with sessions() as session:
        for model in (Tweet, Relationship, Mention):
            assert session.scalar(select(func.count()).select_from(model)) == 0


def test_id_of_a_closed_account_is_not_reused(sessions: Sessions, ada: int) -> None:
    with sessions.begin() as session:
        session.execute(text("DELETE FROM users WHERE id = :id"), {"id": ada})
    with sessions.begin() as session:
        session.add(bob := person("bob"))
        session.flush()
        assert bob.id > ada


def test_greatest_id_round_trips_exactly(sessions: Sessions, ada: int) -> None:
    with sessions.begin() as session:
        session.add(Tweet(id=2**53 - 1, user_id=ada, message="last", date=datetime.now(UTC), parent_id=2**53 - 2))
    with sessions() as session:
        assert session.execute(select(Tweet.id, Tweet.parent_id)).all() == [(2**53 - 1, 2**53 - 2)]


def test_timestamps_round_trip_in_utc_with_milliseconds(sessions: Sessions, ada: int) -> None:
    moment = datetime(2026, 11, 23, 12, 30, 15, 123000, timezone(timedelta(hours=5, minutes=30)))
    with sessions.begin() as session:
        session.add(Tweet(id=1, user_id=ada, message="now", date=moment))
    with sessions() as session:
        tweet = session.get_one(Tweet, 1)
        assert tweet.date == moment
        assert tweet.date.utcoffset() == timedelta(0)


def test_any_text_round_trips(sessions: Sessions, ada: int) -> None:
    message = "𝄞 👩‍👩‍👧‍👦 'quoted' \"twice\" \\ %s %(x)s :name ; -- é\n日本語"
    with sessions.begin() as session:
        session.add(Tweet(id=1, user_id=ada, message=message, date=datetime.now(UTC)))
    with sessions() as session:
        assert session.scalars(select(Tweet.message)).one() == message


# the engine


def test_statements_are_counted(sessions: Sessions) -> None:
    with measure.measuring() as meter, sessions() as session:
        session.execute(select(User.id))
        with measure.timeline_read():
            session.execute(select(Tweet.id))
    assert (meter.sql, meter.timeline_sql) == (2, 1)
    assert meter.sql_seconds > 0


ROWS = "WITH RECURSIVE c(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM c WHERE n < 200000) SELECT n FROM c"


@pytest.mark.parametrize(
    "fetch",
    [
        lambda result: result.all(), list, lambda result: list(result.scalars()),
        lambda result: result.fetchmany(200_000),
        lambda result: [row for part in result.partitions(1000) for row in part],
    ],
    ids=["all", "iteration", "scalars", "fetchmany", "partitions"],
)  # fmt: skip
def test_fetching_counts_as_sql(sessions: Sessions, fetch: Callable[[Any], Sequence[Any]]) -> None:
    """SQLite computes a row when it is fetched, which takes most of the time of such a statement."""
    with sessions() as session, measure.measuring() as meter:
        result = session.execute(text(ROWS))
        executed = meter.sql_seconds
        assert len(fetch(result)) == 200_000
        assert meter.sql == 1
        assert 0 < meter.sql_seconds <= meter.seconds
        if session.get_bind().dialect.name == "sqlite":
            assert meter.sql_seconds > 10 * executed
        else:
            assert meter.sql_seconds > executed


def test_nothing_is_counted_without_a_meter(sessions: Sessions) -> None:
    with sessions() as session:
        session.execute(select(User.id))
    assert measure.current() is None


def test_a_reader_on_sqlite_does_not_wait_for_the_writer(sqlite_url: str) -> None:
    with engine_on(sqlite_url) as engine:
        sessions = make_sessions(engine)
        with sessions.begin() as writer:
            begin_immediate(writer)
            writer.add(person("ada"))
            writer.flush()
            with sessions() as reader:
                assert reader.scalar(select(func.count()).select_from(User)) == 0


def test_writers_on_sqlite_take_turns(sqlite_url: str) -> None:
    """Reading before writing loses no update, and raises no "database is locked"."""
    with engine_on(sqlite_url) as engine:
        sessions = make_sessions(engine)
        with sessions.begin() as session:
            session.add(person("ada", 1))

        def write() -> None:
            for _ in range(25):
                with sessions.begin() as session:
                    begin_immediate(session)
                    seen = session.scalars(select(User.tweets_count)).one()
                    session.execute(update(User).values(tweets_count=seen + 1))

        in_threads(write, 4)
        with sessions() as session:
            assert session.scalars(select(User.tweets_count)).one() == 100


def in_threads(function: Callable[[], None], number: int) -> None:
    errors: list[BaseException] = []

    def run() -> None:
        try:
            function()
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=run) for _ in range(number)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert errors == []


# the outbox


def recorded(sessions: Sessions, *events: Event) -> None:
    with sessions.begin() as session:
        begin_immediate(session)
        for event in events:
            outbox.record(session, event)


def read(sessions: Sessions, limit: int = 100) -> list[Event | None]:
    """Everything in the outbox."""
    return Reader(sessions).read(limit)


def logged_ids(sessions: Sessions) -> list[int]:
    return [logged.id for logged in Reader(sessions).look().events]


@pytest.mark.parametrize("event", EVENTS, ids=lambda event: type(event).__name__)
def test_event_round_trips_through_the_outbox(sqlite_url: str, event: Event) -> None:
    with engine_on(sqlite_url) as engine:
        sessions = make_sessions(engine)
        recorded(sessions, event)
        assert read(sessions) == [event]


def test_events_are_read_in_order(sessions: Sessions) -> None:
    recorded(sessions, *EVENTS[:3])
    recorded(sessions, *EVENTS[3:])
    assert read(sessions) == EVENTS


def test_an_event_of_a_transaction_that_fails_never_happened(sessions: Sessions) -> None:
    with pytest.raises(ZeroDivisionError), sessions.begin() as session:
        outbox.record(session, Followed(1, 2))
        session.flush()
        raise ZeroDivisionError
    assert read(sessions) == []


def test_reader_gets_each_new_event_once(sessions: Sessions) -> None:
    reader = Reader(sessions)
    recorded(sessions, Followed(1, 2))
    assert reader.read() == [Followed(1, 2)]
    recorded(sessions, Followed(1, 3))
    assert reader.read() == [Followed(1, 3)]
    assert reader.read() == []


def test_unapplied_events_are_read_again(sessions: Sessions) -> None:
    reader = Reader(sessions)
    recorded(sessions, Followed(1, 2))
    reader.look()
    assert reader.read() == [Followed(1, 2)]


@pytest.mark.parametrize("limit", [1, 3, 19, 20, 21])
def test_reading_in_small_batches_is_complete(sessions: Sessions, limit: int) -> None:
    expected = [Followed(1, number + 2) for number in range(20)]
    recorded(sessions, *expected[:15])  # more events in one transaction than in one batch
    for event in expected[15:]:
        recorded(sessions, event)
    reader = Reader(sessions)
    events: list[Event | None] = []
    while step := reader.read(limit):
        events += step
    assert events == expected


def test_reader_at_the_end_gets_no_past_events(sessions: Sessions) -> None:
    recorded(sessions, Followed(1, 2))
    reader = Reader(sessions, at_end=True)
    recorded(sessions, Followed(1, 3))
    assert reader.read() == [Followed(1, 3)]


def test_an_event_of_a_transaction_that_commits_late_is_not_missed(postgresql_url: str) -> None:
    with engine_on(postgresql_url) as engine:
        sessions = make_sessions(engine)
        recorded(sessions, Followed(1, 2))
        reader = Reader(sessions, at_end=True)
        with sessions.begin() as late:
            outbox.record(late, Followed(1, 3))
            late.flush()
            for number in (4, 5):
                recorded(sessions, Followed(1, number))
                assert reader.read() == [Followed(1, number)]
        assert reader.read() == [Followed(1, 3)]
        recorded(sessions, Followed(1, 6))
        assert reader.read() == [Followed(1, 6)]
        assert reader.read() == []


def test_position_stays_small_during_a_long_transaction(postgresql_url: str) -> None:
    with engine_on(postgresql_url) as engine:
        sessions = make_sessions(engine)
        with sessions.begin() as late:
            outbox.record(late, Followed(1, 2))
            late.flush()
            reader = Reader(sessions, at_end=True)
            for number in range(500):
                recorded(sessions, Followed(1, number + 3))
            assert len(reader.read(1000)) == 500
            assert len(msgspec.json.encode(reader.position)) < 200
            assert reader.read() == []
        assert reader.read() == [Followed(1, 2)]


def test_payload_of_a_newer_version_cannot_be_decoded(sessions: Sessions) -> None:
    payloads = ['{"type":"Renamed","user_id":1}', "no json", '{"type":"Reloaded"}', '{"type":"Followed"}']
    with sessions.begin() as session:
        session.execute(insert(OutboxEvent), [{"payload": payload} for payload in payloads])
    assert read(sessions) == [None, None, Reloaded(), None]


def test_reader_started_during_a_write_misses_nothing(postgresql_url: str) -> None:
    with engine_on(postgresql_url) as engine:
        sessions = make_sessions(engine)
        with sessions.begin() as late:
            outbox.record(late, Followed(1, 2))
            late.flush()
            recorded(sessions, Followed(1, 3))
            reader = Reader(sessions, at_end=True)
            assert reader.read() == []
        assert reader.read() == [Followed(1, 2)]


@pytest.mark.parametrize("limit", [1, 3, 1000])
def test_reader_sees_each_event_once_for_any_commit_order(sessions: Sessions, limit: int) -> None:
    writing = threading.Event()
    writing.set()
    seen: list[Event | None] = []

    def follow_the_log() -> None:
        log = Reader(sessions)
        while True:
            last = not writing.is_set()
            seen.extend(log.read(limit))
            if last and not log.look().events:
                return
            time.sleep(0.002)

    reader = threading.Thread(target=follow_the_log)
    reader.start()
    numbers = iter(range(10**6))

    def write() -> None:
        for _ in range(20):
            recorded(sessions, *(Followed(threading.get_ident(), next(numbers)) for _ in range(2)))

    try:
        in_threads(write, 4)
    finally:
        writing.clear()
        reader.join(30)
    assert len(seen) == len(set(seen)) == 160


def test_old_events_are_pruned_but_for_the_newest(sessions: Sessions) -> None:
    long_ago = datetime.now(UTC) - timedelta(days=2)
    recorded(sessions, Followed(1, 2), Followed(1, 3))
    with sessions.begin() as session:
        session.execute(update(OutboxEvent).values(date=long_ago))
        assert outbox.prune(session, timedelta(days=1)) == 1
    assert read(sessions) == [Followed(1, 3)]
    recorded(sessions, Followed(1, 4))
    with sessions.begin() as session:
        assert outbox.prune(session, timedelta(days=1)) == 1
    assert read(sessions) == [Followed(1, 4)]


def test_id_of_a_pruned_event_is_not_reused(sessions: Sessions) -> None:
    recorded(sessions, Followed(1, 2))
    (first,) = logged_ids(sessions)
    with sessions.begin() as session:
        session.execute(text("DELETE FROM outbox"))
    recorded(sessions, Followed(1, 3))
    (second,) = logged_ids(sessions)
    assert second > first


def test_rows_inserted_without_the_model_have_a_transaction_id(sessions: Sessions) -> None:
    with sessions.begin() as session:
        session.execute(insert(OutboxEvent), [{"payload": '{"type":"Reloaded"}'}])
        on_postgresql = session.get_bind().dialect.name == "postgresql"
    with sessions() as session:
        assert (session.scalars(select(OutboxEvent.transaction_id)).one() is not None) is on_postgresql
    assert read(sessions) == [Reloaded()]


def test_counting_followers_of_every_user_once_makes_no_index_entries_in_postgresql(postgresql_url: str) -> None:
    with engine_on(postgresql_url) as engine, Session(engine) as session:
        names = [f"user{n}" for n in range(500)]
        values = [{"username": name, "username_key": name, "display_name": name} for name in names]
        session.execute(insert(User), values)
        session.commit()
        session.execute(update(User).values(followers_count=User.followers_count + 1))
        figures = "pg_stat_get_xact_tuples_updated(r), pg_stat_get_xact_tuples_hot_updated(r)"
        rows = session.execute(text(f"SELECT {figures} FROM (SELECT 'users'::regclass AS r) AS users")).one()
    assert rows == (500, 500)


def test_postgresql_does_not_jit_compile_statements(postgresql_url):
    with engine_on(postgresql_url) as engine, engine.connect() as connection:
        assert connection.scalar(text("SHOW jit")) == "off"


def test_connection_closed_by_the_server_is_replaced(postgresql_server, postgresql_url, monkeypatch):
    monkeypatch.setattr("tweeter.db.engines.LONG_REST", 0)
    with engine_on(postgresql_url) as engine:
        with engine.connect() as connection:
            number = connection.scalar(text("SELECT pg_backend_pid()"))
        postgresql_server.execute(f"SELECT pg_terminate_backend({number})")
        with engine.connect() as connection:
            assert connection.scalar(text("SELECT pg_backend_pid()")) != number
