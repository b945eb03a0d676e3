"""Hydration: turns ids into tweets, from the cache, with one SQL query for its misses."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from types import MappingProxyType

from tweeter import ids as tweet_ids
from tweeter.db.sessions import SessionFactory
from tweeter.interfaces import ITweetCache
from tweeter.metrics import TWEETS
from tweeter.timelines import queries
from tweeter.values import TweetView

COMMITTED = 60_000  # milliseconds after which a tweet that one server has is visible on the others


class Hydrator:
    """Tweets by id, through a cache.

    With replicas it is not `certain` that a new tweet is deleted if SQL does not have it: a replica shows a commit
    before the primary does, and may have filled a timeline with the tweet's id.
    """

    def __init__(self, name: str, cache: ITweetCache, sessions: SessionFactory, certain: bool = True) -> None:
        self.cache = cache
        self._certain = certain
        self._hits = TWEETS.labels(name, "hit")
        self._misses = TWEETS.labels(name, "miss")
        self._sessions = sessions

    def tweets(
        self,
        ids: Iterable[int],
        outdated: Callable[[TweetView], bool] | None = None,
        held: Mapping[int, TweetView | None] = MappingProxyType({}),
    ) -> dict[int, TweetView | None]:
        """{id: TweetView, or None for a tombstone}, for every id.

        `held` are tweets that the cache has returned already. Cached tweets that may be `outdated` are read from SQL.
        """
        wanted = list(ids)
        found = {id_: held[id_] for id_ in wanted if id_ in held}
        if len(found) < len(wanted):
            found |= self.cache.get_many([id_ for id_ in wanted if id_ not in found])
        if outdated is not None:
            found = {id_: tweet for id_, tweet in found.items() if tweet is None or not outdated(tweet)}
        missing = [id_ for id_ in wanted if id_ not in found] if len(found) < len(wanted) else []
        self._hits.inc(len(wanted) - len(missing))
        if missing:
            self._misses.inc(len(missing))
            found |= self.load(missing)
        return found

    def knows(self, id_: int) -> bool:
        """Whether the tweet is deleted if SQL does not have it."""
        return self._certain or id_ <= tweet_ids.latest_id() - (COMMITTED << tweet_ids.SEQUENCE_BITS)

    def load(self, ids: Sequence[int]) -> dict[int, TweetView | None]:
        """Like `tweets`, but reads all of them from SQL and fills the cache."""
        # The stale-set guard is taken before the query's snapshot begins. A later delete or rename voids the guard, so
        # a slow reader cannot fill the cache with outdated tweets.
        guard = self.cache.guard(ids)
        with self._sessions() as session:
            loaded = queries.load_tweets(session, ids)
        self.cache.fill(guard, {id_: loaded.get(id_) for id_ in ids if id_ in loaded or self.knows(id_)})
        return {id_: loaded.get(id_) for id_ in ids}
