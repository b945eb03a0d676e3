"""Tweets as MessagePack in Redis."""

from collections.abc import Iterable, Mapping

from zope.interface import implementer

from tweeter.backends.redis import scripts
from tweeter.backends.redis.errors import translating
from tweeter.backends.redis.wire import Wire
from tweeter.interfaces import ITweetCache
from tweeter.metrics import count_damaged
from tweeter.timelines.packing import GUARD_SECONDS, new_guard, pack, unpack
from tweeter.values import TweetView


@implementer(ITweetCache)
class RedisTweetCache:
    """One value per tweet: the TweetView, nil for a tombstone, or a guard; see `timelines.packing`."""

    def __init__(self, wire: Wire, seconds: float = 86_400) -> None:
        self._wire = wire
        self._ms = int(seconds * 1000)

    @property
    def prefix(self) -> str:
        """The prefix of the cache's keys; an id follows."""
        return f"{self._wire.prefix}tw:"

    def set_site(self, site_id: str) -> None:
        self._wire.set_site(site_id)

    @translating()
    def get_many(self, ids: Iterable[int]) -> dict[int, TweetView | None]:
        if not (wanted := list(ids)):
            return {}
        found = unpack(zip(wanted, self._wire.values(self.prefix, wanted), strict=True))
        if found.damaged:
            self.invalidate(found.damaged)
            count_damaged("redis", {f"tweet {id_}": why for id_, why in found.damaged.items()})
        return found.tweets

    @translating()
    def guard(self, ids: Iterable[int]) -> bytes:
        token, prefix = new_guard(), self.prefix
        self._wire.run([("SET", f"{prefix}{id_}", token, "PX", GUARD_SECONDS * 1000, "NX") for id_ in ids])
        return token

    @translating()
    def fill(self, guard: bytes, tweets: Mapping[int, TweetView | None]) -> None:
        prefix = self.prefix
        self._wire.run(
            [(scripts.FILL_TWEET, f"{prefix}{id_}", guard, pack(tweet), self._ms) for id_, tweet in tweets.items()]
        )

    @translating()
    def invalidate(self, ids: Iterable[int]) -> None:
        prefix = self.prefix
        self._wire.run([("UNLINK", f"{prefix}{id_}") for id_ in ids])

    @translating()
    def clear(self) -> None:
        self._wire.unlink_all(self.prefix)
