"""The tables' own rules, the engine, and the outbox as a log that loses nothing."""

import threading
import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from datetime import UTC, datetime, timedelta, timezone

import pytest
from sqlalchemy import Engine, func, insert, select, text, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session, sessionmaker

from tests.conftest import engine_on
from tweeter import measure
from tweeter.actions import Actions
from tweeter.models import Mention, OutboxEvent, Relationship, Tweet, User, outbox
from tweeter.models.meta import begin_immediate, make_sessions
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


def test_nobody_follows_themselves(sessions: Sessions, ada: int) -> None:
    with pytest.raises(IntegrityError), sessions.begin() as session:
        session.add(Relationship(from_user_id=ada, to_user_id=ada))


def test_a_name_is_taken_whatever_its_case(sessions: Sessions, ada: int) -> None:
    with pytest.raises(IntegrityError), sessions.begin() as session:
        session.add(person("ADA"))


def test_tweets_belong_to_somebody(sessions: Sessions, ada: int) -> None:
    with pytest.raises(IntegrityError), sessions.begin() as session:
        session.add(Tweet(id=1, user_id=ada + 1, message="hi", date=datetime.now(UTC)))


def test_all_that_belongs_to_an_account_goes_with_it(sessions: Sessions, ada: int) -> None:
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


def test_the_id_of_a_closed_account_is_not_given_again(sessions: Sessions, ada: int) -> None:
    with sessions.begin() as session:
        session.execute(text("DELETE FROM users WHERE id = :id"), {"id": ada})
    with sessions.begin() as session:
        session.add(bob := person("bob"))
        session.flush()
        assert bob.id > ada


def test_the_greatest_id_is_kept_exactly(sessions: Sessions, ada: int) -> None:
    with sessions.begin() as session:
        session.add(Tweet(id=2**53 - 1, user_id=ada, message="last", date=datetime.now(UTC), parent_id=2**53 - 2))
    with sessions() as session:
        assert session.execute(select(Tweet.id, Tweet.parent_id)).all() == [(2**53 - 1, 2**53 - 2)]


def test_moments_come_back_in_utc_to_the_millisecond(sessions: Sessions, ada: int) -> None:
    moment = datetime(2026, 11, 23, 12, 30, 15, 123000, timezone(timedelta(hours=5, minutes=30)))
    with sessions.begin() as session:
        session.add(Tweet(id=1, user_id=ada, message="now", date=moment))
    with sessions() as session:
        tweet = session.get_one(Tweet, 1)
        assert tweet.date == moment
        assert tweet.date.utcoffset() == timedelta(0)


def test_any_text_comes_back_as_it_was(sessions: Sessions, ada: int) -> None:
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


def test_nothing_is_counted_where_nobody_measures(sessions: Sessions) -> None:
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
    """Reading first and writing then loses no update, and nobody is told that the database is locked."""
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


def read(sessions: Sessions, position: int = 0, limit: int = 100) -> outbox.Log:
    with sessions() as session:
        return outbox.read(session, position, limit)


def events_of(log: outbox.Log) -> list[Event]:
    return [logged.event for logged in log.events]


@pytest.mark.parametrize("event", EVENTS, ids=lambda event: type(event).__name__)
def test_an_event_comes_back_as_it_was(sqlite_url: str, event: Event) -> None:
    with engine_on(sqlite_url) as engine:
        sessions = make_sessions(engine)
        recorded(sessions, event)
        assert events_of(read(sessions)) == [event]


def test_events_come_in_their_order(sessions: Sessions) -> None:
    recorded(sessions, *EVENTS[:3])
    recorded(sessions, *EVENTS[3:])
    assert events_of(read(sessions)) == EVENTS


def test_an_event_of_a_transaction_that_fails_never_happened(sessions: Sessions) -> None:
    with pytest.raises(ZeroDivisionError), sessions.begin() as session:
        outbox.record(session, Followed(1, 2))
        session.flush()
        raise ZeroDivisionError
    assert events_of(read(sessions)) == []


def test_who_reads_on_gets_what_is_new(sessions: Sessions) -> None:
    recorded(sessions, Followed(1, 2))
    first = read(sessions)
    recorded(sessions, Followed(1, 3))
    second = read(sessions, first.position)
    assert Followed(1, 3) in events_of(second)
    assert {logged.id for logged in read(sessions, second.position).events} <= {e.id for e in second.events}


def read_in_steps(sessions: Sessions, limit: int) -> list[Event]:
    """Reads to the end as one has to: a read that is full and did not move on is repeated with a greater limit."""
    seen: dict[int, Event] = {}
    position = 0
    while True:
        log = read(sessions, position, limit)
        seen |= {logged.id: logged.event for logged in log.events}
        if log.position != position:
            position = log.position
        elif len(log.events) == limit:
            limit *= 2
        else:
            return [seen[id_] for id_ in sorted(seen)]


def test_who_reads_in_small_steps_gets_everything(sessions: Sessions) -> None:
    for number in range(20):
        recorded(sessions, Followed(1, number + 2))
    assert read_in_steps(sessions, 3) == [Followed(1, number + 2) for number in range(20)]


def test_a_transaction_of_more_events_than_one_reads_does_not_stop_the_log(sessions: Sessions) -> None:
    """Closing an account with many tweets records many events at once."""
    recorded(sessions, *(Followed(1, number + 2) for number in range(20)))
    recorded(sessions, Followed(7, 8))
    assert read_in_steps(sessions, 5)[-1] == Followed(7, 8)


def test_the_head_is_where_nothing_of_the_past_comes_any_more(sessions: Sessions) -> None:
    recorded(sessions, Followed(1, 2))
    with sessions() as session:
        position = outbox.head(session)
    recorded(sessions, Followed(1, 3))
    assert events_of(read(sessions, position)) == [Followed(1, 3)]


def test_an_event_of_a_transaction_that_commits_late_is_not_missed(postgresql_url: str) -> None:
    with engine_on(postgresql_url) as engine:
        sessions = make_sessions(engine)
        recorded(sessions, Followed(1, 2))
        with sessions() as session:
            position = outbox.head(session)
        with sessions.begin() as late:
            outbox.record(late, Followed(1, 3))
            late.flush()
            recorded(sessions, Followed(1, 4))
            log = read(sessions, position)
            assert events_of(log) == [Followed(1, 4)]
            position = log.position
            recorded(sessions, Followed(1, 5))
            log = read(sessions, position)
            assert Followed(1, 5) in events_of(log)
            position = log.position
        log = read(sessions, position)
        assert Followed(1, 3) in events_of(log)
        # Now that nobody is under way the log goes on, and what was read does not come again for ever.
        recorded(sessions, Followed(1, 6))
        log = read(sessions, log.position)
        assert events_of(read(sessions, log.position)) in ([], [Followed(1, 6)])


def test_a_head_that_is_taken_while_somebody_writes_misses_nothing_of_it(postgresql_url: str) -> None:
    with engine_on(postgresql_url) as engine:
        sessions = make_sessions(engine)
        with sessions.begin() as late:
            outbox.record(late, Followed(1, 2))
            late.flush()
            recorded(sessions, Followed(1, 3))
            with sessions() as session:
                position = outbox.head(session)
        assert Followed(1, 2) in events_of(read(sessions, position))


def test_no_event_is_missed_whoever_commits_when(engine: Engine, sessions: Sessions) -> None:
    """A reader that goes on while others write sees each event at least once."""
    writing = threading.Event()
    writing.set()
    seen: set[Event] = set()

    def follow_the_log() -> None:
        position = 0
        while True:
            last = not writing.is_set()
            log = read(sessions, position, 1000)
            seen.update(events_of(log))
            if last:
                return
            position = log.position
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
    assert len(seen) == 160


def test_old_events_are_pruned_but_for_the_newest(sessions: Sessions) -> None:
    long_ago = datetime.now(UTC) - timedelta(days=2)
    recorded(sessions, Followed(1, 2), Followed(1, 3))
    with sessions.begin() as session:
        session.execute(update(OutboxEvent).values(date=long_ago))
        assert outbox.prune(session, timedelta(days=1)) == 1
    assert events_of(read(sessions)) == [Followed(1, 3)]
    recorded(sessions, Followed(1, 4))
    with sessions.begin() as session:
        assert outbox.prune(session, timedelta(days=1)) == 1
    assert events_of(read(sessions)) == [Followed(1, 4)]


def test_the_id_of_a_pruned_event_is_not_given_again(sessions: Sessions) -> None:
    recorded(sessions, Followed(1, 2))
    (first,) = read(sessions).events
    with sessions.begin() as session:
        session.execute(text("DELETE FROM outbox"))
    recorded(sessions, Followed(1, 3))
    (second,) = read(sessions).events
    assert second.id > first.id


def test_what_is_inserted_without_the_model_has_its_transaction_too(sessions: Sessions) -> None:
    with sessions.begin() as session:
        session.execute(insert(OutboxEvent), [{"payload": '{"type":"Reloaded"}'}])
        on_postgresql = session.get_bind().dialect.name == "postgresql"
    with sessions() as session:
        assert (session.scalars(select(OutboxEvent.transaction_id)).one() is not None) is on_postgresql
    assert events_of(read(sessions)) == [Reloaded()]
