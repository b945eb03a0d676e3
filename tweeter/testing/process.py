"""One process of a site, for tests."""

import contextlib
import time
from collections.abc import Iterator
from typing import Any

from sqlalchemy import Engine, event
from sqlalchemy.orm import Session

import tweeter
from tweeter.db.sessions import begin_immediate
from tweeter.interfaces import IDelivery, IMaterializedTimelines, ITimelineKinds, ITimelines
from tweeter.services.actions import Actions, actions_of
from tweeter.settings import merge
from tweeter.timelines.kinds import Kinds
from tweeter.values import NOBODY, Cursor, Page, Timeline, Viewer

CHEAP = {
    "tweeter.secret": "only for tests",
    "tweeter.production": "false",
    "tweeter.argon2.time_cost": "1",
    "tweeter.argon2.memory_kib": "8",
}


PATIENCE = 20  # seconds until all events are delivered


class Process:
    """One process of the site: a registry with its timelines and its delivery."""

    def __init__(self, url: str, backend: str, **settings: str) -> None:
        self.backend = backend
        self.settings = settings
        self.ill = False  # during a fault of the store: SQL may serve pages
        own = {"sqlalchemy.url": url, "tweeter.timelines": backend, **CHEAP, **settings}
        self._stack = contextlib.ExitStack()
        self.registry = self._stack.enter_context(tweeter.site(merge(own, {}, {})))
        self.sessions = self.registry.database.sessions
        _refuse_late_writers(self.registry.database.engine)
        self.timelines = self.registry.getUtility(ITimelines)
        self.delivery = self.registry.getUtility(IDelivery)
        self.kinds: Kinds = self.registry.getUtility(ITimelineKinds)

    @contextlib.contextmanager
    def acting(self, deliver: bool = True) -> Iterator[Actions]:
        """Actions in one transaction. Without `deliver`, simulates a crash between the commit and the wake-up."""
        with self.sessions() as session:
            begin_immediate(session)
            yield self.actions(session)
            session.commit()
        if deliver:
            self.delivery.wake()

    def actions(self, session: Session) -> Actions:
        return actions_of(self.registry, session)

    def page(self, timeline: Timeline, cursor: Cursor, viewer: Viewer = NOBODY) -> Page:
        """A page as a request gets it."""
        self.settle()
        page: Page = self.timelines.page(timeline, cursor, viewer)
        return page

    @property
    def reads_store(self) -> bool:
        """Whether pages come from the backend itself."""
        circuit = getattr(self.timelines, "circuit", None)
        return circuit is None or circuit.closed

    def settle(self) -> None:
        """Waits until everything is delivered and the store serves pages. During a fault SQL may serve them instead."""
        deadline = time.monotonic() + PATIENCE
        while not (self.ill and self._served_by_sql()):
            if self.delivery.drain(0.05 if self.ill else PATIENCE):
                return
            assert time.monotonic() < deadline, f"{self.backend} does not catch up"

    def _served_by_sql(self) -> bool:
        """Also true for a closed circuit with an old checkpoint, which occurs if another process delivers."""
        return IMaterializedTimelines.providedBy(self.timelines) and not self.timelines.live()

    def walk(self, timeline: Timeline, limit: int = 20, settled: bool = False, viewer: Viewer = NOBODY) -> list[Page]:
        """All pages, from the newest to the oldest. `settled`: everything is delivered, so no page waits."""
        read = self.timelines.page if settled else self.page
        pages = [read(timeline, Cursor(limit=limit), viewer)]
        while (older := pages[-1].older) is not None:
            pages.append(read(timeline, Cursor(before=older, limit=limit), viewer))
        return pages

    def close(self) -> None:
        self._stack.close()


def _refuse_late_writers(engine: Engine) -> None:
    """Makes a write on SQLite fail in a transaction that began as a reader.

    SQLite refuses such a write only if another thread has written meanwhile, so tests would fail by chance.
    """

    def check(connection: Any, cursor: Any, statement: str, *others: Any) -> None:
        writes = statement.lstrip().startswith(("INSERT", "UPDATE", "DELETE"))
        if writes and connection.get_execution_options().get("sqlite_begin") != "IMMEDIATE":
            raise AssertionError("begin_immediate must be called before the transaction's first statement")

    if engine.dialect.name == "sqlite":
        event.listen(engine, "before_cursor_execute", check)
