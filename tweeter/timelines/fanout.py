"""Fan-out: from an event to the timelines and tweets it changes."""

from collections.abc import Iterator, Sequence

from tweeter.interfaces import ITimelineStore
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


class FanOut:
    """Applies events to a store and a cache. Every step can be done again, and in any order with other events."""

    def __init__(self, store: ITimelineStore, hydrator: Hydrator, sessions: SessionFactory) -> None:
        self._store = store
        self._hydrator = hydrator
        self._cache = hydrator.cache
        self._sessions = sessions

    def apply(self, event: Event) -> None:
        match event:
            case TweetCreated(tweet_id, user_id):
                self._deliver(tweet_id, user_id)
            case TweetsDeleted(tweet_ids, user_id):
                self._withdraw(tweet_ids, user_id)
            case Followed(follower_id) | Unfollowed(follower_id):
                # To merge or unmerge would race with the fan-out of either side; cold is always right.
                self._store.drop([Timeline.home(follower_id).key])
            case ProfileChanged(user_id):
                for ids in self._tweet_ids(user_id):
                    self._cache.invalidate(ids)
            case AccountClosed(user_id):
                self._store.drop([Timeline.home(user_id).key, Timeline.profile(user_id).key])
            case Truncated(before_id):
                self._store.truncate(before_id)
            case Reloaded():
                self._store.clear()
                self._cache.clear()
            case _:
                raise TypeError(f"no rule for {event!r}")

    def _deliver(self, tweet_id: int, user_id: int) -> None:
        if not self._exists(tweet_id):
            return
        self._store.add([Timeline.public().key, Timeline.profile(user_id).key, Timeline.home(user_id).key], tweet_id)
        for chunk in self._followers(user_id):
            self._store.add([Timeline.home(follower_id).key for follower_id in chunk], tweet_id)
            # Who unfollowed since the chunk was read may have been dropped and filled again before we wrote. Who
            # unfollows later than this second look drops the timeline later than we wrote.
            with self._sessions() as session:
                still = queries.followers_between(session, user_id, chunk[0], chunk[-1])
            if left := [follower_id for follower_id in chunk if follower_id not in still]:
                self._store.drop([Timeline.home(follower_id).key for follower_id in left])
            if not self._exists(tweet_id):
                return  # deleted meanwhile: no use in going on; readers leave out what was delivered

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
        last = 0
        while True:
            with self._sessions() as session:
                chunk = queries.followers(session, user_id, last, CHUNK)
            if not chunk:
                return
            yield chunk
            last = chunk[-1]

    def _tweet_ids(self, user_id: int) -> Iterator[Sequence[int]]:
        last = 0
        while True:
            with self._sessions() as session:
                chunk = queries.tweet_ids(session, user_id, last, CHUNK)
            if not chunk:
                return
            yield chunk
            last = chunk[-1]
