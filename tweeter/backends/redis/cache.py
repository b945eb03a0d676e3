"""Tweets as MessagePack in Redis."""

import secrets
from collections.abc import Iterable, Mapping

import msgspec
from zope.interface import implementer

from tweeter.backends.redis import scripts
from tweeter.backends.redis.wire import Wire, translated
from tweeter.interfaces import ITweetCache
from tweeter.values import TweetView

LEASE_MS = 10_000
LEASED = b"l"  # no MessagePack of a tweet or of nil begins with it

_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(TweetView | None).decode


@implementer(ITweetCache)
class RedisTweetCache:
    """A value for each tweet: the TweetView, nil where it is gone, or a lease."""

    def __init__(self, wire: Wire, prefix: str, seconds: float = 86_400) -> None:
        self._wire = wire
        self._prefix = f"{prefix}tw:"
        self._ms = int(seconds * 1000)

    @translated
    def get_many(self, ids: Iterable[int]) -> dict[int, TweetView | None]:
        if not (wanted := list(ids)):
            return {}
        values = self._wire.values(self._prefix, wanted)
        return {
            id_: _decode(value)
            for id_, value in zip(wanted, values, strict=True)
            if value is not None and not value.startswith(LEASED)
        }

    @translated
    def lease(self, ids: Iterable[int]) -> bytes:
        token = LEASED + secrets.token_bytes(8)
        self._wire.run([("SET", f"{self._prefix}{id_}", token, "PX", LEASE_MS, "NX") for id_ in ids])
        return token

    @translated
    def fill(self, lease: bytes, tweets: Mapping[int, TweetView | None]) -> None:
        self._wire.run(
            [
                (scripts.FILL_TWEET, f"{self._prefix}{id_}", lease, _encode(tweet), self._ms)
                for id_, tweet in tweets.items()
            ]
        )

    @translated
    def invalidate(self, ids: Iterable[int]) -> None:
        self._wire.run([("UNLINK", f"{self._prefix}{id_}") for id_ in ids])

    @translated
    def clear(self) -> None:
        self._wire.unlink_all(self._prefix)
