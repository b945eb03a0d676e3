"""Timelines in the memory of the process: `tweeter.timelines = memory`.

The talk says not to try it at home. It suits sites on one machine, and shows the mechanism without a server. Each
process has a store of its own, which a relay keeps up to date from the outbox.

    tweeter.memory.timelines = 100000    # timelines kept at most; the least recently read are evicted first
    tweeter.memory.tweets = 200000       # tweets kept at most
"""

import secrets
import threading
import time
from array import array
from bisect import bisect_left
from collections import OrderedDict
from collections.abc import Iterable, Iterator, Mapping, Sequence

from pyramid.config import Configurator
from zope.interface import implementer

from tweeter.batches import batched
from tweeter.interfaces import IBulkStore, ITogetherStore, ITweetCache
from tweeter.measure import round_trip
from tweeter.metrics import count_damaged
from tweeter.settings import Setting
from tweeter.values import NOTHING, Slice, TweetView, referring

LOCKED = 500  # timelines written per acquisition of the lock, during which readers wait
SETTINGS = {
    "tweeter.memory.timelines": Setting(int, 100_000, 1, "Timelines kept; the least recently read go first."),
    "tweeter.memory.tweets": Setting(int, 200_000, 1, "Tweets kept; the least recently read go first."),
}
FILL_SECONDS = 30.0  # a backfill that takes longer was abandoned by its reader


class _Entry:
    """A timeline: ids in ascending order, none below its floor; `of` has the tweets that some of them refer to.

    While `token` is set, a backfill is in progress, and `ids` are those added since it began.
    """

    __slots__ = ("began", "floor", "ids", "of", "token")

    def __init__(self, token: str) -> None:
        self.ids = array("q")
        self.of: dict[int, int] = {}
        self.floor = 0
        self.token: str | None = token
        self.began = time.monotonic()

    def add(self, id_: int, of: int, capacity: int) -> None:
        if id_ < self.floor:
            return  # there may be a gap above it
        place = bisect_left(self.ids, id_)
        if place == len(self.ids) or self.ids[place] != id_:
            self.ids.insert(place, id_)
            if of:
                self.of[id_] = of
            if self.token is None:
                self.trim(capacity)

    def trim(self, capacity: int) -> None:
        if (surplus := len(self.ids) - capacity) > 0:
            self._cut(surplus, self.ids[surplus - 1] + 1)

    def forget_below(self, id_: int) -> None:
        if place := bisect_left(self.ids, id_):
            self._cut(place, id_)

    def _cut(self, place: int, floor: int) -> None:
        """Removes the ids before the place, and their references."""
        if self.of:
            for id_ in self.ids[:place]:
                self.of.pop(id_, None)
        del self.ids[:place]
        self.floor = max(self.floor, floor)

    def keep(self, ids: Iterable[int], of: Mapping[int, int]) -> None:
        """Replaces all ids, and the references by those that the ids have in `of`."""
        self.ids = array("q", ids)
        self.of = dict(referring(self.ids, of))


@implementer(IBulkStore, ITogetherStore)
class MemoryTimelineStore:
    """A dictionary of timelines, with the most recently read one at its end (LRU)."""

    private = True
    identity = "memory"

    def __init__(self, capacity: int, most: int, backfill_seconds: float = FILL_SECONDS) -> None:
        self._capacity = capacity
        self._most = most
        self._fill_seconds = backfill_seconds
        self._entries: OrderedDict[str, _Entry] = OrderedDict()
        self._checkpoint: bytes | None = None
        self._lock = threading.Lock()

    def set_site(self, site_id: str) -> None:
        """Does nothing: no other site uses this store."""

    def checkpoint(self) -> bytes | None:
        return self._checkpoint

    def set_checkpoint(self, value: bytes) -> None:
        self._checkpoint = value

    def run_id(self) -> str:
        return "this process"

    def fence(self, run_id: str) -> None:
        """Does nothing: there is no other run."""

    def read(self, key: str, before: int, limit: int) -> Slice | None:
        with round_trip(), self._lock:
            return self._slice(key, before, limit)

    def read_together(self, wanted: Sequence[tuple[str, int, int]]) -> list[Slice | None]:
        with round_trip(), self._lock:
            return [self._slice(*each) for each in wanted]

    def _slice(self, key: str, before: int, limit: int) -> Slice | None:
        entry = self._entry(key)
        if entry is None or entry.token is not None:
            return None
        self._entries.move_to_end(key)
        end = bisect_left(entry.ids, before)
        ids = entry.ids[max(end - limit, 0) : end].tolist()[::-1]
        return Slice(ids, entry.floor, self._checkpoint, referring(ids, entry.of))

    def begin_backfill(self, key: str) -> str | None:
        since = time.monotonic() - self._fill_seconds
        with round_trip(), self._lock:
            entry = self._entry(key)
            if entry is not None and (entry.token is None or entry.began > since):
                return None
            token = secrets.token_hex(8)
            self._entries[key] = _Entry(token)
            self._entries.move_to_end(key)
            while len(self._entries) > self._most:
                self._entries.popitem(last=False)
            return token

    def backfill(self, key: str, token: str, ids: Iterable[int], floor: int, of: Mapping[int, int] = NOTHING) -> bool:
        with round_trip(), self._lock:
            entry = self._entry(key)
            if entry is None or entry.token != token:
                return False
            entry.keep(sorted({*ids, *(id_ for id_ in entry.ids if id_ >= floor)}), {**of, **entry.of})
            entry.floor = floor
            entry.token = None
            entry.trim(self._capacity)
            return True

    def add(self, keys: Iterable[str], id: int, of: int = 0) -> None:
        with round_trip(), self._lock:
            for key in keys:
                if (entry := self._entry(key)) is not None:
                    entry.add(id, of, self._capacity)

    def add_batch(self, ids_by_key: Mapping[str, Sequence[int]], of: Mapping[int, int] = NOTHING) -> None:
        capacity = self._capacity
        for keys in batched(ids_by_key, LOCKED):
            with round_trip(), self._lock:
                for key in keys:
                    if (entry := self._entry(key)) is not None:
                        for id_ in ids_by_key[key]:
                            entry.add(id_, of.get(id_, 0), capacity)

    def add_to_each(self, kind: str, chunks: Iterable[Sequence[int]], id: int, of: int = 0) -> Iterator[Sequence[int]]:
        for chunk in chunks:
            for numbers in batched(chunk, LOCKED):
                self.add([f"{kind}:{number}" for number in numbers], id, of)
            yield chunk

    def remove(self, key: str, ids: Iterable[int], of: Mapping[int, int] = NOTHING) -> None:
        gone = set(ids)
        with round_trip(), self._lock:
            if (entry := self._entry(key)) is not None:
                entry.keep([id_ for id_ in entry.ids if id_ not in gone], entry.of)

    def drop(self, keys: Iterable[str]) -> None:
        with round_trip(), self._lock:
            for key in keys:
                self._entries.pop(key, None)

    def truncate(self, before_id: int) -> None:
        with round_trip():
            for key in list(self._entries):
                with self._lock:
                    if (entry := self._entry(key)) is not None:
                        entry.forget_below(before_id)

    def clear(self) -> None:
        with round_trip(), self._lock:
            self._entries.clear()

    def _entry(self, key: str) -> _Entry | None:
        """The timeline under the key. Drops a damaged one."""
        if (entry := self._entries.get(key)) is None:
            return None
        try:
            if type(entry.ids) is array and type(entry.floor) is int and type(entry.of) is dict:
                return entry
        except AttributeError:
            pass
        del self._entries[key]
        count_damaged("memory", {key: "no timeline"})
        return None


class _Guard:
    """A guard: takes the place of tweets until they are filled in."""

    __slots__ = ()


@implementer(ITweetCache)
class MemoryTweetCache:
    """A dictionary of tweets, with the most recently read one at its end (LRU)."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._tweets: OrderedDict[int, TweetView | _Guard | None] = OrderedDict()
        self._lock = threading.Lock()

    def set_site(self, site_id: str) -> None:
        """Does nothing: no other site uses this cache."""

    def get_many(self, ids: Iterable[int]) -> dict[int, TweetView | None]:
        found: dict[int, TweetView | None] = {}
        with round_trip(), self._lock:
            for id_ in ids:
                try:
                    tweet = self._tweets[id_]
                except KeyError:
                    continue
                if isinstance(tweet, _Guard):
                    continue
                if tweet is None or (isinstance(tweet, TweetView) and tweet.id == id_):
                    self._tweets.move_to_end(id_)
                    found[id_] = tweet
                else:
                    del self._tweets[id_]
                    count_damaged("memory", {f"tweet {id_}": "not this tweet"})
        return found

    def guard(self, ids: Iterable[int]) -> _Guard:
        guard = _Guard()
        with round_trip(), self._lock:
            for id_ in ids:
                self._tweets[id_] = guard
                self._tweets.move_to_end(id_)
            while len(self._tweets) > self._most:
                self._tweets.popitem(last=False)
        return guard

    def fill(self, guard: _Guard, tweets: Mapping[int, TweetView | None]) -> None:
        with round_trip(), self._lock:
            for id_, tweet in tweets.items():
                if self._tweets.get(id_) is guard:
                    self._tweets[id_] = tweet

    def invalidate(self, ids: Iterable[int]) -> None:
        with round_trip(), self._lock:
            for id_ in ids:
                self._tweets.pop(id_, None)

    def clear(self) -> None:
        with round_trip(), self._lock:
            self._tweets.clear()


def includeme(config: Configurator) -> None:
    settings = config.get_settings()
    config.add_timeline_store(
        __name__,
        store=MemoryTimelineStore(settings["tweeter.capacity"], settings["tweeter.memory.timelines"]),
        cache=MemoryTweetCache(settings["tweeter.memory.tweets"]),
    )
