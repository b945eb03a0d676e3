"""Tweets and leases as bytes, for caches outside of the process.

    l token deadline       a lease: 8 random bytes, and when it ends, in seconds since 1970
    v version MessagePack  a tweet, or nil where it is gone; the version is a digest of TweetView's fields

Processes of two versions may share a cache during a deployment: each takes the other's values for misses and replaces
them, which costs SQL statements and nothing else. One key holds both versions, so that an invalidation by either
process reaches the other.
"""

import secrets
import time
from collections.abc import Iterable
from hashlib import sha256
from typing import Any, NamedTuple

import msgspec

from tweeter.values import TweetView

LEASE_SECONDS = 10
LEASED = b"l"
_LEASE_LENGTH = len(LEASED) + 8 + 4
_SKEW = 60  # seconds by which the clocks of two processes may differ


def version_of(struct: type[msgspec.Struct]) -> bytes:
    """A digest of a Struct's fields: their names, types and order."""
    fields = [(field.name, str(field.type)) for field in msgspec.structs.fields(struct)]
    return b"v" + sha256(repr(fields).encode()).digest()[:4]


VERSION = version_of(TweetView)

_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(TweetView | None).decode


class Found(NamedTuple):
    """The tweets among some values; and the ids of those that are neither tweet nor lease, each with the reason."""

    tweets: dict[int, TweetView | None]
    damaged: dict[int, str]


def new_lease() -> bytes:
    return LEASED + secrets.token_bytes(8) + (int(time.time()) + LEASE_SECONDS).to_bytes(4)


def pack(tweet: TweetView | None) -> bytes:
    return VERSION + _encode(tweet)


def unpack(values: Iterable[tuple[int, Any]]) -> Found:
    """Tweets out of pairs of an id and the bytes under its key. None is a miss; anything but bytes is damaged."""
    found = Found({}, {})
    for id_, data in values:
        if data is None:
            continue
        if not isinstance(data, bytes):
            found.damaged[id_] = "of another type"
        elif data.startswith(VERSION):
            try:
                tweet = _decode(memoryview(data)[len(VERSION) :])
            except (ValueError, RecursionError):  # msgspec's own errors are ValueErrors, and so is bad UTF-8
                found.damaged[id_] = "undecodable"
                continue
            if tweet is None or tweet.id == id_:
                found.tweets[id_] = tweet
            else:
                found.damaged[id_] = "another tweet"
        elif not data.startswith(LEASED):
            found.damaged[id_] = "of another version" if data.startswith(VERSION[:1]) else "undecodable"
        elif not _may_be_held(data):
            found.damaged[id_] = "a lease without an end"
    return found


def _may_be_held(lease: bytes) -> bool:
    """Nobody would fill what is leased for ever."""
    ends = int.from_bytes(lease[-4:]) - time.time()
    return len(lease) == _LEASE_LENGTH and -_SKEW < ends < LEASE_SECONDS + _SKEW
