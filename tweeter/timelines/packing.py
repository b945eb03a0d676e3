"""Encodes tweets and guards as bytes, for caches outside the process.

    l token deadline       a guard: 8 random bytes, and its end in seconds since 1970
    v version MessagePack  a tweet, or nil for a tombstone; the version is a digest of TweetView's fields

During a rolling deployment, processes of two versions may share a cache: each treats the other's values as misses and
replaces them, which only costs SQL statements. Both versions use one key, so that an invalidation by either process
reaches the other.
"""

import secrets
import time
from collections.abc import Iterable
from hashlib import sha256
from typing import Any, NamedTuple

import msgspec

from tweeter.values import TweetView

GUARD_SECONDS = 10
GUARDED = b"l"
_GUARD_LENGTH = len(GUARDED) + 8 + 4
_SKEW = 60  # seconds by which the clocks of two processes may differ


def version_of(struct: type[msgspec.Struct]) -> bytes:
    """A digest of a Struct's fields: their names, types and order."""
    fields = [(field.name, str(field.type)) for field in msgspec.structs.fields(struct)]
    return b"v" + sha256(repr(fields).encode()).digest()[:4]


VERSION = version_of(TweetView)

_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(TweetView | None).decode


class Found(NamedTuple):
    """The decoded tweets, and the reason for each id whose value is neither a tweet nor a guard."""

    tweets: dict[int, TweetView | None]
    damaged: dict[int, str]


def new_guard() -> bytes:
    return GUARDED + secrets.token_bytes(8) + (int(time.time()) + GUARD_SECONDS).to_bytes(4)


def pack(tweet: TweetView | None) -> bytes:
    return VERSION + _encode(tweet)


def unpack(values: Iterable[tuple[int, Any]]) -> Found:
    """Decodes pairs of an id and the value of its key. None is a miss; a value other than bytes is damaged."""
    found = Found({}, {})
    for id_, data in values:
        if data is None:
            continue
        if not isinstance(data, bytes):
            found.damaged[id_] = "of another type"
        elif data.startswith(VERSION):
            try:
                tweet = _decode(memoryview(data)[len(VERSION) :])
            except (ValueError, RecursionError):  # msgspec's own errors and invalid UTF-8 are ValueErrors
                found.damaged[id_] = "undecodable"
                continue
            if tweet is None or tweet.id == id_:
                found.tweets[id_] = tweet
            else:
                found.damaged[id_] = "another tweet"
        elif not data.startswith(GUARDED):
            found.damaged[id_] = "of another version" if data.startswith(VERSION[:1]) else "undecodable"
        elif not _may_be_held(data):
            found.damaged[id_] = "a guard without an end"
    return found


def _may_be_held(guard: bytes) -> bool:
    """Whether the guard has the right length and ends soon. One without an end would block fills for ever."""
    ends = int.from_bytes(guard[-4:]) - time.time()
    return len(guard) == _GUARD_LENGTH and -_SKEW < ends < GUARD_SECONDS + _SKEW
