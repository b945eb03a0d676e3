"""The publisher: reads the outbox after the commits, and sends events to the streams that Pushpin holds.

Every process that delivers has one, a lease elects which of them publishes. It keeps its position in the outbox in
SQL, so the next one continues there: events of the last second may come twice, none is lost with a process. If it
missed more than MISSED seconds, or was not connected to a Pushpin, it ends the streams: clients ask for the page again.
"""

import logging
import os
import socket
import threading
import time
from collections.abc import Callable, Collection, Iterable, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any

from pyramid.registry import Registry
from sqlalchemy import Connection, Engine, NullPool
from sqlalchemy.exc import SQLAlchemyError

from tweeter.db.options import engine_of
from tweeter.db.sessions import SessionFactory
from tweeter.delivery.lease import Lease, LostLease
from tweeter.delivery.locks import make_lease
from tweeter.delivery.wakeup import POLL, Wakeups
from tweeter.interfaces import ITimelineKinds
from tweeter.metrics import STREAM_DELAY, STREAMED
from tweeter.outbox import consumers
from tweeter.outbox.checkpoint import VERSION, Checkpoint, decode, encode
from tweeter.outbox.log import Log, LoggedEvent, Position
from tweeter.outbox.site import site_identity
from tweeter.streaming.events import Form, publish
from tweeter.streaming.outlet import Outlet
from tweeter.timelines.kinds import Kinds

log = logging.getLogger(__name__)

NAME = "streams"  # of the lease, and of the row with the position
EVENTS = 250  # of a batch, at most
STANDBY = 0.15  # seconds between attempts to get the lease
RECORDED = 1.0  # seconds between writes of the position
CHECKED = 5.0  # seconds between checks of the listeners' credentials
MISSED = 60.0  # seconds


class Publisher:
    """The publisher of one process. `forms` are those of channels, by their name.

    `checks` has a function for each kind of credentials, which returns those of these token hashes that are valid.
    """

    def __init__(
        self, sessions: SessionFactory, engine: Engine, kinds: Kinds, addresses: Iterable[str], key: str
    ) -> None:
        self.forms: dict[str, Form] = {}
        self.checks: dict[str, Callable[[Collection[bytes]], set[bytes]]] = {}
        self.key = key
        self._sessions = sessions
        self._engine = engine
        self._kinds = kinds
        self._addresses = list(addresses)
        self._reset()

    def _reset(self) -> None:
        self.holds = False  # whether this process publishes now
        self.listening = 0  # channels that had listeners at the last look
        self._lease: Lease | None = None
        self._position, self._last, self._sequence = Position(), (0, 0, 0), 0
        self._recorded = self._checked = 0.0
        self._changed = True  # since the position was written
        self._wakeups: Wakeups | None = None
        self._stopped = threading.Event()
        self._thread: threading.Thread | None = None

    # for other threads

    def start(self) -> None:
        """Starts the thread unless it is running."""
        if self._thread is None:
            self._wakeups = Wakeups()
            self._thread = threading.Thread(target=self._loop, args=[self._wakeups], name="publisher", daemon=True)
            self._thread.start()

    def stop(self) -> None:
        """Ends the thread; the next publisher continues where this one ends."""
        self._stopped.set()
        self.wake()
        if self._thread is not None:
            self._thread.join()

    def restart(self) -> None:
        """Called in a forked process, which has no threads; the parent keeps the lease."""
        if self._lease is not None:
            self._lease.abandon()
        running = self._thread is not None
        self._reset()
        if running:
            self.start()

    def wake(self) -> None:
        if self._wakeups is not None:
            self._wakeups.wake()

    # the thread

    def _loop(self, wakeups: Wakeups) -> None:
        blind = False
        while not self._stopped.is_set():
            try:
                self._lease = self._lease or make_lease(self._engine, NAME)
                if (connection := self._lease.acquire()) is None:
                    wakeups.wait(STANDBY)
                    continue
                blind = False
                self._hold(self._lease, connection, wakeups)
            except LostLease:
                log.info("another process publishes to streams now")
            except SQLAlchemyError as error:
                if not blind:
                    log.warning("streams wait: the outbox can't be read: %s", getattr(error, "orig", error))
                blind = True
            except Exception:
                log.exception("publishing to streams failed")
            self._let_go()
            if not self._stopped.is_set():
                wakeups.wait(STANDBY)
        wakeups.close()

    def _let_go(self) -> None:
        self.holds = False
        lease, self._lease = self._lease, None
        if lease is not None:
            lease.release()

    def _hold(self, lease: Lease, connection: Connection, wakeups: Wakeups) -> None:
        """Publishes while the lease is held."""
        outlet = Outlet(self._addresses)
        try:
            log_ = Log(connection)
            missed = not self._continue(log_)
            wakeups.listen(connection)
            with lease.kept():
                outlet.settle()
            for name in outlet.names if missed else ():
                outlet.close_streams(name)
            self.holds = True
            while not self._stopped.is_set():
                outlet.look()
                while outlet.late:
                    outlet.close_streams(outlet.late.pop())
                self.listening = len(outlet.channels)
                STREAMED.set(self.listening)
                wait = self._publish_batch(lease, log_, outlet)
                self._check(outlet)
                if wait:
                    wakeups.wait(wait, connection)
            self._record(log_, "")
        finally:
            self.holds = False
            STREAMED.set(0)
            outlet.close()

    def _continue(self, log_: Log) -> bool:
        """Begins where the last publisher ended; False if too much was committed since, and it begins at the end."""
        row = consumers.read(log_.connection, NAME)
        site = site_identity(self._sessions)
        found = decode(row.checkpoint) if row else None
        if found is not None and (found.site, found.epoch) == site and log_.knows(found.last):
            self._position, self._last, self._sequence = found.position, found.last, found.sequence
            batch = log_.read(found.position, EVENTS)
            if not batch.events or (not batch.more and batch.time - batch.events[0].date.timestamp() < MISSED):
                return True
        self._position, self._last = log_.end().position, log_.newest()
        return row is None or not row.checkpoint

    def _publish_batch(self, lease: Lease, log_: Log, outlet: Outlet) -> float:
        """Publishes the new events. Returns the seconds to wait until the next call."""
        began = time.monotonic()
        batch = log_.read(self._position, EVENTS)
        lease.heard(began)
        if batch.events:
            outlet.look()  # who came since the commit
            with lease.kept():
                self._publish(batch.events, outlet)
            last = batch.events[-1]
            self._last, self._changed = (last.id, last.number, last.check), True
        self._position = batch.position
        if began - lease.proven > lease.writes:
            lease.prove()
        if self._changed and began - self._recorded > RECORDED:
            self._record(log_, f"{socket.gethostname()}:{os.getpid()}")
        return 0 if batch.more else POLL

    def _publish(self, batch: Sequence[LoggedEvent], outlet: Outlet) -> None:
        """A batch that can't be published is left out: streams are hints."""
        if not outlet.channels:
            return
        events = [logged.event for logged in batch if logged.event is not None]
        try:
            with self._sessions() as session:
                publish(session, self._kinds, self.forms, events, outlet)
            now = datetime.now(UTC)
            for logged in batch:
                STREAM_DELAY.observe(max(0.0, (now - logged.date).total_seconds()))
        except SQLAlchemyError:
            raise
        except Exception:
            log.exception("%d events can't be published to streams", len(events))

    def _check(self, outlet: Outlet) -> None:
        """Ends the streams whose credentials are void."""
        if time.monotonic() - self._checked < CHECKED:
            return
        self._checked = time.monotonic()
        by_kind: dict[str, dict[bytes, str]] = {}
        for name, (kind, token_hash) in outlet.credentials.items():
            by_kind.setdefault(kind, {})[token_hash] = name
        for kind, names in by_kind.items():
            if check := self.checks.get(kind):
                for token_hash in names.keys() - check(names.keys()):
                    outlet.close_streams(names[token_hash])

    def _record(self, log_: Log, holder: str) -> None:
        site = site_identity(self._sessions)
        self._sequence += 1
        checkpoint = Checkpoint(
            VERSION, *site, self._sequence, time.time(), holder, self._position, self._last
        )  # fmt: skip
        with suppress(SQLAlchemyError):
            consumers.write(log_.connection, NAME, encode(checkpoint), "")
        self._recorded, self._changed = time.monotonic(), False


def make_publisher(registry: Registry) -> Publisher:
    settings: Any = registry.settings
    engine = engine_of(settings, isolation_level="AUTOCOMMIT", poolclass=NullPool)
    return Publisher(
        registry.database.read_sessions,
        engine,
        registry.getUtility(ITimelineKinds),
        settings["tweeter.pushpin"].split(),
        settings["tweeter.pushpin.key"],
    )
