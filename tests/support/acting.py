"""Actions of three people, and a check of all counters and events."""

from collections import Counter
from collections.abc import Callable
from contextlib import AbstractContextManager
from functools import partial
from typing import Any

import pytest
from sqlalchemy import Engine, func, select
from sqlalchemy.exc import OperationalError
from sqlalchemy.orm import Session, sessionmaker

from tests.support.outbox_reader import Reader
from tweeter.db.chunks import CHUNK, in_chunks
from tweeter.models import Relationship, Tweet, User
from tweeter.services.actions import Actions
from tweeter.services.closing import remove_some
from tweeter.values import (
    AccountClosed,
    Event,
    Followed,
    TweetCreated,
    TweetsDeleted,
    Unfollowed,
)

Sessions = sessionmaker[Session]
Acting = Callable[[], AbstractContextManager[Actions]]
Act = Callable[..., Any]

PASSWORD = "correct horse"
ATTEMPTS = 3  # as retry.attempts in the ini files


@pytest.fixture
def people(acting: Acting) -> dict[str, int]:
    """Three accounts: name to id."""
    with acting() as actions:
        return {name: actions.sign_up(name, PASSWORD).id for name in ("ada", "bob", "eve")}


@pytest.fixture
def act(engine: Engine, acting: Acting, people: dict[str, int]) -> Act:
    """`act("post", "ada", "hi")` in its own transaction, retried as by pyramid_retry; returns the id of the result."""

    def act(name: str, who: str, *arguments: Any) -> Any:
        for attempt in range(ATTEMPTS):
            try:
                with acting() as actions:
                    result = getattr(actions, name)(people[who], *arguments)
                    return getattr(result, "id", None)
            except OperationalError:
                # PostgreSQL aborts one of two deadlocked transactions; on SQLite writers take turns.
                if engine.dialect.name == "sqlite" or attempt == ATTEMPTS - 1:
                    raise
        raise AssertionError

    return act


def all_events(sessions: Sessions) -> list[Event | None]:
    return [logged.event for logged in sorted(Reader(sessions).look(1_000_000).events)]


def last_event(sessions: Sessions) -> Event | None:
    return all_events(sessions)[-1]


def remove(sessions: Sessions, limit: int = CHUNK) -> None:
    """Removes the rows of closed accounts, as the housekeeper does."""
    for _ in in_chunks(sessions, partial(remove_some, limit=limit)):
        pass


def user(sessions: Sessions, name: str) -> User:
    with sessions() as session:
        return session.scalars(select(User).where(User.username_key == name)).one()


def counters(sessions: Sessions, name: str) -> tuple[int, int, int]:
    found = user(sessions, name)
    return found.tweets_count, found.followers_count, found.following_count


def check_everything(sessions: Sessions) -> None:
    """Counters equal their rows, and the events of the outbox reproduce all rows."""
    remove(sessions)
    with sessions() as session:
        for each in session.scalars(select(User)):
            for counter, column in (
                (each.tweets_count, Tweet.user_id),
                (each.followers_count, Relationship.to_user_id),
                (each.following_count, Relationship.from_user_id),
            ):
                actual = session.scalar(select(func.count()).where(column == each.id))
                assert counter == actual, (each.username, column)
        replies = Counter(session.scalars(select(Tweet.parent_id)))
        assert {each.id: each.replies_count for each in session.scalars(select(Tweet))} == {
            id_: replies[id_] for id_ in session.scalars(select(Tweet.id))
        }
        users = set(session.scalars(select(User.id)))
        tweets = {(tweet.id, tweet.user_id) for tweet in session.scalars(select(Tweet))}
        edges = {(edge.from_user_id, edge.to_user_id) for edge in session.scalars(select(Relationship))}
    told_tweets: set[tuple[int, int]] = set()
    told_edges: set[tuple[int, int]] = set()
    for event in all_events(sessions):
        match event:
            case TweetCreated(tweet_id, user_id):
                assert (tweet_id, user_id) not in told_tweets
                told_tweets.add((tweet_id, user_id))
            case TweetsDeleted(tweet_ids, user_id):
                told_tweets -= {(tweet_id, user_id) for tweet_id in tweet_ids}
            case Followed(follower, followee):
                assert (follower, followee) not in told_edges
                told_edges.add((follower, followee))
            case Unfollowed(follower, followee):
                told_edges.remove((follower, followee))
            case AccountClosed(user_id):
                told_edges = {edge for edge in told_edges if user_id not in edge}
                assert user_id not in users
    assert told_tweets == tweets
    assert told_edges == edges
