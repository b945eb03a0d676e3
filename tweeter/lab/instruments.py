"""The lab's wrappers around stores and caches: they count deliveries and can break a store.

Included before the machinery is built, because each store is wrapped when its backend registers it. Without the lab
none of this exists.
"""

import logging
import threading
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from time import monotonic, perf_counter
from typing import Any

from pyramid.config import Configurator
from zope.interface import directlyProvides, providedBy

from tweeter.devtools.proxy import Mode, Proxy
from tweeter.devtools.servers.expected import Expected, expected, moved
from tweeter.errors import SettingError
from tweeter.interfaces import ITimelineStore, ITweetCache
from tweeter.plugins import dotted, load
from tweeter.timelines import BACKENDS, add_timeline_store, directives
from tweeter.values import NOTHING

log = logging.getLogger(__name__)

MENDS_AFTER = 300.0  # seconds, so that a forgotten break does no harm
WATCHED = 20  # tweets at a time
WAYS: dict[str, Mode] = {"refuse": "refuse", "hang": "swallow"}  # and the mode of the proxy

At = Callable[[str, int], tuple[ITimelineStore, ITweetCache]]


@dataclass
class Delivered:
    """The number of timelines a tweet was delivered to. Times are of `perf_counter`, 0 before the delivery begins.

    `points` are (time, number) after each exchange.
    """

    timelines: int = 0
    began: float = 0.0
    latest: float = 0.0
    points: list[tuple[float, int]] = field(default_factory=list)

    @property
    def seconds(self) -> float:
        return max(0.0, self.latest - self.began)

    def count(self, timelines: int) -> None:
        self.timelines += timelines
        self.latest = perf_counter()
        self.points.append((self.latest, self.timelines))


class Tally:
    """Counts this process's deliveries of watched tweets; ignores all other tweets."""

    def __init__(self) -> None:
        self._watched: dict[int, Delivered] = {}

    def watch(self, tweet_id: int) -> Delivered:
        """Counts the deliveries of the tweet from now on."""
        while len(self._watched) >= WATCHED:
            del self._watched[next(iter(self._watched))]
        self._watched[tweet_id] = delivered = Delivered()
        return delivered

    def begin(self, tweet_id: int) -> None:
        if (delivered := self._watched.get(tweet_id)) is not None and not delivered.began:
            delivered.began = perf_counter()

    def count(self, tweet_id: int, timelines: int) -> None:
        if (delivered := self._watched.get(tweet_id)) is not None:
            delivered.count(timelines)


class Wrapper:
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


class CountingStore(Wrapper):
    """A store that counts deliveries."""

    def __init__(self, target: ITimelineStore, tally: Tally) -> None:
        super().__init__(target)
        self.tally = tally

    def add(self, keys: Iterable[str], id: int, of: int = 0) -> None:
        keys = list(keys)
        self.tally.begin(id)
        self.target.add(keys, id, of)
        self.tally.count(id, len(keys))

    def add_batch(self, ids_by_key: Mapping[str, Sequence[int]], of: Mapping[int, int] = NOTHING) -> None:
        numbers = Counter(id_ for ids in ids_by_key.values() for id_ in ids)
        for id_ in numbers:
            self.tally.begin(id_)
        self.target.add_batch(ids_by_key, of)
        for id_, timelines in numbers.items():
            self.tally.count(id_, timelines)

    def add_to_each(self, kind: str, chunks: Iterable[Sequence[int]], id: int, of: int = 0) -> Iterator[Sequence[int]]:
        self.tally.begin(id)
        with closing(self.target.add_to_each(kind, chunks, id, of)) as written:
            for chunk in written:
                self.tally.count(id, len(chunk))
                yield chunk


class Instrument:
    """The wrapped store and cache of one backend. `at(host, port)` makes the same ones at another address."""

    def __init__(
        self, name: str, store: ITimelineStore, cache: ITweetCache, server: Expected | None = None, at: At | None = None
    ) -> None:
        self.name = name
        self.store = CountingStore(store, Tally())
        self.cache = Wrapper(cache)
        self.server = server
        self.broken = ""  # one of WAYS
        self._whole = store, cache
        self._at = at
        self._proxy: Proxy | None = None
        self._timer = threading.Timer(0, self.mend)
        self._mends_at = 0.0
        self._lock = threading.Lock()

    @property
    def breakable(self) -> bool:
        return self.server is not None

    @property
    def mends_in(self) -> float:
        """Seconds until it is repaired automatically."""
        return max(0.0, self._mends_at - monotonic())

    def break_it(self, how: str, seconds: float = MENDS_AFTER) -> str:
        """Replaces the store by one behind a proxy that refuses connections or never responds. Returns when it ends."""
        if self.server is None or self._at is None:
            raise TypeError(f"{self.name} has no address")
        with self._lock:
            self._mend()
            self._proxy = Proxy(self.server.host, self.server.port)
            self._proxy.become(WAYS[how])
            self._exchange(*self._at(self._proxy.host, self._proxy.port))
            self.broken = how
            self._mends_at = monotonic() + seconds
            self._timer = threading.Timer(seconds, self.mend)
            self._timer.daemon = True
            self._timer.start()
        log.warning("the lab broke %s: %s", self.name, how)
        return f"It is repaired automatically after {seconds / 60:.0f} minutes."

    def mend(self) -> None:
        """Restores the real store. The relay brings it up to date before the circuit closes."""
        with self._lock:
            if self.broken:
                log.info("the lab repaired %s", self.name)
            self._mend()

    def _mend(self) -> None:
        self._exchange(*self._whole)
        self.broken = ""
        self._timer.cancel()
        if self._proxy is not None:
            self._proxy.close()
            self._proxy = None

    def _exchange(self, store: ITimelineStore, cache: ITweetCache) -> None:
        self.store.exchange(store)
        self.cache.exchange(cache)


def _refuse_namesakes(specs: Iterable[str]) -> None:
    """The lab names a backend by the last part of its dotted name. Raises SettingError if two have the same."""
    named: dict[str, str] = {}
    for spec in specs:
        name = dotted(BACKENDS, spec)
        other = named.setdefault(name.rpartition(".")[2], name)
        if other != name:
            raise SettingError(
                f"tweeter.lab: {other} and {name} have the same last name; the lab can’t distinguish them"
            )


def includeme(config: Configurator) -> None:
    """Makes the lab's backends shadow stores, so that events are delivered to them, and wraps every store."""
    settings = config.get_settings()
    if settings["tweeter.production"]:
        raise SettingError(
            "tweeter.lab allows every visitor to break the stores; it can't be combined with tweeter.production"
        )
    backends = settings["tweeter.lab.backends"].split()
    for spec in backends:
        load("tweeter.lab.backends", spec, BACKENDS)
    _refuse_namesakes([settings["tweeter.timelines"], *settings["tweeter.timelines.shadow"].split(), *backends])
    settings["tweeter.timelines.shadow"] = " ".join([settings["tweeter.timelines.shadow"], *backends])
    config.registry["instruments"] = {}
    config.include(directives)
    config.add_directive("add_timeline_store", _add_wrapped)


def _add_wrapped(config: Configurator, name: str, store: ITimelineStore, cache: ITweetCache) -> None:
    """Overrides the directive: registers the store and the cache in their wrappers."""

    def at(host: str, port: int) -> tuple[ITimelineStore, ITweetCache]:
        found: list[tuple[ITimelineStore, ITweetCache]] = []
        other = Configurator(settings={**config.get_settings(), **moved(config.get_settings(), host, port)})
        other.add_directive("add_timeline_store", lambda _, name, store, cache: found.append((store, cache)))
        other.include(name)
        return found[0]

    server = expected(name, config.get_settings())
    held = Instrument(name.rpartition(".")[2], store, cache, server, at)
    config.registry["instruments"][name] = held
    wrapped: Any = held.store, held.cache
    add_timeline_store(config, name, *wrapped)
