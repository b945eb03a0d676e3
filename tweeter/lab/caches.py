"""The tweet caches of two steps of the talk, over any store's cache."""

from collections.abc import Iterable, Mapping

from tweeter.lab.instruments import Wrapper
from tweeter.values import TweetView


class NoCache(Wrapper):
    """Caches nothing, so SQL loads all tweets in one statement."""

    def get_many(self, ids: Iterable[int]) -> dict[int, TweetView | None]:
        return {}

    def guard(self, ids: Iterable[int]) -> None:
        """Does nothing."""

    def fill(self, guard: None, tweets: Mapping[int, TweetView | None]) -> None:
        """Stores nothing."""

    def invalidate(self, ids: Iterable[int]) -> None:
        """Does nothing."""


class OneByOneCache(Wrapper):
    """Reads another cache one tweet at a time, with a round trip for each."""

    def get_many(self, ids: Iterable[int]) -> dict[int, TweetView | None]:
        found: dict[int, TweetView | None] = {}
        for id_ in ids:
            found |= self.target.get_many([id_])
        return found
