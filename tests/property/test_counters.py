"""Counters agree with lists after any history of actions, suspensions and closed accounts, also of many at once."""

import random
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from itertools import count
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import select
from sqlalchemy.exc import OperationalError
from sqlalchemy.orm import Session, sessionmaker

from tweeter.db.chunks import in_chunks
from tweeter.db.sessions import begin_immediate
from tweeter.errors import Missing, NotYours, Refused
from tweeter.models import CounterChange, Like, Recount, Relationship, Tweet, User
from tweeter.services.actions import Actions
from tweeter.services.closing import remove_some, remove_some_of_deleted
from tweeter.services.counters import count_some
from tweeter.services.moderation import Moderation
from tweeter.services.passwords import Passwords
from tweeter.services.recounting import recount_some

pytestmark = pytest.mark.slow

WORK = {"recount": recount_some, "remove": remove_some, "of deleted": remove_some_of_deleted, "count": count_some}
PEOPLE = [
    "follow", "follow", "follow", "unfollow", "block", "post", "post", "post", "delete", "repost", "repost",
    "undo_repost", "like", "like", "like", "unlike",
]  # fmt: skip
OPERATORS = ["suspend", "suspend", "unsuspend", "unsuspend", "close_account", "delete_any"]
VERBS = [*PEOPLE, *OPERATORS, *WORK, "recount", "recount", "recount"]
NUMBER = st.integers(0, 1000)
NAMES = count()


class Killed(Exception):
    """Before the commit."""


class History:
    """What some people and operators of a site do, and its background work. All are chosen by numbers."""

    def __init__(self, sessions: sessionmaker[Session], people: int) -> None:
        self._sessions = sessions
        self._names = [f"u{next(NAMES)}" for _ in range(people)]
        self._tweets: list[int] = []
        with self._acting(Actions) as actions:
            self._users = [actions.sign_up(name, "password").id for name in self._names]
        self.act("post", 0, 0)
        self.act("post", 1, 0)

    @contextmanager
    def _acting(self, kind: type[Actions], killed: bool = False) -> Iterator[Any]:
        """A transaction; it does nothing if an action is refused."""
        with suppress(Missing, NotYours, Refused, Killed), self._sessions() as session:
            begin_immediate(session)
            yield kind(session, Passwords(1, 8), 140)
            session.flush()
            if killed:
                raise Killed
            session.commit()

    def act(self, verb: str, one: int, other: int, killed: bool = False) -> None:
        user, name = self._users[one % len(self._users)], self._names[other % len(self._users)]
        tweet = self._tweets[other % len(self._tweets)] if self._tweets else None
        with self._acting(Actions if verb in PEOPLE else Moderation, killed) as actions:
            if verb in WORK:
                WORK[verb](actions._session, 1 + other % 3)
            elif verb == "post":
                self._tweets.append(actions.post(user, "hello", tweet if other % 3 else None).id)
            elif verb == "delete_any":
                actions.delete_any(tweet)
            elif verb in OPERATORS:
                getattr(actions, verb)(user)
            elif verb in ("follow", "unfollow", "block"):
                getattr(actions, verb)(user, name)
            elif repost := getattr(actions, verb)(user, tweet):
                self._tweets.append(repost.id)

    def finish(self) -> None:
        """Does all background work."""
        for work in WORK.values():
            assert sum(in_chunks(self._sessions, work)) >= 0

    def check(self, finished: bool = False) -> None:
        """Counters are the numbers of rows that are not marked; finally, of those whose users are on the site."""
        with self._sessions() as session:
            users = {user.id: user for user in session.scalars(select(User).where(User.username.in_(self._names)))}
            follows = session.scalars(select(Relationship).where(Relationship.from_user_id.in_(users))).all()
            likes = session.scalars(select(Like).where(Like.user_id.in_(users))).all()
            tweets = session.scalars(select(Tweet).where(Tweet.user_id.in_(users))).all()
            changes = session.scalars(select(CounterChange)).all()
            assert not (finished and session.scalar(select(Recount.user_id)))

        def counts(row: Any, *ids: int) -> bool:
            return not any(users[id_].closed for id_ in ids) if finished else row.uncounted is None

        kept = {id_: user for id_, user in users.items() if not user.closed or (user.suspended and not finished)}
        pairs = [(each.from_user_id, each.to_user_id) for each in follows]
        counted = [pair for pair, each in zip(pairs, follows, strict=True) if counts(each, *pair)]
        assert {id_: (user.following_count, user.followers_count) for id_, user in kept.items()} == {
            id_: (sum(one == id_ for one, _ in counted), sum(other == id_ for _, other in counted)) for id_ in kept
        }
        liked = Counter(like.tweet_id for like in likes if counts(like, like.user_id))
        rows = [tweet for tweet in tweets if counts(tweet, tweet.user_id)]
        replies, reposts = Counter(row.parent_id for row in rows), Counter(row.repost_of_id for row in rows)
        for change in changes:
            liked[change.tweet_id] -= change.likes
            reposts[change.tweet_id] -= change.reposts
        for tweet in tweets:
            found = tweet.replies_count, tweet.reposts_count, tweet.likes_count
            assert found == (replies[tweet.id], reposts[tweet.id], liked[tweet.id])


@settings(max_examples=15, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.lists(st.tuples(st.sampled_from(VERBS), NUMBER, NUMBER, st.sampled_from([False] * 5 + [True])), min_size=12))
def _check_history(sessions: sessionmaker[Session], steps: list[tuple[str, int, int, bool]]) -> None:
    history = History(sessions, 4)
    for step in steps:
        history.act(*step)
        history.check()
    history.finish()
    history.check(finished=True)


def test_counters_agree_with_lists_after_any_history(sessions: sessionmaker[Session]) -> None:
    _check_history(sessions)


def test_counters_agree_with_lists_after_what_many_did_at_once(sessions: sessionmaker[Session]) -> None:
    history = History(sessions, 6)
    errors: list[Exception] = []

    def live(seed: int) -> None:
        chance = random.Random(seed)
        for _ in range(80):
            verb = chance.choice([verb for verb in VERBS if verb != "close_account" or chance.random() < 0.05])
            try:
                history.act(verb, chance.randrange(1000), chance.randrange(1000), chance.random() < 0.1)
            except OperationalError as error:  # PostgreSQL aborts one of two deadlocked transactions
                if "deadlock" not in str(error):
                    errors.append(error)
            except Exception as error:
                errors.append(error)

    threads = [threading.Thread(target=live, args=(seed,)) for seed in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not errors
    history.check()
    history.finish()
    history.check(finished=True)
