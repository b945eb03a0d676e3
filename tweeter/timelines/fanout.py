"""Fan-out: from an event to the timelines and tweets it changes."""

from collections.abc import Callable, Iterator, Sequence
from itertools import islice

from sqlalchemy.orm import Session

from tweeter.interfaces import IOverlappingStore, ITimelineStore
from tweeter.models.meta import SessionFactory
from tweeter.timelines import queries
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

CHUNK = 1000  # followers, or tweets, at a time
STEP = 8  # chunks of followers, until others get their turn


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
                self._withdraw(tweet_ids, user_id)
            case Followed(follower_id) | Unfollowed(follower_id):
                # To merge or unmerge would race with the fan-out of either side; cold is always right.
                self._store.drop([Timeline.home(follower_id).key])
            case ProfileChanged(user_id):
                for ids in self._tweet_ids(user_id):
                    self._cache.invalidate(ids)
                    yield
            case AccountClosed(user_id):
                self._store.drop([Timeline.home(user_id).key, Timeline.profile(user_id).key])
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
        chunks = self._followers(user_id)
        # Between two steps nothing is under way: thousands of events may be delivered in turn.
        while some := list(self._write(islice(chunks, STEP), user_id, tweet_id)):
            yield
            if len(some) < STEP or not self._exists(tweet_id):
                return  # deleted meanwhile: no use in going on; readers leave out what was delivered

    def _write(self, chunks: Iterator[Sequence[int]], user_id: int, tweet_id: int) -> Iterator[Sequence[int]]:
        """Adds the tweet to the home timelines of chunks of followers."""
        for chunk in self._add_to_each(chunks, tweet_id):
            # Who unfollowed since the chunk was read may have been dropped and filled again before we wrote. Who
            # unfollows later than this second look drops the timeline later than we wrote.
            with self._sessions() as session:
                still = queries.followers_between(session, user_id, chunk[0], chunk[-1])
            if left := [follower_id for follower_id in chunk if follower_id not in still]:
                self._store.drop([Timeline.home(follower_id).key for follower_id in left])
            yield chunk

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

    def _withdraw(self, tweet_ids: Sequence[int], user_id: int) -> None:
        """Home timelines keep the ids until they are read: to fan out deletes would cost as much as the tweets did."""
        with self._sessions() as session:
            answers = queries.answer_ids(session, tweet_ids)  # they say that what they answer is gone
        self._cache.invalidate([*tweet_ids, *answers])
        self._store.remove(Timeline.public().key, tweet_ids)
        self._store.remove(Timeline.profile(user_id).key, tweet_ids)

    def _followers(self, user_id: int) -> Iterator[Sequence[int]]:
        return self._chunks(lambda session, last: queries.followers(session, user_id, last, CHUNK))

    def _tweet_ids(self, user_id: int) -> Iterator[Sequence[int]]:
        return self._chunks(lambda session, last: queries.tweet_ids(session, user_id, last, CHUNK))

    def _chunks(self, read: Callable[[Session, int], Sequence[int]]) -> Iterator[Sequence[int]]:
        """Ids in ascending order, a chunk at a time, each read in a transaction of its own."""
        last = 0
        while True:
            with self._sessions() as session:
                chunk = read(session, last)
            if not chunk:
                return
            yield chunk
            last = chunk[-1]
