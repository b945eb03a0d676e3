"""Fan-out: from an event to the timelines and tweets it changes."""

import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import chain

from sqlalchemy.orm import Session

from tweeter.ids import MAX_ID
from tweeter.interfaces import IOverlappingStore, ITimelineStore
from tweeter.models.meta import SessionFactory
from tweeter.timelines import followers, queries
from tweeter.timelines.hydrate import Hydrator
from tweeter.values import (
    AccountClosed,
    Event,
    Followed,
    ProfileChanged,
    Reloaded,
    Timeline,
    Truncated,
    TweetCreated,
    TweetsDeleted,
    Unfollowed,
)

STRETCH = 8000  # followers read from SQL at a time: the store waits for the first, and we look again at the last
CHUNK = 2000  # of them, written to the store at a time; and tweets read
MOST = 10  # of these chunks, while a reader waits
STEP = 0.25  # seconds, after which others get their turn


class FanOut:
    """Applies events to a store and a cache. Every step can be done again, and in any order with other events."""

    def __init__(self, store: ITimelineStore, hydrator: Hydrator, sessions: SessionFactory) -> None:
        self._store = store
        self._hydrator = hydrator
        self._cache = hydrator.cache
        self._sessions = sessions

    def deliver(self, event: Event) -> Iterator[None]:
        """Does what an event asks for, and pauses between the chunks of a long one so that others get their turn."""
        match event:
            case TweetCreated(tweet_id, user_id):
                yield from self._fan_out(tweet_id, user_id)
            case TweetsDeleted(tweet_ids, user_id):
                yield from self._bounded(self._withdraw(tweet_ids, user_id))
            case Followed(follower_id) | Unfollowed(follower_id):
                # To merge or unmerge would race with the fan-out of either side; cold is always right.
                self._store.drop([Timeline.home(follower_id).key])
            case ProfileChanged(user_id):
                yield from self._bounded(self._forget_author(user_id, replies=False))
            case AccountClosed(user_id):
                self._store.drop([Timeline.home(user_id).key, Timeline.profile(user_id).key])
                # What of the account was removed from SQL already is told of by TweetsDeleted.
                yield from self._bounded(self._forget_author(user_id, replies=True))
            case Truncated(before_id):
                self._store.truncate(before_id)
            case Reloaded():
                self._store.clear()
                self._cache.clear()
            case _:
                raise TypeError(f"no rule for {event!r}")

    def _fan_out(self, tweet_id: int, user_id: int) -> Iterator[None]:
        if not self._exists(tweet_id):
            return
        self._store.add([Timeline.public().key, Timeline.profile(user_id).key, Timeline.home(user_id).key], tweet_id)
        stretches = self._followers(user_id)
        for step, stretch in enumerate(stretches):
            if step and not self._exists(tweet_id):
                return  # deleted meanwhile: no use in going on; readers leave out what was delivered
            self._write(chain([stretch], _for_a_while(stretches)), user_id, tweet_id)
            yield  # nothing is under way now: thousands of events may be delivered in turn

    def _write(self, stretches: Iterable[Sequence[int]], user_id: int, tweet_id: int) -> None:
        """Adds the tweet to the home timelines of stretches of followers."""
        begun: deque[Sequence[int]] = deque()
        written = 0
        for chunk in self._add_to_each(_cut(stretches, begun), tweet_id):
            written += len(chunk)
            if written == len(begun[0]):
                self._look_again(begun.popleft(), user_id)
                written = 0

    def _look_again(self, stretch: Sequence[int], user_id: int) -> None:
        """Drops the timelines of those who unfollowed while they were written to.

        Who unfollowed since the stretch was read may have been dropped and filled again before we wrote. Who unfollows
        later than this second look drops the timeline later than we wrote.
        """
        with self._sessions() as session:
            still = followers.between(session, user_id, stretch[0], stretch[-1])
        if still != stretch and (left := set(stretch).difference(still)):
            self._store.drop([Timeline.home(follower_id).key for follower_id in left])

    def _add_to_each(self, chunks: Iterator[Sequence[int]], tweet_id: int) -> Iterator[Sequence[int]]:
        if IOverlappingStore.providedBy(self._store):
            yield from self._store.add_to_each("home", chunks, tweet_id)
            return
        for chunk in chunks:
            self._store.add([Timeline.home(follower_id).key for follower_id in chunk], tweet_id)
            yield chunk

    def _exists(self, tweet_id: int) -> bool:
        """Also brings the tweet into the cache, for the first who reads it."""
        return self._hydrator.tweets([tweet_id])[tweet_id] is not None

    def _withdraw(self, tweet_ids: Sequence[int], user_id: int) -> Iterator[None]:
        """Home timelines keep the ids until they are read: to fan out deletes would cost as much as the tweets did."""
        self._store.remove(Timeline.public().key, tweet_ids)
        self._store.remove(Timeline.profile(user_id).key, tweet_ids)
        yield from self._forget(tweet_ids)

    def _replies(self, tweet_ids: Sequence[int]) -> Iterator[Sequence[int]]:
        """Most tweets have few replies, which one statement finds; where there are many, each tweet is read by itself,
        so that every statement follows the index."""
        with self._sessions() as session:
            some = queries.some_reply_ids(session, tweet_ids, CHUNK)
        if len(some) < CHUNK:
            if some:
                yield some
            return
        for tweet_id in tweet_ids:
            yield from self._replies_to(tweet_id)

    def _replies_to(self, tweet_id: int) -> Iterator[Sequence[int]]:
        return self._chunks(CHUNK, lambda session, last, limit: queries.reply_ids(session, tweet_id, last, limit))

    def _bounded(self, steps: Iterator[None]) -> Iterator[None]:
        """Steps in which the cache forgets tweets. A private store is delivered to while a reader waits, so where there
        are very many it forgets all tweets instead, which costs each page a statement once."""
        for number, _ in enumerate(steps):
            if number == MOST and self._store.private:
                self._cache.clear()
                return
            yield

    def _forget_author(self, user_id: int, replies: bool) -> Iterator[None]:
        """Takes all tweets of an author out of the cache, newest first."""
        for ids in self._tweet_ids(user_id):
            if replies:
                yield from self._forget(ids)
            else:
                self._cache.invalidate(ids)
            yield

    def _forget(self, tweet_ids: Sequence[int]) -> Iterator[None]:
        """Takes tweets out of the cache, and the replies to them, which say that what they reply to is gone."""
        self._cache.invalidate(tweet_ids)
        for replies in self._replies(tweet_ids):
            self._cache.invalidate(replies)
            yield

    def _followers(self, user_id: int) -> Iterator[Sequence[int]]:
        return self._chunks(STRETCH, lambda session, last, limit: followers.after(session, user_id, last, limit))

    def _tweet_ids(self, user_id: int) -> Iterator[Sequence[int]]:
        return self._chunks(
            CHUNK, lambda session, last, limit: queries.tweet_ids(session, user_id, last or MAX_ID + 1, limit)
        )

    def _chunks(self, size: int, read: Callable[[Session, int, int], Sequence[int]]) -> Iterator[Sequence[int]]:
        """Ids in one order, a chunk at a time, each read in a transaction of its own, from the last id of the one
        before; at first from 0."""
        last, full = 0, True
        while full:
            with self._sessions() as session:
                chunk = read(session, last, size)
            full = len(chunk) == size
            if chunk:
                yield chunk
                last = chunk[-1]


def _for_a_while(stretches: Iterator[Sequence[int]]) -> Iterator[Sequence[int]]:
    """The next stretches, until a step has taken long enough; however slow the store is, its deliverer shows up."""
    ends = time.monotonic() + STEP
    while time.monotonic() < ends and (stretch := next(stretches, None)):
        yield stretch


def _cut(stretches: Iterable[Sequence[int]], begun: deque[Sequence[int]]) -> Iterator[Sequence[int]]:
    """The stretches in chunks; notes which stretches were begun."""
    for stretch in stretches:
        begun.append(stretch)
        for first in range(0, len(stretch), CHUNK):
            yield stretch[first : first + CHUNK]
