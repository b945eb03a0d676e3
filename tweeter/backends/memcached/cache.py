"""Tweets as MessagePack in memcached."""

import secrets
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

import msgspec
from zope.interface import implementer

from tweeter.backends.memcached.client import ATTEMPTS, Servers
from tweeter.backends.memcached.epoch import Epoch
from tweeter.backends.memcached.wire import Request, blocks, storing
from tweeter.interfaces import ITweetCache
from tweeter.values import TweetView

LEASE_SECONDS = 10
LEASED = b"l"  # a lease begins with it
VERSION = b"1"  # and a tweet, or nil, with this

_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(TweetView | None).decode


class _Place(NamedTuple):
    """Where a lease stands, and the number memcached gave it there; whatever takes its place has another."""

    server: int
    name: bytes
    unique: bytes


_Lease = Mapping[int, _Place]


@implementer(ITweetCache)
class MemcachedTweetCache:
    """A value for each tweet: the TweetView, nil where it is gone, or a lease."""

    def __init__(self, servers: Servers, seconds: float = 86_400) -> None:
        self._servers = servers
        self._seconds = int(seconds)

    def get_many(self, ids: Iterable[int]) -> dict[int, TweetView | None]:
        tweets: dict[int, TweetView | None] = {}
        unreadable = []
        for _, _, answer in self._servers.ask(map(str, ids), self._get):
            for name, found in answer.values.items() if answer else ():
                if found.data.startswith(LEASED):
                    continue
                try:
                    tweets[_id(name)] = _read(found.data)
                except (msgspec.DecodeError, ValueError):
                    unreadable.append(_id(name))
        if unreadable:  # nobody could lease them
            self.invalidate(unreadable)
        return tweets

    def lease(self, ids: Iterable[int]) -> _Lease:
        token = LEASED + secrets.token_bytes(8)

        def add(keys: Sequence[str], epoch: Epoch) -> Request:
            names = self._get(keys, epoch).names
            return Request(names, blocks(storing(b"add", name, token, LEASE_SECONDS) for name in names))

        lease: dict[int, _Place] = {}
        todo = [str(id_) for id_ in ids]
        for _ in range(ATTEMPTS):
            again: list[str] = []
            for server, keys, answer in self._servers.ask(todo, add):
                if answer is None:
                    self._servers.begin(server)
                    again += keys
                    continue
                for name, found in answer.values.items():
                    if found.data == token:
                        lease[_id(name)] = _Place(server, name, found.unique)
            if not (todo := again):
                break
        return lease

    def fill(self, lease: _Lease, tweets: Mapping[int, TweetView | None]) -> None:
        commands: dict[int, list[bytes]] = {}
        for id_, tweet in tweets.items():
            if (place := lease.get(id_)) is not None:
                command = storing(b"cas", place.name, VERSION + _encode(tweet), self._seconds, place.unique)
                commands.setdefault(place.server, []).append(command)
        self._servers.commands(commands)

    def invalidate(self, ids: Iterable[int]) -> None:
        def delete(keys: Sequence[str], epoch: Epoch) -> Request:
            return Request(blocks=blocks(b"delete %s\r\n" % name for name in self._get(keys, epoch).names))

        self._servers.ask(map(str, ids), delete)

    def clear(self) -> None:
        """Timelines too become cold: an epoch is of all that a server has."""
        self._servers.change(Epoch.renewed)

    def _get(self, keys: Sequence[str], epoch: Epoch) -> Request:
        return Request([self._servers.name("tw", epoch, key) for key in keys])


def _id(name: bytes) -> int:
    return int(name.rpartition(b":")[2])


def _read(data: bytes) -> TweetView | None:
    if not data.startswith(VERSION):
        raise ValueError("of another version")
    return _decode(memoryview(data)[1:])
