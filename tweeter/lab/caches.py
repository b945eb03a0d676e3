"""The tweet caches of two steps of the talk, over any store's cache."""

from collections.abc import Iterable, Mapping

from tweeter.lab.instruments import Stand
from tweeter.values import TweetView


class NoCache(Stand):
    """Caches nothing, so SQL loads all tweets in one statement."""

    def get_many(self, ids: Iterable[int]) -> dict[int, TweetView | None]:
        return {}

    def lease(self, ids: Iterable[int]) -> None:
        """Does nothing."""

    def fill(self, lease: None, tweets: Mapping[int, TweetView | None]) -> None:
        """Stores nothing."""

    def invalidate(self, ids: Iterable[int]) -> None:
        """Does nothing."""


class OneByOneCache(Stand):
    """Reads another cache one tweet at a time, with a round trip for each."""

    def get_many(self, ids: Iterable[int]) -> dict[int, TweetView | None]:
        found: dict[int, TweetView | None] = {}
        for id_ in ids:
            found |= self.target.get_many([id_])
        return found
