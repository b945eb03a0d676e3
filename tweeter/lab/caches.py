"""The tweet caches of two steps of the talk, over any store's cache."""

from collections.abc import Iterable, Mapping
from typing import Any

from zope.interface import implementer

from tweeter.interfaces import ITweetCache
from tweeter.values import TweetView


@implementer(ITweetCache)
class NoCache:
    """Caches nothing, so SQL loads all tweets in one statement."""

    def set_site(self, site_id: str) -> None:
        """Does nothing: there are no keys."""

    def get_many(self, ids: Iterable[int]) -> dict[int, TweetView | None]:
        return {}

    def lease(self, ids: Iterable[int]) -> None:
        """Does nothing."""

    def fill(self, lease: None, tweets: Mapping[int, TweetView | None]) -> None:
        """Stores nothing."""

    def invalidate(self, ids: Iterable[int]) -> None:
        """Does nothing."""

    def clear(self) -> None:
        """Does nothing."""


@implementer(ITweetCache)
class OneByOneCache:
    """Reads another cache one tweet at a time, with a round trip for each."""

    def __init__(self, cache: ITweetCache) -> None:
        self._cache = cache

    def set_site(self, site_id: str) -> None:
        self._cache.set_site(site_id)

    def get_many(self, ids: Iterable[int]) -> dict[int, TweetView | None]:
        found: dict[int, TweetView | None] = {}
        for id_ in ids:
            found |= self._cache.get_many([id_])
        return found

    def lease(self, ids: Iterable[int]) -> Any:
        return self._cache.lease(ids)

    def fill(self, lease: Any, tweets: Mapping[int, TweetView | None]) -> None:
        self._cache.fill(lease, tweets)

    def invalidate(self, ids: Iterable[int]) -> None:
        self._cache.invalidate(ids)

    def clear(self) -> None:
        self._cache.clear()
