"""No cache of tweets: they are in the same database as the timelines, so a page reads them from there."""

from collections.abc import Iterable, Mapping

from zope.interface import implementer

from tweeter.interfaces import ITweetCache
from tweeter.values import TweetView


@implementer(ITweetCache)
class NoCache:
    """Every look-up is a miss."""

    def set_site(self, site_id: str) -> None:
        """Does nothing: there are no keys."""

    def get_many(self, ids: Iterable[int]) -> dict[int, TweetView | None]:
        return {}

    def guard(self, ids: Iterable[int]) -> None:
        """Does nothing: nothing is filled."""

    def fill(self, guard: None, tweets: Mapping[int, TweetView | None]) -> None:
        """Does nothing."""

    def invalidate(self, ids: Iterable[int]) -> None:
        """Does nothing."""

    def clear(self) -> None:
        """Does nothing."""
