"""Tweets as MessagePack in memcached.

A guard is added as a value. `mg … N` would create an empty value instead, which `gets` cannot tell from a damaged one.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

from zope.interface import implementer

from tweeter.backends.memcached.client import Servers
from tweeter.backends.memcached.epoch import Epoch
from tweeter.backends.memcached.wire import ADD, SET, Request, blocks, storing
from tweeter.interfaces import ITweetCache
from tweeter.metrics import count_damaged
from tweeter.timelines.packing import GUARD_SECONDS, new_guard, pack, unpack
from tweeter.values import TweetView


class _Place(NamedTuple):
    """The place of a guard, and its CAS unique; any value that replaces it has another."""

    server: int
    name: bytes
    unique: bytes


_Guard = Mapping[int, _Place]


@implementer(ITweetCache)
class MemcachedTweetCache:
    """One value per tweet: the TweetView, nil for a tombstone, or a guard; see `timelines.packing`."""

    def __init__(self, servers: Servers, seconds: float = 86_400) -> None:
        self._servers = servers
        self._seconds = int(seconds)

    def set_site(self, site_id: str) -> None:
        self._servers.set_site(site_id)

    def get_many(self, ids: Iterable[int]) -> dict[int, TweetView | None]:
        shares = self._servers.exchange(map(str, ids), self._get)
        found = unpack((_id(name), value.data) for share in shares for name, value in share.values.items())
        if found.damaged:  # they would block guards
            self.invalidate(found.damaged)
            count_damaged("memcached", {f"tweet {id_}": why for id_, why in found.damaged.items()})
        return found.tweets

    def guard(self, ids: Iterable[int]) -> _Guard:
        token = new_guard()

        def add(keys: Sequence[str], epoch: Epoch) -> Request:
            names = self._get(keys, epoch).names
            return Request(names, blocks(storing(ADD, name, token, GUARD_SECONDS) for name in names))

        return {
            _id(name): _Place(share.server, name, found.unique)
            for share in self._servers.exchange(map(str, ids), add, begin=True)
            for name, found in share.values.items()
            if found.data == token
        }

    def fill(self, guard: _Guard, tweets: Mapping[int, TweetView | None]) -> None:
        commands: dict[int, list[bytes]] = {}
        for id_, tweet in tweets.items():
            if (place := guard.get(id_)) is not None:
                command = storing(SET, place.name, pack(tweet), self._seconds, place.unique)
                commands.setdefault(place.server, []).append(command)
        self._servers.send({server: Request(blocks=blocks(each)) for server, each in commands.items()})

    def invalidate(self, ids: Iterable[int]) -> None:
        self._servers.drop("tw", map(str, ids))

    def clear(self) -> None:
        """Makes timelines cold, too: a server has one epoch for all values."""
        self._servers.change(Epoch.renewed)

    def _get(self, keys: Sequence[str], epoch: Epoch) -> Request:
        return Request([self._servers.name("tw", epoch, key) for key in keys])


def _id(name: bytes) -> int:
    return int(name.rpartition(b":")[2])
