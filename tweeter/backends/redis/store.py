"""Timelines as lists in Redis."""

import secrets
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import NamedTuple

from zope.interface import implementer

from tweeter.backends.redis import scripts
from tweeter.backends.redis.commands import appends
from tweeter.backends.redis.errors import translating
from tweeter.backends.redis.lists import entries, entry
from tweeter.backends.redis.node import Exchange, Node, Refusal
from tweeter.backends.redis.reading import TimelineReader
from tweeter.backends.redis.wire import abort
from tweeter.interfaces import IBulkStore, IPageStore, ITogetherStore, IWarmingStore
from tweeter.measure import round_trip
from tweeter.values import NOTHING, Slice

COMMANDS = 2000  # per exchange: they take Redis 2 to 3 ms, during which readers wait
AHEAD = 8  # chunks queued for Redis while followers are read; after each 16 KB it serves other clients
TRIMMED = 50  # timelines per exchange; each takes Redis some tenths of a millisecond


class _Chunk(NamedTuple):
    """An id that is being appended to the timelines of a chunk of users."""

    owners: Sequence[int]
    parts: dict[Node, Sequence[int]]
    begun: list[Exchange]


@implementer(IBulkStore, IPageStore, ITogetherStore, IWarmingStore)
class RedisTimelineStore(TimelineReader):
    """One list per timeline; see `scripts` for the format."""

    @translating()
    def run_id(self) -> str:
        return self._wire.run_id()

    def fence(self, run_id: str) -> None:
        self._wire.fence(run_id)

    @translating()
    def checkpoint(self) -> bytes | None:
        keys = [self._checkpoint_key(node) for node in self._wire.topology.nodes()]
        found = self._wire.run([("GET", key) for key in keys])
        if any(isinstance(value, Refusal) for value in found):
            self._report(keys, "no checkpoint")
            return None
        return min(found) if found and all(found) else None

    @translating()
    def set_checkpoint(self, value: bytes) -> None:
        self._wire.run([("SET", self._checkpoint_key(node), value) for node in self._wire.topology.nodes()])

    @translating()
    def begin_backfill(self, key: str) -> str | None:
        token, name = f"t{secrets.token_hex(8)}", self._prefix + key
        while (reply := self._wire.call(scripts.BEGIN_FILL, name, token, self._fill_ms)) == scripts.DAMAGED:
            self._report([name])
        return token if reply else None

    @translating()
    def backfill(self, key: str, token: str, ids: Iterable[int], floor: int, of: Mapping[int, int] = NOTHING) -> bool:
        name = self._prefix + key
        reply = self._wire.call(scripts.FILL, name, token, self._idle_ms, -floor, *entries(sorted(ids), of))
        if reply == scripts.DAMAGED:
            self._report([name])
        return bool(reply == 1)

    @translating()
    def backfill_all(self, keys: Sequence[str], read: Callable[[], Slice]) -> None:
        token, names = f"t{secrets.token_hex(8)}", [self._prefix + key for key in keys]
        begun = self._wire.run([(scripts.BEGIN_FILL, name, token, self._fill_ms) for name in names])
        filled = read()
        content = (token, self._idle_ms, -filled.floor, *entries(sorted(filled.ids), filled.of))
        cold = [name for name, reply in zip(names, begun, strict=True) if reply == 1]
        self._wire.run([(scripts.FILL, name, *content) for name in cold])

    def add(self, keys: Iterable[str], id: int, of: int = 0) -> None:
        self.add_batch(dict.fromkeys(keys, (id,)), {id: of} if of else NOTHING)

    @translating()
    def add_batch(self, ids_by_key: Mapping[str, Sequence[int]], of: Mapping[int, int] = NOTHING) -> None:
        prefix, additions = self._prefix, list(ids_by_key.items())
        for first in range(0, len(additions), COMMANDS):
            some = {prefix + key: entries(ids, of) for key, ids in additions[first : first + COMMANDS]}
            replies = self._wire.run([("RPUSHX", name, *ids) for name, ids in some.items()])
            lengths = list(zip(some, replies, strict=True))
            self._drop_damaged([name for name, length in lengths if isinstance(length, Refusal)])
            self._trim([name for name, length in lengths if isinstance(length, int) and length > self._longest])

    def add_to_each(self, kind: str, chunks: Iterable[Sequence[int]], id: int, of: int = 0) -> Iterator[Sequence[int]]:
        """Pipelined: reads and encodes the next chunks while Redis works on earlier ones."""
        under_way: deque[_Chunk] = deque()
        try:
            for owners in chunks:
                with translating():
                    under_way.append(self._begin(kind, owners, entry(id, of), under_way))
                if len(under_way) > AHEAD:
                    yield self._finish(kind, under_way.popleft(), id, of)
            while under_way:
                yield self._finish(kind, under_way.popleft(), id, of)
        finally:
            for chunk in under_way:
                abort(chunk.begun)

    @translating()
    def remove(self, key: str, ids: Iterable[int], of: Mapping[int, int] = NOTHING) -> None:
        name = self._prefix + key
        replies = self._wire.run([("LREM", name, 0, element) for element in entries(ids, of)])
        if any(isinstance(reply, Refusal) for reply in replies):
            self._drop_damaged([name])

    @translating()
    def drop(self, keys: Iterable[str]) -> None:
        prefix = self._prefix
        self._wire.run([("UNLINK", prefix + key) for key in keys])

    @translating()
    def truncate(self, before_id: int) -> None:
        for names in self._wire.scan(self._prefix):
            self._trim(names, before_id)

    @translating()
    def clear(self) -> None:
        self._wire.unlink_all(self._prefix)

    def name_of(self, key: str) -> str:
        """The name of the key's list on its server."""
        return self._prefix + key

    def _trim(self, names: Sequence[str | bytes], before_id: int = 0) -> None:
        """TRIMMED at a time: other clients get their turn in between, and each exchange has its own timeout."""
        for first in range(0, len(names), TRIMMED):
            some = names[first : first + TRIMMED]
            replies = self._wire.run([(scripts.TRIM, name, self._capacity, before_id) for name in some])
            self._report([name for name, reply in zip(some, replies, strict=True) if reply == scripts.DAMAGED])

    def _begin(self, kind: str, owners: Sequence[int], element: int | str, under_way: Iterable[_Chunk]) -> _Chunk:
        prefix = f"{self._prefix}{kind}:".encode()
        parts = self._wire.topology.split(prefix, sorted(owners))
        begun = self._wire.begin(
            ((node, appends(prefix, part, element), len(part)) for node, part in parts.items()),
            (exchange for chunk in under_way for exchange in chunk.begun),
        )
        return _Chunk(owners, parts, begun)

    def _finish(self, kind: str, chunk: _Chunk, id: int, of: int) -> Sequence[int]:
        with translating():
            with round_trip():
                answers = self._wire.read(chunk.begun)
            for part, lengths in zip(chunk.parts.values(), answers, strict=True):
                if set(map(type, lengths)) == {int} and max(lengths) <= self._longest:
                    continue
                both = list(zip(part, lengths, strict=True))
                # Refused appends are repeated one by one: that follows moved slots, and a full server fails again.
                refused = [owner for owner, length in both if isinstance(length, Refusal)]
                self.add([f"{kind}:{owner}" for owner in refused], id, of)
                long = [owner for owner, length in both if isinstance(length, int) and length > self._longest]
                self._trim([f"{self._prefix}{kind}:{owner}" for owner in long])
        return chunk.owners
