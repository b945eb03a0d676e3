"""What the holder of a lease does: it applies the outbox to the store, and keeps the store's checkpoint."""

import logging
import os
import socket
import time
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from datetime import UTC, datetime
from typing import NamedTuple

from sqlalchemy.exc import TimeoutError as PoolTimeout

from tweeter.delivery import consumers
from tweeter.delivery.attempts import Attempts, is_outage
from tweeter.delivery.checkpoint import COLD, VERSION, Checkpoint, InFlight, decode, encode
from tweeter.delivery.lease import Lease, LostLease
from tweeter.delivery.position import Log, LoggedEvent, Position
from tweeter.delivery.wakeup import POLL
from tweeter.interfaces import IMaterializedTimelines
from tweeter.metrics import POISONED, count_delivery
from tweeter.models.site import Known
from tweeter.timelines.streams import Stream
from tweeter.values import Timeline, TweetCreated

log = logging.getLogger(__name__)

EVENTS = 250  # of a batch
IN_FLIGHT = 100  # long events at most, as the checkpoint lists them
RENEWED = 0.35  # seconds between checkpoints, also when nothing happens; pages do without one for a second
RECORDED = 1.05  # seconds between writes of the checkpoint to SQL
REST = 0.004  # seconds for each event of a batch, in which the next batch grows
LONGEST_REST = 0.025
SLICE = 0.01  # seconds of long fan-outs between two looks at the outbox
FLAPPING = 5.0  # seconds within which a store that fails at an event may be to blame itself
STRETCH = 60.0  # seconds that a stretch of a large fan-out takes at most, from one read of its followers to the other

_UNKNOWN = datetime.fromtimestamp(0, UTC)  # the date of an event that is known from a checkpoint


class _Running(NamedTuple):
    """A long event under way."""

    logged: LoggedEvent
    stream: Stream


class Holder:
    """Delivers to one store from the acquisition of the lease to its end. For one thread.

    `name` is the store's, `run` the run of its servers; events are kept for `keep` seconds; `rest` sleeps between
    batches. Every method raises LostLease, BackendUnavailable and SQLAlchemy's errors; then a new Holder goes on from
    the last checkpoint.
    """

    def __init__(
        self,
        timelines: IMaterializedTimelines,
        name: str,
        site: Known,
        run: str,
        log_: Log,
        lease: Lease,
        attempts: Attempts,
        keep: float,
        rest: Callable[[float], object] = time.sleep,
    ) -> None:
        self.run = run
        self.log = log_
        self.checkpoint: Checkpoint | None = None  # the last one written
        self._timelines = timelines
        self._store = timelines.store
        self._projector = timelines.projector
        self._projector.begin(self._guard)
        self._name = name
        self._site = site
        self._keep = keep
        self._rest = rest
        self._lease = lease
        self._attempts = attempts
        self._position = Position()
        self._me = f"{socket.gethostname()}:{os.getpid()}"
        self._sequence = 0
        self._time = 0.0
        self._last = (0, 0, 0)
        self._running: list[_Running] = []
        self._written = 0.0  # when the checkpoint was written to the store (monotonic)
        self._recorded = 0.0  # when it was written to SQL
        self._changed = True  # since then

    def begin(self, acquired: float, now: Callable[[], float]) -> None:
        """Goes on from the store's checkpoint, from SQL's row if that is lost, or cold.

        `acquired` is when the lease was (monotonic), `now` the database's clock.
        """
        stored = self._store.checkpoint()
        row = consumers.read(self.log.connection, self._name)
        found = decode(stored)
        if found is None and stored != COLD and row is not None and row.run == self.run:
            found = decode(row.checkpoint)
        if found is not None and found.site != self._site.id:
            found = stored = row = None
        if found is not None:
            self._sequence = found.sequence
            if found.holder and not self._store.private:
                # It did not release the lease: it may be alive, and write for so long.
                time.sleep(max(0.0, acquired + self._lease.waits - time.monotonic()))
        if why := self._why_cold(found, bool(stored or row), now()):
            log.info("%s starts cold: %s", self._name, why)
            self._start_cold()
        elif found is not None:
            self._position, self._time, self._last = found.position, found.time, found.last
            for each in found.in_flight:
                stream = self._projector.stream(each.event, each.resume)
                self._running.append(_Running(LoggedEvent(each.id, each.number, _UNKNOWN, each.event, None), stream))
            if found.holder and any(isinstance(each.event, TweetCreated) for each in found.in_flight):
                # It was killed before it read a stretch of followers again: who left may have the tweet.
                left = self.log.left_since(found.time - STRETCH)
                self._guard()
                self._store.drop([Timeline.home(user_id).key for user_id in left])

    def _why_cold(self, found: Checkpoint | None, was_there: bool, now: float) -> str:
        """Why the store cannot go on from a checkpoint; nothing if it can."""
        if found is None:
            return "its checkpoint is lost, or it was left half cleared" if was_there else "it is new"
        if found.epoch != self._site.epoch:
            return "the database moved to another server"
        if not self.log.knows(found.last):
            return "the database was restored from a backup, or its outbox pruned further than this"
        if now - found.time > self._keep:
            return "nothing was delivered to it for longer than events are kept"
        return ""

    def _start_cold(self) -> None:
        # In this order: what is backfilled before the log's end was read may lack what came between.
        end = self.log.end()
        self._last = self.log.newest()
        self._guard()
        with self._kept():
            self._store.set_checkpoint(COLD)  # from here on pages do not read it, also if this process dies
            self._timelines.clear()
        self._position, self._time = end.position, end.time

    def look(self) -> float:
        """Applies what the outbox has new. Returns seconds to wait until the next look."""
        self._guard()
        began = time.monotonic()
        room = min(1 if self._attempts.careful else EVENTS, IN_FLIGHT - len(self._running))
        if room <= 0:
            return self._go_on()
        batch = self.log.read(self._position, room)
        self._lease.heard(began)
        if batch.time - self._time > self._keep:
            log.info("%s starts cold: nothing was delivered to it for longer than events are kept", self._name)
            self._start_cold()
            return 0
        if batch.events:
            self._attempts.under_way = len(batch.events)
            self._running += self._apply(batch.events)
            self._attempts.under_way = 0
            last = batch.events[-1]
            self._last = (last.id, last.number, last.check)
            self._changed = True
        self._attempts.careful = max(0, self._attempts.careful - 1) if batch.events else 0
        self._step()
        self._position = batch.position
        if not batch.more:
            self._time = batch.time
        if batch.events or self._running or began - self._written >= RENEWED:
            self._write(self._me)
        if batch.more or self._running:
            return 0
        if batch.events:
            # The quicker events come, the more of them are applied together.
            self._rest(min(REST * len(batch.events), LONGEST_REST))
        return max(0.0, min(POLL, RENEWED - (time.monotonic() - self._written)))

    def _go_on(self) -> float:
        """As `look`, with the long events that are in flight alone."""
        self._step()
        self._write(self._me)
        return 0

    def release(self) -> None:
        """The last checkpoint: the next holder may begin at once."""
        self._write("")

    def close(self) -> None:
        """Gives up what is under way."""
        for each in self._running:
            each.stream.close()

    def _guard(self) -> None:
        """Called before each write to the store."""
        if time.monotonic() - self._lease.proven > self._lease.writes:
            self._lease.prove()

    def _kept(self) -> AbstractContextManager[None]:
        """For what may take longer than a holder may be silent."""
        return nullcontext() if self._store.private else self._lease.kept()

    def _apply(self, events: list[LoggedEvent]) -> list[_Running]:
        """Applies a batch; returns what goes on as streams."""
        known = [logged for logged in events if logged.event is not None]
        if unknown := [logged for logged in events if logged.event is None]:
            self._poison(unknown[0], "this version can't decode it", len(unknown))
        if not known:
            return []
        try:
            with self._kept():
                streams = self._projector.apply([logged.event for logged in known])
        except (LostLease, PoolTimeout):
            raise
        except Exception as error:
            if is_outage(error):
                # The outbox was read a moment ago. What fails again and again is this event alone.
                if len(events) > 1 or not self._attempts.exhausted(events[0], FLAPPING):
                    raise
                self._poison(events[0], repr(error))
                return []
            if len(known) > 1:
                return [running for logged in known for running in self._apply([logged])]
            if not self._attempts.exhausted(known[0]):
                return self._apply(known)
            self._poison(known[0], repr(error))
            return []
        by_event = {id(logged.event): logged for logged in known}
        running = [_Running(by_event.pop(id(stream.event)), stream) for stream in streams]
        for logged in by_event.values():
            self._count(logged)
        return running

    def _step(self) -> None:
        """Some steps of the long events, in turns."""
        ends = time.monotonic() + SLICE
        while self._running and time.monotonic() < ends:
            each = self._running[0]
            try:
                with self._kept():
                    going_on = each.stream.step()
            except (LostLease, PoolTimeout):
                raise
            except Exception as error:
                if is_outage(error) and not self._attempts.exhausted(each.logged, FLAPPING):
                    raise
                self._poison(each.logged, repr(error))
                going_on = False
            self._running.remove(each)
            if going_on:
                self._running.append(each)
            else:
                self._count(each.logged)

    def _poison(self, logged: LoggedEvent, why: str, count: int = 1) -> None:
        """What the event would have changed is unknown, so that everything starts cold; the events behind it go on."""
        log.error("event %d can't be applied to %s, which starts cold: %s", logged.id, self._name, why)
        POISONED.labels(self._timelines.name).inc(count)
        self._attempts.forget(logged)
        self._guard()
        with self._kept():
            self._timelines.clear()

    def _count(self, logged: LoggedEvent) -> None:
        self._attempts.forget(logged)
        if logged.date is not _UNKNOWN and logged.event is not None:
            count_delivery(self._timelines.name, logged.event, logged.date, logged.request_id)

    def _write(self, holder: str) -> None:
        """The checkpoint, to the store and, once in a while, to SQL. `holder` is empty where the lease is released."""
        self._sequence += 1
        in_flight = tuple(
            InFlight(each.logged.id, each.logged.number, each.stream.event, each.stream.resume)  # type: ignore[arg-type]
            for each in self._running
        )
        self.checkpoint = Checkpoint(
            VERSION, *self._site, self._sequence, self._time, holder, self._position, self._last, in_flight
        )
        data = encode(self.checkpoint)
        self._guard()
        self._store.set_checkpoint(data)
        self._written = time.monotonic()
        due = self._changed and self._written - self._recorded >= RECORDED
        if not self._store.private and (due or not holder):
            consumers.write(self.log.connection, self._name, data, self.run)
            self._recorded, self._changed = self._written, False
