"""The lab's table of backends: which exist, whether they are reachable, and the actions performed on them."""

import time
from collections import deque
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from typing import NamedTuple

from prometheus_client import REGISTRY
from pyramid.registry import Registry

from tweeter.errors import BackendUnavailable, SiteUnknown
from tweeter.interfaces import IDelivery, IMaterializedTimelines, ITimelines
from tweeter.lab.cards import Card
from tweeter.lab.comparison import Cost
from tweeter.lab.instruments import CountingStore, Instrument
from tweeter.lab.jobs import Jobs
from tweeter.lab.outage import Outage
from tweeter.lab.steps import Step

REMEMBERED = 6  # number of actions shown
REMEMBERED_PAGES = 50
PATIENCE = 3.0  # seconds that a page waits for a store that is catching up


class Status(NamedTuple):
    """`word` is answers, absent, broken or behind; `text` is the reason for absent, or the way it is broken.

    `ours`: its server is one that `tweeter services` starts.
    """

    word: str
    text: str = ""
    ours: bool = False

    @property
    def answers(self) -> bool:
        return self.word == "answers"


class Experiment(NamedTuple):
    """An action on a backend, its user, and the reads of one home timeline before and after it."""

    date: datetime
    by: str
    backend: str
    what: str
    note: str
    reads: list[tuple[str, Cost]]


class PageSeen(NamedTuple):
    """A page with a timeline that the site has served, and its milliseconds."""

    path: str
    served_by: str
    timeline: float
    total: float

    def __str__(self) -> str:
        return f"{self.path}: timeline {self.timeline:.1f} of {self.total:.1f} ms"


@dataclass
class Backend:
    """One backend; `instrument` is None if it has no store."""

    timelines: ITimelines
    instrument: Instrument | None = None

    @property
    def name(self) -> str:
        return str(self.timelines.name)

    @property
    def materialized(self) -> IMaterializedTimelines | None:
        return self.timelines if IMaterializedTimelines.providedBy(self.timelines) else None

    @property
    def store(self) -> CountingStore:
        """The backend's store. Raises TypeError if it has none."""
        if self.instrument is None:
            raise TypeError(f"{self.name} has no store")
        return self.instrument.store

    @property
    def serving(self) -> bool:
        """Whether its pages come from the backend itself, not from SQL."""
        return self.materialized is None or self.materialized.live()

    def status(self, patience: float = 0.0) -> Status:
        """Its current status. Waits up to `patience` seconds for a store that is catching up."""
        if self.materialized is None or self.serving:
            return Status("answers")
        if self.instrument is not None and self.instrument.broken:
            return Status("broken", self.instrument.broken)
        deadline = time.monotonic() + patience
        while True:
            try:
                self.materialized.store.run_id()
            except SiteUnknown:
                pass  # the site has just started, and has not asked the store yet
            except BackendUnavailable as error:
                server = self.instrument and self.instrument.server
                return Status("absent", str(error), bool(server and server.ours))
            if self.serving or time.monotonic() >= deadline:
                return Status("answers" if self.serving else "behind")
            time.sleep(0.02)

    def pending(self) -> int:
        """The number of undelivered events, as of the last `observe` of the delivery."""
        return int(REGISTRY.get_sample_value("tweeter_outbox_pending", {"backend": self.name}) or 0)


class Lab:
    """The lab of one application."""

    def __init__(self, registry: Registry) -> None:
        self._registry = registry
        self.steps: list[Step] = []
        self.cards: list[Card] = []
        self._contenders: dict[str, ITimelines] = {}
        self.jobs = Jobs()
        self.outage: Outage | None = None
        self.pages: deque[PageSeen] = deque(maxlen=REMEMBERED_PAGES)
        self.experiments: deque[Experiment] = deque(maxlen=REMEMBERED)

    @property
    def default(self) -> ITimelines:
        """The timelines for users who did not switch."""
        return self._registry.getUtility(ITimelines)

    @cached_property
    def backends(self) -> dict[str, Backend]:
        """The backends by short name, in the order of the setting."""
        named = {name: timelines for name, timelines in self._registry.getUtilitiesFor(ITimelines) if name}
        instruments = self._registry["instruments"]
        found = {each.name: Backend(each, instruments.get(name)) for name, each in named.items()}
        wanted = [spec.rpartition(".")[2] for spec in self._registry.settings["tweeter.lab.backends"].split()]
        return {name: found[name] for name in dict.fromkeys([*wanted, *found]) if name in found}

    def statuses(self, patience: float = 0.0) -> dict[str, Status]:
        """The status of each backend, by name; `patience` as in Backend.status."""
        return {name: backend.status(patience) for name, backend in self.backends.items()}

    @property
    def stores(self) -> list[Backend]:
        """The backends with a materialized store."""
        return [backend for backend in self.backends.values() if backend.instrument is not None]

    def last_pages(self) -> dict[str, str]:
        """The last page of each backend as text, those from SQL apart. Empty for a backend without pages."""
        found = dict.fromkeys(self.backends, "")
        return found | {page.served_by: str(page) for page in list(self.pages)}

    @property
    def delivery(self) -> IDelivery:
        return self._registry.getUtility(IDelivery)

    def contender(self, step: Step) -> ITimelines:
        """The timelines of a step. If they are not the backend's own, they share its circuit."""
        if step.name not in self._contenders:
            self._contenders[step.name] = step.make(self, self._registry)
        return self._contenders[step.name]
