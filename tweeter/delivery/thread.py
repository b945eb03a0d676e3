"""The relay of one store in one process: a thread that delivers while it holds the lease, and otherwise waits for it.

For a shared store the lease elects one relay of all processes. A private store belongs to its process, whose relay
always delivers.
"""

import logging
import threading
import time
from contextlib import suppress
from datetime import timedelta

from sqlalchemy import Engine
from sqlalchemy.exc import SQLAlchemyError

from tweeter.db.clock import DatabaseClock
from tweeter.db.sessions import SessionFactory
from tweeter.delivery.chunks import FanOuts
from tweeter.delivery.holder import Attempts, Holder
from tweeter.delivery.lease import Lease, LostLease
from tweeter.delivery.locks import NoLease, make_lease
from tweeter.delivery.messages import Workers
from tweeter.delivery.wakeup import POLL, Notifier, Wakeups
from tweeter.errors import BackendUnavailable, SiteUnknown
from tweeter.interfaces import IMaterializedTimelines
from tweeter.metrics import HOLDS, IN_FLIGHT, LAG, show_pending
from tweeter.outbox import consumers
from tweeter.outbox.checkpoint import FRESH, Checkpoint, decode
from tweeter.outbox.log import Log, Position
from tweeter.outbox.site import SiteIdentity, site_identity

log = logging.getLogger(__name__)

STANDBY = 0.15  # seconds between attempts to get the lease, and between probes
COUNTED = 1000  # pending events that `behind` counts, at most
SITE = 0.5  # seconds between reads of the site's id, which an operator may change


class Relay:
    """The relay of one store. `delivers` is False if relays of other processes deliver to the shared stores."""

    def __init__(
        self,
        sessions: SessionFactory,
        engine: Engine,
        clock: DatabaseClock,
        timelines: IMaterializedTimelines,
        keep: timedelta,
        delivers: bool = True,
        notifier: Notifier | None = None,
        workers: Workers | None = None,
    ) -> None:
        self.timelines = timelines
        self.name = consumers.name_of(timelines.store.identity)
        self._sessions = sessions
        self._engine = engine
        self._clock = clock
        self._store = timelines.store
        self._circuit = timelines.circuit
        self._keep = keep.total_seconds()
        self._delivers = delivers or timelines.store.private
        self._lease: Lease | None = None
        self._holder: Holder | None = None
        self._attempts = Attempts()
        self._site: SiteIdentity | None = None
        self._asked = 0.0  # when the site was read (monotonic)
        self._run = ""  # run id of the store's servers, as last probed
        self._known: Checkpoint | None = None  # the last checkpoint read or written
        self._blind = False  # SQL cannot be read
        self._notifier = notifier
        self._workers = None if timelines.store.private else workers
        self._wakeups: Wakeups | None = None
        self._stopped = threading.Event()
        self._hurry = threading.Event()
        self._thread: threading.Thread | None = None

    # for other threads

    def start(self) -> None:
        """Starts the thread unless it is running."""
        if self._thread is None:
            self._wakeups = Wakeups(self._notifier)
            self._thread = threading.Thread(
                target=self._loop, args=[self._wakeups], name=f"relay {self.name}", daemon=True
            )
            self._thread.start()

    def stop(self) -> None:
        """Ends the thread; the lease is released, and the checkpoint written to SQL."""
        self._stopped.set()
        self.wake()
        if self._thread is not None:
            self._thread.join()

    def abandon(self) -> None:
        """Called in a forked process: leaves the lease to the parent, whose relay this is."""
        self._circuit.abandon()
        if self._lease is not None:
            self._lease.abandon()

    def wake(self) -> None:
        if self._wakeups is not None:
            self._wakeups.wake()

    def hurry(self) -> None:
        """Ends the rest between two batches, because a caller waits for the next one."""
        self._hurry.set()

    @property
    def holds(self) -> bool:
        """Whether this relay delivers to the store now."""
        return self._holder is not None

    @property
    def in_flight(self) -> int:
        """How many long events this relay is applying."""
        return len(self._holder.checkpoint.in_flight) if self._holder and self._holder.checkpoint else 0

    def behind(self) -> tuple[int, float]:
        """The number of pending events (counted up to 1,000), and the age of the oldest, in seconds.

        Uses the store's checkpoint, or the last known one while the store cannot be read. Raises SQLAlchemy's errors.
        """
        with suppress(BackendUnavailable):
            self._known = decode(self._store.checkpoint()) or self._known
        checkpoint = self._known
        with self._sessions() as session:
            batch = Log(session.connection()).read(checkpoint.position if checkpoint else Position(), COUNTED)
        count = len(batch.events) + (len(checkpoint.in_flight) if checkpoint else 0)
        return count, max(0.0, batch.time - batch.events[0].date.timestamp()) if batch.events else 0.0

    def observe(self) -> None:
        """Updates the metrics. Raises SQLAlchemy's errors."""
        show_pending(self.timelines.name, *self.behind())
        if (checkpoint := self._known) is not None:
            LAG.labels(self.timelines.name).set(max(0.0, checkpoint.age(self._clock())))
            IN_FLIGHT.labels(self.timelines.name).set(len(checkpoint.in_flight))
        HOLDS.labels(self.timelines.name).set(self.holds)

    def drained(self) -> bool:
        """Whether the store contains all committed events, and pages read it."""
        try:
            checkpoint = decode(self._store.checkpoint())
            if checkpoint is None or checkpoint.in_flight or checkpoint.age(self._clock()) > FRESH:
                return False
            site = site_identity(self._sessions)
            if site != self._site or not self._belongs(checkpoint, site):
                return False
            with self._sessions() as session:
                if Log(session.connection()).read(checkpoint.position, 1).events:
                    return False
        except SiteUnknown:
            return False
        except BackendUnavailable as error:
            self._circuit.failed(str(error))  # without page reads nothing else would detect it
            return False
        except SQLAlchemyError:
            return False
        return self._circuit.closed

    # the thread

    def _loop(self, wakeups: Wakeups) -> None:
        while not self._stopped.is_set():
            try:
                site = self._read_site()
                wait = self._deliver(self._holder, site) if self._holder else self._stand_by(site, wakeups)
                self._blind = False
                if wait > 0:
                    wakeups.wait(wait, self._holder.log.connection if self._holder else None)
                continue
            except LostLease:
                log.info("%s: another relay delivers now", self.name)
            except BackendUnavailable as error:
                self._circuit.failed(str(error))
                self._attempts.failed()
            except SQLAlchemyError as error:
                if not self._blind:
                    log.warning("%s: the outbox can't be read: %s", self.name, getattr(error, "orig", error))
                self._blind = True
                self._attempts.failed()
            except Exception:
                log.exception("%s: delivery failed", self.name)
            self._let_go()
            wakeups.wait(STANDBY)
        if self._holder is not None:
            with suppress(BackendUnavailable, SQLAlchemyError, LostLease):
                self._holder.release()
        self._let_go()
        wakeups.close()

    def _read_site(self) -> SiteIdentity:
        """The site, at most half a second old. If it has changed, gives up the lease."""
        if self._site is not None and time.monotonic() - self._asked < SITE:
            return self._site
        site = site_identity(self._sessions)
        if site != self._site:
            self._let_go()
            if self._site is None or site.id != self._site.id:
                self.timelines.set_site(site.id)
                self._run = ""
        self._site, self._asked = site, time.monotonic()
        return site

    def _deliver(self, holder: Holder, site: SiteIdentity) -> float:
        if not self._circuit.closed and self._probe(site) != holder.run:
            raise BackendUnavailable("it was restarted, perhaps from a snapshot")
        self._clock.measure()
        wait = holder.deliver_batch()
        self._known = holder.checkpoint
        return wait

    def _stand_by(self, site: SiteIdentity, wakeups: Wakeups) -> float:
        """Probes the store while the circuit is not closed, and tries to get the lease. Returns the seconds to wait."""
        if not self._circuit.closed:
            self._probe(site)
        self._clock.measure()
        if not self._delivers:
            return STANDBY if not self._circuit.closed else POLL
        if self._lease is None:
            make = NoLease if self._store.private else make_lease
            self._lease = make(self._engine, self.name)
        if (connection := self._lease.acquire()) is None:
            return STANDBY
        acquired = time.monotonic()
        wakeups.listen(connection)
        run = self._probe(site)
        fan_outs = FanOuts(self._workers, self.timelines, self.name, site.id, run) if self._workers else None
        holder = Holder(
            self.timelines, self.name, site, run, Log(connection), self._lease, self._attempts, self._keep, self._rest,
            fan_outs,
        )  # fmt: skip
        holder.begin(acquired, self._clock)
        self._holder = holder
        return 0

    def _probe(self, site: SiteIdentity) -> str:
        """Checks whether the store can be read and written; returns the run id of its servers."""
        run = str(self._store.run_id())
        if run != self._run:
            self._store.fence(run)
            self._run = run
        checkpoint = decode(self._store.checkpoint())
        if checkpoint is None or self._belongs(checkpoint, site):
            self._circuit.succeeded()
        return run

    def _belongs(self, checkpoint: Checkpoint, site: SiteIdentity) -> bool:
        """Whether a checkpoint belongs to this database, and not to its state before a restore."""
        if (checkpoint.site, checkpoint.epoch) != site:
            return False
        with self._sessions() as session:
            return Log(session.connection()).knows(checkpoint.last)

    def _rest(self, seconds: float) -> None:
        self._hurry.wait(seconds)
        self._hurry.clear()

    def _let_go(self) -> None:
        """Discards holder and lease: the database and the store may have changed."""
        if self._holder is not None:
            try:
                self._holder.close()  # drops timelines that it may have written too late
            finally:
                self._holder = None
        lease, self._lease = self._lease, None
        if lease is not None:
            lease.release()
