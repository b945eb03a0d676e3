"""Timelines in memcached."""

import random
import secrets
import time
from bisect import bisect_left
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from hashlib import sha256
from math import ceil
from typing import NamedTuple

from zope.interface import implementer

from tweeter.backends.memcached.client import ATTEMPTS, Servers, Share
from tweeter.backends.memcached.epoch import Epoch
from tweeter.backends.memcached.packed import Timeline, pack
from tweeter.backends.memcached.wire import (
    ADD,
    APPEND,
    BLOCK,
    DELETE,
    SET,
    TOO_LARGE,
    Found,
    Request,
    blocks,
    storing,
)
from tweeter.errors import BackendUnavailable
from tweeter.interfaces import IBulkStore, ITogetherStore, IWarmingStore
from tweeter.metrics import count_damaged
from tweeter.values import NOTHING, Slice, referring

SLACK = 100  # ids over its capacity before a timeline is compacted
SAMPLED = 256  # one of so many timelines is read after an append to all
LONGEST_LIFE = 2_592_000  # seconds; memcached interprets more as a date
LONGEST_IDENTITY = 200  # characters


class _Held(NamedTuple):
    """A timeline, and the value from which it was decoded."""

    server: int
    epoch: Epoch
    name: bytes
    found: Found
    timeline: Timeline
    checkpoint: bytes | None = None  # of the server


@implementer(IBulkStore, ITogetherStore, IWarmingStore)
class MemcachedTimelineStore:
    """One value per timeline; see `packed` for its format, and `client` for its name.

    Fan-out appends ids, which needs no read and does nothing if there is no value. Every other change is a
    compare-and-swap: it fails if the value was changed or dropped since it was read. A reader compacts a value that is
    too long; samples find long values that are never read.
    """

    private = False

    def __init__(
        self, servers: Servers, capacity: int, idle_seconds: float = 604_800, backfill_seconds: float = 30
    ) -> None:
        self._servers = servers
        self.identity = _identity(f"memcached {' '.join(servers.names)} {servers.shared_prefix}")
        self._capacity = capacity
        self._slack = min(SLACK, capacity)
        self._idle_ms = int(idle_seconds * 1000)
        self._fill_ms = int(backfill_seconds * 1000)

    def set_site(self, site_id: str) -> None:
        self._servers.set_site(site_id)

    def run_id(self) -> str:
        return self._servers.run_id()

    def fence(self, run_id: str) -> None:
        self._servers.fence(run_id)

    def checkpoint(self) -> bytes | None:
        shares = self._servers.exchange_each(Request([self._checkpoint_name]))
        found = [value.data for share in shares for value in share.values.values()]
        return min(found) if len(found) == len(self._servers.names) else None

    def set_checkpoint(self, value: bytes) -> None:
        shares = self._servers.exchange_each(Request(blocks=[storing(SET, self._checkpoint_name, value)]))
        if len(shares) < len(self._servers.names) or any(share.refused for share in shares):
            raise BackendUnavailable("memcached: a server does not store the checkpoint")

    @property
    def _checkpoint_name(self) -> bytes:
        return self._servers.fixed("checkpoint")

    def read(self, key: str, before: int, limit: int) -> Slice | None:
        return self._slice(self._held(key), before, limit)

    def read_together(self, wanted: Sequence[tuple[str, int, int]]) -> list[Slice | None]:
        held = self._held_together([key for key, _, _ in wanted])
        return [self._slice(held.get(key), before, limit) for key, before, limit in wanted]

    def _slice(self, held: _Held | None, before: int, limit: int) -> Slice | None:
        if held is None or (timeline := held.timeline).filling:
            return None
        ids, floor = timeline.shown(self._capacity, self._slack, held.epoch.mark)
        now = _now()
        if len(timeline.ids) > self._capacity + self._slack or timeline.ends - now < self._idle_ms // 2:
            self._compact(held, timeline, now + self._idle_ms)
        end = bisect_left(ids, before)
        ids = ids[max(end - limit, 0) : end][::-1]
        return Slice(ids, floor, held.checkpoint, referring(ids, timeline.of))

    def begin_backfill(self, key: str) -> int | None:
        word = secrets.randbits(63) + 1  # a token is true
        ends = _now() + self._fill_ms

        def add(keys: Sequence[str], epoch: Epoch) -> Request:
            name = self._name(epoch, key)
            data = Timeline(True, word, ends, epoch.mark).data()
            return Request([name], [storing(ADD, name, data, _seconds(ends))])

        for _ in range(ATTEMPTS):
            [share] = self._servers.exchange([key], add, begin=True)
            if (held := self._decoded(share, key)) is None:
                continue  # dropped again in between, or damaged
            if held.timeline.filling and held.timeline.word == word:
                return word
            if not held.timeline.filling or held.timeline.ends > _now():
                return None
            if not self._swap(held, Timeline(True, word, ends, held.epoch.mark)):  # an abandoned token
                return word
        return None

    def backfill(self, key: str, token: int, ids: Iterable[int], floor: int, of: Mapping[int, int] = NOTHING) -> bool:
        given = sorted(ids)
        patience = time.monotonic() + self._fill_ms / 1000
        while True:
            held = self._held(key)
            if held is None or not (begun := held.timeline).filling or begun.word != token:
                return False
            both = [*given, *begun.ids], {**of, **begun.of}
            refused = self._swap(held, Timeline(False, floor, _now() + self._idle_ms, begun.mark, *both))
            if not refused:
                return True
            if refused == [TOO_LARGE] or time.monotonic() > patience:
                self.drop([key])
                return False

    def backfill_all(self, keys: Iterable[str], read: Callable[[], Slice]) -> None:
        word, ends = secrets.randbits(63) + 1, _now() + self._fill_ms

        def add(keys: Sequence[str], epoch: Epoch) -> Request:
            names = [self._name(epoch, key) for key in keys]
            data = Timeline(True, word, ends, epoch.mark).data()
            return Request(names, blocks(storing(ADD, name, data, _seconds(ends)) for name in names))

        shares = self._servers.exchange(keys, add, begin=True)
        filled = read()
        given, until = sorted(filled.ids), _now() + self._idle_ms
        for share in shares:
            data = Timeline(False, filled.floor, until, share.epoch.mark, given, filled.of).data()
            # Compare-and-swap: where an id was appended in between, the token stays until it expires.
            swaps = [
                storing(SET, name, data, _seconds(until), found.unique)
                for name, found in share.values.items()
                if (begun := Timeline.read(found.data)) and begun.filling and begun.word == word and not begun.ids
            ]
            self._servers.send({share.server: Request(blocks=blocks(swaps))})

    def add_batch(self, ids_by_key: Mapping[str, Sequence[int]], of: Mapping[int, int] = NOTHING) -> None:
        def append(keys: Sequence[str], epoch: Epoch) -> Request:
            commands = (storing(APPEND, self._name(epoch, key), pack(ids_by_key[key], of)) for key in keys)
            return Request(self._sample(keys, epoch), blocks(commands))

        self._append(ids_by_key, append)

    def add_to_each(self, kind: str, chunks: Iterable[Sequence[int]], id: int, of: int = 0) -> Iterator[Sequence[int]]:
        for chunk in chunks:
            self.add([f"{kind}:{number}" for number in chunk], id, of)
            yield chunk

    def add(self, keys: Iterable[str], id: int, of: int = 0) -> None:
        # Encoding each command would take Python longer than memcached takes for it. In Latin-1 a byte is a character.
        data = pack([id], {id: of} if of else NOTHING)
        tail = f" {len(data)} MA q k\r\n{data.decode('latin-1')}\r\n"

        def append(keys: Sequence[str], epoch: Epoch) -> Request:
            head = f"ms {self._name(epoch, '').decode()}"
            parts = (keys[first : first + BLOCK] for first in range(0, len(keys), BLOCK))
            written = [f"{head}{(tail + head).join(part)}{tail}".encode("latin-1") for part in parts]
            return Request(self._sample(keys, epoch), written)

        self._append(keys, append)

    def _sample(self, keys: Sequence[str], epoch: Epoch) -> list[bytes]:
        """The names of a sample of the keys, which is read after the append."""
        return [self._name(epoch, key) for key in keys[random.randrange(SAMPLED) :: SAMPLED]]  # noqa: S311

    def _append(self, keys: Iterable[str], append: Callable[[Sequence[str], Epoch], Request]) -> None:
        for share in self._servers.exchange(keys, append):
            for name, found in share.values.items():
                timeline = Timeline.read(found.data)
                if timeline is not None and not timeline.filling and len(timeline.ids) > 2 * self._capacity:
                    self._compact(_Held(share.server, share.epoch, name, found, timeline), timeline, timeline.ends)
            for first in range(0, len(share.refused), BLOCK):
                self._drop_what_exists(share.server, share.refused[first : first + BLOCK])

    def _drop_what_exists(self, server: int, refused: Sequence[bytes]) -> None:
        """Drops the timelines that exist although they refused an id.

        Memcached refuses an append to a missing value, but also one for which the value would become too large, or for
        whose copy there is no memory. Missing timelines add nothing to the response here.
        """
        if found := self._servers.send({server: Request(refused)})[server].values:
            self._servers.send({server: Request(blocks=blocks(map(DELETE, found)))})

    def remove(self, key: str, ids: Iterable[int], of: Mapping[int, int] = NOTHING) -> None:
        if not (gone := set(ids)):
            return
        for _ in range(ATTEMPTS):
            held = self._held(key)
            if held is None or gone.isdisjoint((timeline := held.timeline).ids):
                return
            rest = [id_ for id_ in timeline.ids if id_ not in gone]
            if not self._swap(held, timeline._replace(ids=rest)):
                return
        self.drop([key])

    def drop(self, keys: Iterable[str]) -> None:
        self._servers.drop("tl", keys)

    def truncate(self, before_id: int) -> None:
        """Only sets the mark: readers of the timelines that exist now omit ids below it."""
        self._servers.change(lambda epoch: epoch._replace(mark=max(epoch.mark, before_id)))

    def clear(self) -> None:
        self._servers.change(Epoch.renewed)

    def name_of(self, key: str) -> bytes:
        """The name of a warm key's value on its server, until the store is cleared; empty if the key is missing."""
        held = self._held(key)
        return held.name if held else b""

    def _name(self, epoch: Epoch, key: str) -> bytes:
        return self._servers.name("tl", epoch, key)

    def _held(self, key: str) -> _Held | None:
        """The timeline under the key; drops a damaged value."""
        return self._held_together([key]).get(key)

    def _held_together(self, keys: Sequence[str]) -> dict[str, _Held | None]:
        """The timelines under the keys, in one exchange. Keys on a server without an epoch are omitted."""

        def get(keys: Sequence[str], epoch: Epoch) -> Request:
            # The checkpoint first: other clients may write while memcached works through the names.
            return Request([self._checkpoint_name, *(self._name(epoch, key) for key in keys)])

        return {key: self._decoded(share, key) for share in self._servers.exchange(keys, get) for key in share.keys}

    def _decoded(self, share: Share, key: str) -> _Held | None:
        if (found := share.values.get(name := self._name(share.epoch, key))) is None:
            return None
        if (timeline := Timeline.read(found.data)) is None:
            self.drop([key])
            count_damaged("memcached", {key: "no timeline"})
            return None
        checkpoint = share.values.get(self._checkpoint_name)
        return _Held(share.server, share.epoch, name, found, timeline, checkpoint.data if checkpoint else None)

    def _compact(self, held: _Held, timeline: Timeline, ends: int) -> None:
        """Keeps the ids that are shown, without duplicates. After a concurrent write it is left to the next reader."""
        ids, floor = timeline.shown(self._capacity, self._slack, held.epoch.mark)
        self._swap(held, Timeline(False, floor, ends, held.epoch.mark, ids, timeline.of))

    def _swap(self, held: _Held, timeline: Timeline) -> list[bytes]:
        """Compare-and-swap: returns the name, or TOO_LARGE, if it was refused.

        Uses the value's old name, which may be outdated.
        """
        command = storing(SET, held.name, timeline.data(), _seconds(timeline.ends), held.found.unique)
        return self._servers.send({held.server: Request(blocks=[command])})[held.server].refused


def _now() -> int:
    return time.time_ns() // 1_000_000


def _seconds(ends: int) -> int:
    """The time to live. Memcached counts whole seconds, the first of which may be short; 0 would never expire."""
    return min(max(ceil((ends - _now()) / 1000), 0) + 1, LONGEST_LIFE)


def _identity(text: str) -> str:
    return text if len(text) <= LONGEST_IDENTITY else f"memcached {sha256(text.encode()).hexdigest()}"
