"""Tweets as MessagePack in memcached."""

from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

from zope.interface import implementer

from tweeter.backends.memcached.client import ATTEMPTS, Servers
from tweeter.backends.memcached.epoch import Epoch
from tweeter.backends.memcached.wire import Request, blocks, storing
from tweeter.interfaces import ITweetCache
from tweeter.metrics import count_damaged
from tweeter.timelines.packing import LEASE_SECONDS, new_lease, pack, unpack
from tweeter.values import TweetView


class _Place(NamedTuple):
    """The place of a lease, and its CAS unique; any value that replaces it has another."""

    server: int
    name: bytes
    unique: bytes


_Lease = Mapping[int, _Place]


@implementer(ITweetCache)
class MemcachedTweetCache:
    """One value per tweet: the TweetView, nil for a tombstone, or a lease; see `timelines.packing`."""

    def __init__(self, servers: Servers, seconds: float = 86_400) -> None:
        self._servers = servers
        self._seconds = int(seconds)

    def set_site(self, site_id: str) -> None:
        self._servers.set_site(site_id)

    def get_many(self, ids: Iterable[int]) -> dict[int, TweetView | None]:
        shares = self._servers.ask(map(str, ids), self._get)
        values = (answer.values for _, _, answer in shares if answer is not None)
        found = unpack((_id(name), value.data) for each in values for name, value in each.items())
        if found.damaged:  # they would block leases
            self.invalidate(found.damaged)
            count_damaged("memcached", {f"tweet {id_}": why for id_, why in found.damaged.items()})
        return found.tweets

    def lease(self, ids: Iterable[int]) -> _Lease:
        token = new_lease()

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
                command = storing(b"cas", place.name, pack(tweet), self._seconds, place.unique)
                commands.setdefault(place.server, []).append(command)
        self._servers.commands(commands)

    def invalidate(self, ids: Iterable[int]) -> None:
        def delete(keys: Sequence[str], epoch: Epoch) -> Request:
            return Request(blocks=blocks(b"delete %s\r\n" % name for name in self._get(keys, epoch).names))

        self._servers.ask(map(str, ids), delete)

    def clear(self) -> None:
        """Makes timelines cold, too: a server has one epoch for all values."""
        self._servers.change(Epoch.renewed)

    def _get(self, keys: Sequence[str], epoch: Epoch) -> Request:
        return Request([self._servers.name("tw", epoch, key) for key in keys])


def _id(name: bytes) -> int:
    return int(name.rpartition(b":")[2])
