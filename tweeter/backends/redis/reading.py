"""Reads timelines from Redis. A page of a timeline without reposts takes one exchange, with its tweets."""

from collections import deque
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from typing import Any

from tweeter.backends.redis import scripts
from tweeter.backends.redis.errors import FORBIDDEN, translating
from tweeter.backends.redis.lists import newest, parse, parse_newest
from tweeter.backends.redis.node import Node, Refusal
from tweeter.backends.redis.wire import Wire
from tweeter.ids import MAX_ID
from tweeter.metrics import count_damaged
from tweeter.timelines.packing import unpack
from tweeter.values import Slice, TweetView, referring

SPARE = 2  # ids read beyond a page, because some may be duplicates
SLACK = 200  # ids over its capacity before a timeline is trimmed


class TimelineReader:
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
        self._most = 2 * capacity + SLACK  # ids of a timeline: it may be trimmed late
        self._in_use: deque[str] = deque(maxlen=1000)  # keys whose expiry the next read prolongs

    @property
    def _prefix(self) -> str:
        return f"{self._wire.prefix}tl:"

    def set_site(self, site_id: str) -> None:
        self._wire.set_site(site_id)
        self._in_use.clear()

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
    def read_page(
        self, key: str, limit: int, beside: Sequence[str] = ()
    ) -> tuple[Slice | None, dict[int, TweetView | None], list[Slice | None]]:
        """SORT returns the newest ids as numbers, with their tweets. If that does not settle the page, LRANGE does.

        So a page with reposts takes a second exchange, which reads their tweets, too.
        """
        name = self._prefix + key
        if self._tweets is None:
            wanted = [(each, MAX_ID + 1, self._most) for each in (key, *beside)]
            whole, *others = self.read_together(wanted)
            return _newest(whole, limit), {}, others
        sort = ("SORT", name, "DESC", "LIMIT", 0, limit + SPARE, "GET", "#", "GET", f"{self._tweets()}*")
        names = [self._prefix + each for each in beside]
        calls = self._calls(name, ("LINDEX", name, 0), sort)
        calls += [call for each in names for call in (("LRANGE", each, 0, -1), ("PTTL", each))]
        checkpoint, header, left, pairs, *rest = self._keeping(calls)
        answers = zip(names, rest[::2], rest[1::2], strict=True)
        others = [self._whole(each, (checkpoint, *answer)) for each, *answer in answers]
        if header is None or (isinstance(header, bytes) and header.startswith(b"t")):
            return None, {}, others
        tweets: dict[int, TweetView | None] = {}
        more: list[int] = []
        gets: list[tuple[Any, ...]] = []
        if isinstance(pairs, Refusal) and FORBIDDEN.search(str(pairs)):
            self._tweets = None  # the user may not read every key: from now on the cache is read separately
        elif not isinstance(header, Refusal) and not isinstance(pairs, Refusal):
            newest_ = parse_newest(header, pairs[::2], limit, limit + SPARE)
            if newest_ is not None:
                ids, _, of = newest_
                values = dict(zip(pairs[::2], pairs[1::2], strict=True))
                tweets = unpack((id_, values.get(b"%d" % id_)) for id_ in ids if id_ not in of).tweets
                if not of:
                    return self._warm(name, *newest_, left, checkpoint), tweets, others
                # The tweets of reposts, which may have further entries.
                more = [id_ for id_ in dict.fromkeys([*of, *of.values()]) if id_ not in tweets]
                gets = [("GET", f"{self._tweets()}{id_}") for id_ in more]
        # The first checkpoint: it is not newer than the tweets of the first exchange.
        _, found, left, *more_values = self._ask(name, ("LRANGE", name, 0, -1), *gets)
        tweets |= unpack(zip(more, more_values, strict=True)).tweets
        return _newest(self._whole(name, (checkpoint, found, left)), limit), tweets, others

    def _whole(self, name: str, answer: Sequence[Any]) -> Slice | None:
        return self._slice(name, answer, MAX_ID + 1, self._most)

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
        shown = newest(ids, floor, before, limit)
        return self._warm(name, shown, floor, of if len(shown) == len(ids) else referring(shown, of), left, checkpoint)

    def _warm(self, name: str, ids: list[int], floor: int, of: Mapping[int, int], left: int, checkpoint: Any) -> Slice:
        if left < self._idle_ms // 2:
            self._in_use.append(name)
        return Slice(ids, floor, None if isinstance(checkpoint, Refusal) else checkpoint, of)

    def _checkpoint_key(self, node: Node) -> bytes:
        """A checkpoint key on this node, so that data and checkpoint of one server come from the same moment."""
        return self._wire.topology.key_on(node, f"{self._wire.prefix}checkpoint")

    def _drop_damaged(self, names: Sequence[str], why: str = "of another type") -> None:
        if names:
            self._wire.run([("UNLINK", name) for name in names])
            self._report(names, why)

    def _report(self, names: Sequence[str | bytes], why: str = "no timeline") -> None:
        texts = (name if isinstance(name, str) else name.decode(errors="replace") for name in names)
        count_damaged("redis", {text.removeprefix(self._prefix): why for text in texts})


def _newest(whole: Slice | None, limit: int) -> Slice | None:
    """The newest `limit` ids, unless some refer to a tweet: then a page needs the whole timeline."""
    return whole if whole is None or whole.of else whole._replace(ids=whole.ids[:limit])
