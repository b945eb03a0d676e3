"""Timelines as lists in Redis."""

import secrets
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from typing import Any, NamedTuple

from zope.interface import implementer

from tweeter.backends.redis import scripts
from tweeter.backends.redis.commands import appends
from tweeter.backends.redis.errors import FORBIDDEN, translating
from tweeter.backends.redis.lists import entries, entry, newest, parse, parse_newest
from tweeter.backends.redis.node import Exchange, Node, Refusal
from tweeter.backends.redis.wire import Wire, abort
from tweeter.ids import MAX_ID
from tweeter.interfaces import IBulkStore, IPageStore, ITogetherStore, IWarmingStore
from tweeter.measure import round_trip
from tweeter.metrics import count_damaged
from tweeter.timelines.packing import unpack
from tweeter.values import NOTHING, Slice, TweetView, referring

COMMANDS = 2000  # per exchange: they take Redis 2 to 3 ms, during which readers wait
AHEAD = 8  # chunks queued for Redis while followers are read; after each 16 KB it serves other clients
TRIMMED = 50  # timelines per exchange; each takes Redis some tenths of a millisecond
SPARE = 2  # ids read beyond a page, because some may be duplicates
SLACK = 200  # ids over its capacity before a timeline is trimmed


class _Chunk(NamedTuple):
    """An id that is being appended to the timelines of a chunk of users."""

    owners: Sequence[int]
    parts: dict[Node, Sequence[int]]
    begun: list[Exchange]


@implementer(IBulkStore, IPageStore, ITogetherStore, IWarmingStore)
class RedisTimelineStore:
    """One list per timeline; see `scripts` for the format.

    `tweets` returns the prefix of the RedisTweetCache's keys, if it is on the same server.
    """

    private = False

    def __init__(
        self,
        wire: Wire,
        capacity: int,
        idle_seconds: float = 604_800,
        backfill_seconds: float = 30,
        identity: str = "redis",
        tweets: Callable[[], str] | None = None,
    ) -> None:
        self._wire = wire
        self.identity = f"{identity} {wire.shared_prefix}"
        # On a cluster the tweets are on other servers than the ids.
        self._tweets = tweets if wire.topology.rounds == 1 else None
        self._capacity = capacity
        self._longest = 1 + capacity + min(SLACK, capacity)
        self._idle_ms = int(idle_seconds * 1000)
        self._fill_ms = int(backfill_seconds * 1000)
        self._in_use: deque[str] = deque(maxlen=1000)  # keys whose expiry the next read prolongs

    @property
    def _prefix(self) -> str:
        return f"{self._wire.prefix}tl:"

    def set_site(self, site_id: str) -> None:
        self._wire.set_site(site_id)
        self._in_use.clear()

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

    def _checkpoint_key(self, node: Node) -> bytes:
        """A checkpoint key on this node, so that data and checkpoint of one server come from the same moment."""
        return self._wire.topology.key_on(node, f"{self._wire.prefix}checkpoint")

    @translating()
    def read(self, key: str, before: int, limit: int) -> Slice | None:
        name = self._prefix + key
        return self._slice(name, self._ask(name, ("LRANGE", name, 0, -1)), before, limit)

    @translating()
    def read_together(self, wanted: Sequence[tuple[str, int, int]]) -> list[Slice | None]:
        names = [self._prefix + key for key, _, _ in wanted]
        replies = self._keeping([call for name in names for call in self._calls(name, ("LRANGE", name, 0, -1))])
        return [
            self._slice(name, replies[3 * place : 3 * place + 3], before, limit)
            for place, (name, (_, before, limit)) in enumerate(zip(names, wanted, strict=True))
        ]

    @translating()
    def read_page(self, key: str, limit: int) -> tuple[Slice | None, dict[int, TweetView | None]]:
        """SORT returns the newest ids as numbers, with their tweets. If that does not settle the page, LRANGE does."""
        name = self._prefix + key
        if self._tweets is not None:
            sort = ("SORT", name, "DESC", "LIMIT", 0, limit + SPARE, "GET", "#", "GET", f"{self._tweets()}*")
            checkpoint, header, left, pairs = self._ask(name, ("LINDEX", name, 0), sort)
            if header is None or (isinstance(header, bytes) and header.startswith(b"t")):
                return None, {}
            if isinstance(pairs, Refusal) and FORBIDDEN.search(str(pairs)):
                self._tweets = None  # the user may not read every key: from now on the cache is read separately
            elif not isinstance(header, Refusal) and not isinstance(pairs, Refusal):
                found = parse_newest(header, pairs[::2], limit, limit + SPARE)
                if found is not None:
                    # Without those that refer to a tweet: their elements are not the names of cached tweets.
                    values = dict(zip(pairs[::2], pairs[1::2], strict=True))
                    tweets = unpack((id_, values.get(b"%d" % id_)) for id_ in found[0]).tweets
                    return self._warm(name, *found, left, checkpoint), tweets
        return self._slice(name, self._ask(name, ("LRANGE", name, 0, -1)), MAX_ID + 1, limit), {}

    def _ask(self, name: str, *more: tuple[Any, ...]) -> list[Any]:
        """The checkpoint, the reply to the first of `more`, the key's milliseconds to live, and the other replies.

        All in one exchange.
        """
        return self._keeping(self._calls(name, *more))

    def _calls(self, name: str, *more: tuple[Any, ...]) -> list[tuple[Any, ...]]:
        own = self._checkpoint_key(self._wire.topology.node_of(name.encode()))
        # The checkpoint first: the ids must contain everything it covers, and an exchange may arrive in parts.
        return [("GET", own), more[0], ("PTTL", name), *more[1:]]

    def _keeping(self, calls: list[tuple[Any, ...]]) -> list[Any]:
        """The replies, from an exchange that also prolongs keys which are in use."""
        needed = len(calls)
        with suppress(IndexError):  # there is none, or another thread was faster
            while len(calls) < needed + 2:
                calls.append((scripts.KEEP, self._in_use.popleft(), self._idle_ms))
        replies = self._wire.run(calls)
        kept = zip(calls[needed:], replies[needed:], strict=True)
        self._report([call[1] for call, reply in kept if reply == scripts.DAMAGED])
        return replies[:needed]

    def _slice(self, name: str, answer: Sequence[Any], before: int, limit: int) -> Slice | None:
        checkpoint, found, left = answer
        if isinstance(found, Refusal):
            self._drop_damaged([name])
            return None
        if not found or found[0].startswith(b"t"):
            return None
        try:
            ids, floor, of = parse(found)
        except ValueError:
            self._drop_damaged([name], "not a header and ids")
            return None
        return self._warm(name, newest(ids, floor, before, limit), floor, of, left, checkpoint)

    def _warm(self, name: str, ids: list[int], floor: int, of: Mapping[int, int], left: int, checkpoint: Any) -> Slice:
        if left < self._idle_ms // 2:
            self._in_use.append(name)
        return Slice(ids, floor, None if isinstance(checkpoint, Refusal) else checkpoint, referring(ids, of))

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

    def _drop_damaged(self, names: Sequence[str], why: str = "of another type") -> None:
        if names:
            self._wire.run([("UNLINK", name) for name in names])
            self._report(names, why)

    def _report(self, names: Sequence[str | bytes], why: str = "no timeline") -> None:
        texts = (name if isinstance(name, str) else name.decode(errors="replace") for name in names)
        count_damaged("redis", {text.removeprefix(self._prefix): why for text in texts})

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
