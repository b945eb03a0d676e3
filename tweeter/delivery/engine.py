"""The relay of one store: reads the outbox, applies it, and keeps the checkpoint.

Each process has one for each store. For a shared store a lease elects the one that delivers; the others stand by. A
private store is its own process's: there every relay delivers.
"""

import logging
import threading
import time
from collections import Counter
from contextlib import AbstractContextManager, nullcontext, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from sqlalchemy import Engine
from sqlalchemy.exc import DBAPIError, InterfaceError, OperationalError, SQLAlchemyError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from tweeter.delivery import consumers
from tweeter.delivery.checkpoint import VERSION, Checkpoint, InFlight, decode, encode
from tweeter.delivery.lease import Lease, LostLease, NoLease, make_lease
from tweeter.delivery.position import Log, LoggedEvent, Position
from tweeter.delivery.wakeup import POLL, Wakeups, listen
from tweeter.errors import BackendUnavailable
from tweeter.interfaces import IMaterializedTimelines
from tweeter.metrics import POISONED, count_delivery
from tweeter.models.clock import DatabaseClock
from tweeter.timelines.projector import Stream
from tweeter.values import Reloaded, Truncated

log = logging.getLogger(__name__)

_UNKNOWN = datetime.fromtimestamp(0, UTC)  # the date of an event that is known from a checkpoint
EVENTS = 250  # of a batch
RENEWED = 0.35  # seconds between checkpoints, also when nothing happens; pages do without one for a second
RECORDED = 1.0  # seconds between writes of the checkpoint to SQL
SLICE = 0.02  # seconds of long fan-outs between two looks at the outbox
STANDBY = 0.15  # seconds between attempts to get the lease, and between probes
SWEEPING = Truncated | Reloaded  # events that go through all keys of a store
ATTEMPTS = 3  # at an event, after which it is poison


@dataclass
class _Stream:
    """A long event under way."""

    logged: LoggedEvent
    stream: Stream


@dataclass
class _Progress:
    """What the holder of the lease knows."""

    log: Log
    lease: Lease
    run: str
    position: Position
    sequence: int
    time: float
    last: tuple[int, int]
    streams: list[_Stream] = field(default_factory=list)
    written: float = 0.0  # when the checkpoint was written to the store
    recorded: float = 0.0  # when it was written to SQL
    changed: bool = True  # since then


class Relay:
    """One store's relay in one process. `delivers` is False where `tweeter relay` does it for this process."""

    def __init__(
        self,
        engine: Engine,
        clock: DatabaseClock,
        timelines: IMaterializedTimelines,
        keep: timedelta,
        delivers: bool = True,
    ) -> None:
        self.timelines = timelines
        self.name = consumers.name_of(timelines.store.identity)
        self._engine = engine
        self._clock = clock
        self._store = timelines.store
        self._circuit = timelines.circuit
        self._keep = keep.total_seconds()
        self._delivers = delivers or timelines.store.private
        self._lease: Lease | None = None
        self._held: _Progress | None = None
        self._run: str | None = None
        self._known: Checkpoint | None = None  # the last one seen
        self._blind = False  # SQL cannot be read
        self._careful = 0  # batches of one event, after a failure
        self._attempts: Counter[int] = Counter()
        self._wakeups = Wakeups()
        self._stopped = threading.Event()
        self._thread: threading.Thread | None = None

    # for other threads

    def start(self) -> None:
        """Starts the thread, unless it runs."""
        if self._thread is None:
            self._thread = threading.Thread(target=self._loop, name=f"relay {self.name}", daemon=True)
            self._thread.start()

    def stop(self) -> None:
        """Ends the thread; the lease is free, and the checkpoint written to SQL."""
        self._stopped.set()
        self._wakeups.wake()
        if self._thread is not None:
            self._thread.join()

    def wake(self) -> None:
        self._wakeups.wake()

    @property
    def holds(self) -> bool:
        """Whether this relay delivers to the store now."""
        return self._held is not None

    def behind(self) -> tuple[int, float]:
        """How many events are not delivered (1,000 at most are counted), and the age of the oldest, in seconds.

        By the store's checkpoint, or the last one known while it can't be read. Raises SQLAlchemy's errors.
        """
        with suppress(BackendUnavailable):
            self._known = decode(self._store.checkpoint()) or self._known
        checkpoint = self._known
        with self._engine.connect() as connection:
            batch = Log(connection).read(checkpoint.position if checkpoint else Position(), 1000)
        count = len(batch.events) + (len(checkpoint.in_flight) if checkpoint else 0)
        return count, time.time() - batch.events[0].date.timestamp() if batch.events else 0.0

    # the thread

    def _loop(self) -> None:
        while not self._stopped.is_set():
            try:
                wait = self._deliver() if self._held else self._stand_by()
                self._blind = False
                connection = self._held.log.connection if self._held else None
                if wait > 0:
                    self._wakeups.wait(wait, connection)
            except LostLease:
                log.info("%s: another relay delivers now", self.name)
                self._let_go()
            except BackendUnavailable as error:
                self._circuit.failed(str(error))
                self._careful = EVENTS
                self._let_go()
                self._wakeups.wait(STANDBY)
            except SQLAlchemyError as error:
                if not self._blind:
                    log.warning("%s: the outbox can't be read: %s", self.name, error)
                self._blind = True
                self._let_go()
                self._wakeups.wait(STANDBY)
            except Exception:
                log.exception("%s: delivery failed", self.name)
                self._let_go()
                self._wakeups.wait(STANDBY)
        self._let_go(record=True)
        self._wakeups.close()

    def _stand_by(self) -> float:
        """Probes the store while the circuit is not closed, and tries to get the lease. Returns seconds to wait."""
        if not self._circuit.closed:
            self._probe()
        self._clock.measure()
        if not self._delivers:
            return STANDBY if not self._circuit.closed else POLL
        if self._lease is None:
            self._lease = (
                NoLease(self._engine, self.name) if self._store.private else make_lease(self._engine, self.name)
            )
        if (connection := self._lease.acquire()) is None:
            return STANDBY
        began = time.monotonic()
        listen(connection)
        self._begin(Log(connection), self._lease, began)
        return 0

    def _probe(self) -> None:
        """Finds out whether the store can be reached and written, and by which run of its servers."""
        run = self._store.incarnation()
        if run != self._run:
            self._store.expect(run)
            self._run = run
        self._circuit.worked()

    def _let_go(self, record: bool = False) -> None:
        held, self._held = self._held, None
        if held is not None:
            for each in held.streams:
                each.stream.close()
            if record:
                with suppress(BackendUnavailable, SQLAlchemyError, LostLease):
                    self._write(held, released=True)
        if self._lease is not None:
            self._lease.release()
            if not record:
                self._lease = None  # what the database is may have changed

    # delivering

    def _begin(self, log_: Log, lease: Lease, began: float) -> None:
        """Goes on from the store's checkpoint, from SQL's row, or cold."""
        self._probe()
        assert self._run is not None
        stored = self._store.checkpoint()
        row = consumers.read(log_.connection, self.name)
        found = decode(stored)
        if found is None and row is not None and row.run == self._run:
            found = decode(row.checkpoint)
        why = self._why_cold(found, log_, stored or (row is not None and row.checkpoint))
        held = _Progress(log_, lease, self._run, Position(), 0, 0.0, (0, 0))
        if found is not None:
            held.sequence = found.sequence
            if found.held and not why:
                # The last holder did not release the lease: it may be alive, and write for so long.
                time.sleep(max(0.0, began + lease.writes - time.monotonic()))
        self.timelines.projector.guard = lambda: _guard(lease)
        if why or found is None:
            log.info("%s starts cold: %s", self.name, why)
            self._start_cold(held)
        else:
            held.position, held.time, held.last = found.position, found.time, found.last
            for each in found.in_flight:
                stream = self.timelines.projector.stream(each.event, each.resume)
                held.streams.append(_Stream(LoggedEvent(each.id, each.number, _UNKNOWN, each.event, None), stream))
        self._held = held

    def _why_cold(self, found: Checkpoint | None, log_: Log, was_there: object) -> str:
        """Why the store cannot go on from a checkpoint; nothing if it can."""
        if found is None:
            return "its checkpoint is lost, and so may be its data" if was_there else "it is new"
        if found.database != log_.database:
            return "it was delivered to from another database"
        if found.last != (0, 0) and not log_.has(*found.last):
            return "the database was restored from a backup, or its outbox pruned further than this"
        if self._clock() - found.time > self._keep:
            return "nobody delivered to it for longer than events are kept"
        return ""

    def _start_cold(self, held: _Progress) -> None:
        # In this order: what is backfilled before the log's end was read may lack what came between.
        end = held.log.end()
        _guard(held.lease)
        with held.lease.kept():
            self._store.set_checkpoint(b"")  # from here on pages do not read it
            self.timelines.clear()
        held.position, held.time, held.last = end.position, end.time, held.log.newest()
        held.streams.clear()
        held.changed = True

    def _deliver(self) -> float:
        """One look at the outbox. Returns seconds to wait until the next."""
        held = self._held
        assert held is not None
        if not self._circuit.closed:
            self._probe()
            if self._run != held.run:
                raise BackendUnavailable("it was started again, perhaps with what it had saved")
        _guard(held.lease)
        began = time.monotonic()
        batch = held.log.read(held.position, 1 if self._careful else EVENTS)
        held.lease.heard(began)
        if batch.events:
            held.streams += self._apply(batch.events)
            held.last = (batch.events[-1].id, batch.events[-1].number)
            held.changed = True
        self._careful = max(0, self._careful - 1) if batch.events else 0
        self._step(held)
        held.position = batch.position
        if not batch.more:
            held.time = batch.time
        if batch.events or held.streams or began - held.written >= RENEWED or not held.written:
            self._write(held)
        if batch.more or held.streams:
            return 0
        return min(POLL, RENEWED - (time.monotonic() - held.written))

    def _apply(self, events: list[LoggedEvent]) -> list[_Stream]:
        """Applies a batch; returns what goes on as streams."""
        known = [logged for logged in events if logged.event is not None]
        if len(known) < len(events):
            self._poison(next(logged for logged in events if logged.event is None), "this version can't decode it")
        if not known:
            return []
        try:
            with self._kept() if any(isinstance(each.event, SWEEPING) for each in known) else nullcontext():
                streams = self.timelines.projector.apply([logged.event for logged in known])
        except (LostLease, OperationalError, InterfaceError, PoolTimeout):
            raise
        except BackendUnavailable:
            if len(events) == 1 and self._gives_up(events[0]):
                self._poison(events[0], "the store refuses it")
                return []
            raise
        except Exception as error:
            if isinstance(error, DBAPIError) and error.connection_invalidated:
                raise
            if len(known) > 1:
                return [stream for logged in known for stream in self._apply([logged])]
            if not self._gives_up(known[0]):
                return self._apply(known)
            self._poison(known[0], repr(error))
            return []
        by_event = {id(logged.event): logged for logged in known}
        ended = {id(stream.event) for stream in streams}
        for logged in known:
            if id(logged.event) not in ended:
                self._count(logged)
        return [_Stream(by_event[id(stream.event)], stream) for stream in streams]

    def _kept(self) -> AbstractContextManager[None]:
        return self._lease.kept() if self._lease and not self._store.private else nullcontext()

    def _gives_up(self, logged: LoggedEvent) -> bool:
        self._attempts[logged.id] += 1
        return self._attempts[logged.id] >= ATTEMPTS

    def _poison(self, logged: LoggedEvent, why: str) -> None:
        """What the event would have changed is unknown, so that everything starts cold; the events behind it go on."""
        log.error("event %d can't be applied to %s, which starts cold: %s", logged.id, self.name, why)
        POISONED.labels(self.timelines.name).inc()
        self._attempts.pop(logged.id, None)
        with self._kept():
            self.timelines.clear()

    def _step(self, held: _Progress) -> None:
        """Some steps of the long events, in turns."""
        ends = time.monotonic() + SLICE
        while held.streams:
            each = held.streams.pop(0)
            try:
                going_on = each.stream.step()
            except (LostLease, BackendUnavailable, SQLAlchemyError):
                held.streams.insert(0, each)
                raise
            except Exception as error:
                self._poison(each.logged, repr(error))
                continue
            if going_on:
                held.streams.append(each)
            else:
                self._count(each.logged)
            if time.monotonic() > ends:
                return

    def _count(self, logged: LoggedEvent) -> None:
        self._attempts.pop(logged.id, None)
        if logged.date is not _UNKNOWN and logged.event is not None:
            count_delivery(self.timelines.name, logged.event, logged.date, logged.request_id)

    def _write(self, held: _Progress, released: bool = False) -> None:
        """The checkpoint, to the store and, once in a while, to SQL."""
        held.sequence += 1
        in_flight = tuple(
            InFlight(each.logged.id, each.logged.number, each.stream.event, each.stream.resume)  # type: ignore[arg-type]
            for each in held.streams
        )
        checkpoint = Checkpoint(
            VERSION, held.log.database, held.sequence, held.time, not released, held.position, held.last, in_flight
        )
        _guard(held.lease)
        data = encode(checkpoint)
        self._store.set_checkpoint(data)
        self._known = checkpoint
        held.written = time.monotonic()
        if not self._store.private and (
            released or (held.changed and held.written - held.recorded >= RECORDED) or not held.recorded
        ):
            consumers.write(held.log.connection, self.name, data, held.run)
            held.recorded, held.changed = held.written, False


def _guard(lease: Lease) -> None:
    """Called before each write to the store. Raises LostLease."""
    if time.monotonic() - lease.proven > lease.writes:
        lease.prove()
