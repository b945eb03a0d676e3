"""The lab's wrappers around stores and caches: they count deliveries and can break a store.

Included before the machinery is built, because each store is wrapped when its backend registers it. Without the lab
none of this exists.
"""

import logging
import socket
import threading
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from time import monotonic, perf_counter
from typing import Any

from pyramid.config import Configurator
from zope.interface import directlyProvides, providedBy

from tweeter.devtools.servers import HOST
from tweeter.errors import SettingError
from tweeter.interfaces import ITimelineStore, ITweetCache
from tweeter.plugins import dotted, load
from tweeter.timelines import BACKENDS, Elsewhere

log = logging.getLogger(__name__)

MENDS_AFTER = 300.0  # seconds, so that a forgotten break does no harm
WATCHED = 20  # tweets at a time
WAYS = ("refuse", "hang")


@dataclass
class Delivered:
    """The number of timelines a tweet was delivered to. Times are of `perf_counter`, 0 before the delivery begins."""

    timelines: int = 0
    began: float = 0.0
    latest: float = 0.0


class Tally:
    """Counts this process's deliveries of watched tweets; ignores all other tweets."""

    def __init__(self) -> None:
        self._watched: dict[int, Delivered] = {}

    def watch(self, tweet_id: int) -> Delivered:
        while len(self._watched) >= WATCHED:
            del self._watched[next(iter(self._watched))]
        return self._watched.setdefault(tweet_id, Delivered())

    def begin(self, tweet_id: int) -> None:
        if (delivered := self._watched.get(tweet_id)) is not None and not delivered.began:
            delivered.began = perf_counter()

    def count(self, tweet_id: int, timelines: int) -> None:
        if (delivered := self._watched.get(tweet_id)) is not None:
            delivered.timelines += timelines
            delivered.latest = perf_counter()


class Stand:
    """A proxy for a store or a cache. Its target can be exchanged; it provides the target's interfaces."""

    def __init__(self, target: Any) -> None:
        self.target = target
        self._site = ""
        directlyProvides(self, providedBy(target))

    def set_site(self, site_id: str) -> None:
        self._site = site_id
        self.target.set_site(site_id)

    def exchange(self, target: Any) -> None:
        if self._site:
            target.set_site(self._site)
        self.target = target

    def __getattr__(self, name: str) -> Any:
        return getattr(self.target, name)


class CountingStore(Stand):
    """A store that counts deliveries."""

    def __init__(self, target: ITimelineStore, tally: Tally) -> None:
        super().__init__(target)
        self.tally = tally

    def add(self, keys: Iterable[str], id: int) -> None:
        keys = list(keys)
        self.tally.begin(id)
        self.target.add(keys, id)
        self.tally.count(id, len(keys))

    def add_batch(self, ids_by_key: Mapping[str, Sequence[int]]) -> None:
        ids = {id_ for ids in ids_by_key.values() for id_ in ids}
        for id_ in ids:
            self.tally.begin(id_)
        self.target.add_batch(ids_by_key)
        for id_ in ids:
            self.tally.count(id_, sum(id_ in added for added in ids_by_key.values()))

    def add_to_each(self, kind: str, chunks: Iterable[Sequence[int]], id: int) -> Iterator[Sequence[int]]:
        self.tally.begin(id)
        with closing(self.target.add_to_each(kind, chunks, id)) as written:
            for chunk in written:
                self.tally.count(id, len(chunk))
                yield chunk


class Instrument:
    """The wrapped store and cache of one backend."""

    def __init__(
        self, name: str, store: ITimelineStore, cache: ITweetCache, elsewhere: Elsewhere | None = None
    ) -> None:
        self.name = name
        self.store = CountingStore(store, Tally())
        self.cache = Stand(cache)
        self.broken = ""  # one of WAYS
        self._whole = store, cache
        self._elsewhere = elsewhere
        self._socket: socket.socket | None = None
        self._timer: threading.Timer | None = None
        self._mends_at = 0.0
        self._lock = threading.Lock()

    @property
    def breakable(self) -> bool:
        return self._elsewhere is not None

    @property
    def mends_in(self) -> float:
        """Seconds until it is repaired automatically."""
        return max(0.0, self._mends_at - monotonic())

    def break_it(self, how: str, seconds: float = MENDS_AFTER) -> None:
        """Replaces the store by one that connects to a real port, which refuses connections or never responds."""
        if self._elsewhere is None:
            raise TypeError(f"{self.name} is at no address")
        with self._lock:
            self._mend()
            self._socket = _closed_door() if how == "refuse" else _silent_door()
            store, cache = self._elsewhere(*self._socket.getsockname())
            self.store.exchange(store)
            self.cache.exchange(cache)
            self.broken = how
            self._mends_at = monotonic() + seconds
            self._timer = threading.Timer(seconds, self.mend)
            self._timer.daemon = True
            self._timer.start()
        log.warning("the lab broke %s: %s", self.name, how)

    def mend(self) -> None:
        """Restores the real store. The relay brings it up to date before the circuit closes."""
        with self._lock:
            if self.broken:
                log.info("the lab mended %s", self.name)
            self._mend()

    def _mend(self) -> None:
        store, cache = self._whole
        self.store.exchange(store)
        self.cache.exchange(cache)
        self.broken = ""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._socket is not None:
            self._socket.close()
            self._socket = None


def _closed_door() -> socket.socket:
    """A bound port without a listener: connections are refused."""
    door = socket.socket()
    door.bind((HOST, 0))
    return door


def _silent_door() -> socket.socket:
    """A port where the kernel accepts connections, and no process reads from them."""
    door = _closed_door()
    door.listen(128)
    return door


def _refuse_namesakes(specs: Iterable[str]) -> None:
    """The lab names a backend by the last part of its dotted name. Raises SettingError if two have the same."""
    named: dict[str, str] = {}
    for spec in specs:
        name = dotted(BACKENDS, spec)
        other = named.setdefault(name.rpartition(".")[2], name)
        if other != name:
            raise SettingError(f"tweeter.lab: {other} and {name} have the same last name; it can’t tell them apart")


def includeme(config: Configurator) -> None:
    """Makes the lab's backends shadow stores, so that events are delivered to them, and wraps every store."""
    settings = config.get_settings()
    if settings["tweeter.production"]:
        raise SettingError("tweeter.lab lets anybody break the stores: it can't be on where tweeter.production is")
    backends = settings["tweeter.lab.backends"].split()
    for spec in backends:
        load("tweeter.lab.backends", spec, BACKENDS)
    _refuse_namesakes([settings["tweeter.timelines"], *settings["tweeter.timelines.shadow"].split(), *backends])
    settings["tweeter.timelines.shadow"] = " ".join([settings["tweeter.timelines.shadow"], *backends])
    instruments: dict[str, Instrument] = {}

    def instrument(
        name: str, store: ITimelineStore, cache: ITweetCache, elsewhere: Elsewhere | None
    ) -> tuple[Any, Any]:
        held = instruments[name] = Instrument(name.rpartition(".")[2], store, cache, elsewhere)
        return held.store, held.cache

    config.registry["instrument_store"] = instrument
    config.registry["instruments"] = instruments
