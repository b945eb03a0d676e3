"""Hydration: ids into tweets, by the cache, and by one SQL query for what it misses."""

from collections.abc import Iterable

from tweeter.interfaces import ITweetCache
from tweeter.metrics import TWEETS
from tweeter.models.meta import SessionFactory
from tweeter.timelines import queries
from tweeter.values import TweetView


class Hydrator:
    """Tweets by id, through a cache."""

    def __init__(self, name: str, cache: ITweetCache, sessions: SessionFactory) -> None:
        self.cache = cache
        self._hits = TWEETS.labels(name, "hit")
        self._misses = TWEETS.labels(name, "miss")
        self._sessions = sessions

    def tweets(self, ids: Iterable[int]) -> dict[int, TweetView | None]:
        """{id: TweetView, or None where the tweet is gone}, for every id."""
        wanted = list(ids)
        found: dict[int, TweetView | None] = self.cache.get_many(wanted)
        missing = [id_ for id_ in wanted if id_ not in found]
        self._hits.inc(len(wanted) - len(missing))
        if missing:
            self._misses.inc(len(missing))
            # The lease comes before the query, whose session begins its snapshot now: what is deleted or renamed
            # after that voids the lease, so the cache can't be filled with what was true before.
            lease = self.cache.lease(missing)
            with self._sessions() as session:
                loaded = queries.load_tweets(session, missing)
            fresh = {id_: loaded.get(id_) for id_ in missing}
            self.cache.fill(lease, fresh)
            found |= fresh
        return found
