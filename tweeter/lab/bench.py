"""The lab's table: which backends are there, whether they can be asked, and what happened to them here."""

import time
from collections import deque
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

from prometheus_client import REGISTRY
from pyramid.registry import Registry

from tweeter.errors import BackendUnavailable, SiteUnknown
from tweeter.interfaces import IDelivery, IMaterializedTimelines, ITimelines
from tweeter.lab.happenings import Happening
from tweeter.lab.instruments import CountingStore, Instrument
from tweeter.lab.jobs import Jobs
from tweeter.lab.steps import Step
from tweeter.plugins import dotted
from tweeter.timelines import BACKENDS, private_server

REMEMBERED = 6  # things that happened
PATIENCE = 3.0  # seconds that a page waits for a store that is being caught up


class Status(NamedTuple):
    """`word` is answers, absent, broken or behind; `text` says why it is not there, or how it is broken.

    `ours`: its server is one that `tweeter services` starts.
    """

    word: str
    text: str = ""
    ours: bool = False

    @property
    def answers(self) -> bool:
        return self.word == "answers"


@dataclass
class Backend:
    """One backend; `instrument` is None where it keeps nothing that could be emptied."""

    timelines: ITimelines
    instrument: Instrument | None = None
    ours: bool = False  # as of Status

    @property
    def name(self) -> str:
        return str(self.timelines.name)

    @property
    def materialized(self) -> IMaterializedTimelines | None:
        return self.timelines if IMaterializedTimelines.providedBy(self.timelines) else None

    @property
    def store(self) -> CountingStore:
        """Of one that keeps something; raises TypeError for others."""
        if self.instrument is None:
            raise TypeError(f"{self.name} has no store")
        return self.instrument.store

    @property
    def trusted(self) -> bool:
        """Whether pages are its own answer; SQL's otherwise."""
        return self.materialized is None or self.materialized.live()

    def status(self, patience: float = 0.0) -> Status:
        """Whether it answers by itself; a store that is being caught up is waited for, `patience` seconds at most."""
        if self.materialized is None or self.trusted:
            return Status("answers")
        if self.instrument is not None and self.instrument.broken:
            return Status("broken", self.instrument.broken)
        try:
            self.materialized.store.incarnation()
        except SiteUnknown:
            pass  # the first look is under way
        except BackendUnavailable as error:
            return Status("absent", str(error), self.ours)
        deadline = time.monotonic() + patience
        while not self.trusted and time.monotonic() < deadline:
            time.sleep(0.02)
        return Status("answers" if self.trusted else "behind")

    def pending(self) -> int:
        """Events that are not delivered to it yet, as of the last `observe` of the delivery."""
        return int(REGISTRY.get_sample_value("tweeter_outbox_pending", {"backend": self.name}) or 0)


class Lab:
    """One for each application."""

    def __init__(self, registry: Registry) -> None:
        self._registry = registry
        self.steps: list[Step] = []
        self._contenders: dict[str, ITimelines] = {}
        self.jobs = Jobs()
        self.happenings: deque[Happening] = deque(maxlen=REMEMBERED)

    @property
    def default(self) -> ITimelines:
        """What answers those who did not switch."""
        return self._registry.getUtility(ITimelines)

    @cached_property
    def backends(self) -> dict[str, Backend]:
        """By their short names, in the order of the setting."""
        named = {name: timelines for name, timelines in self._registry.getUtilitiesFor(ITimelines) if name}
        wanted = self._registry.settings["tweeter.lab.backends"].split()
        order = {spec.rpartition(".")[2]: place for place, spec in enumerate(wanted)}
        found = [
            Backend(timelines, self._registry["instruments"].get(name), self._is_ours(name))
            for name, timelines in named.items()
        ]
        found.sort(key=lambda backend: order.get(backend.name, len(order)))
        return {backend.name: backend for backend in found}

    def statuses(self, patience: float = 0.0) -> dict[str, Status]:
        """Of all backends, by name; `patience` as of Backend.status."""
        return {name: backend.status(patience) for name, backend in self.backends.items()}

    def _is_ours(self, name: str) -> bool:
        settings = self._registry.settings
        specs = [settings["tweeter.timelines"], *settings["tweeter.timelines.shadow"].split()]  # the lab's are shadows
        modules = {dotted(BACKENDS, spec) for spec in specs}  # which may register other names than their own, too
        return name in modules and private_server("tweeter.lab.backends", name, settings) is not None

    @property
    def stores(self) -> list[Backend]:
        """The backends that are kept ready."""
        return [backend for backend in self.backends.values() if backend.instrument is not None]

    @property
    def delivery(self) -> IDelivery:
        return self._registry.getUtility(IDelivery)

    def contender(self, step: Step) -> ITimelines:
        """What a step asks. Where that is not the backend itself, it is as much to be trusted."""
        if step.name not in self._contenders:
            self._contenders[step.name] = step.make(self, self._registry)
        return self._contenders[step.name]
