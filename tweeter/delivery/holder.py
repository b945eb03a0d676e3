"""The lease holder: applies the outbox to the store, and maintains the store's checkpoint."""

import logging
import os
import socket
import time
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from datetime import UTC, datetime
from functools import partial
from typing import NamedTuple

from sqlalchemy.exc import TimeoutError as PoolTimeout

from tweeter.delivery.attempts import Attempts, is_outage
from tweeter.delivery.chunked import ChunkedStream
from tweeter.delivery.chunks import LOOK, FanOuts
from tweeter.delivery.continuity import RESTORED, why_cold
from tweeter.delivery.lease import Lease, LostLease
from tweeter.delivery.wakeup import POLL
from tweeter.interfaces import IMaterializedTimelines
from tweeter.metrics import POISONED, count_delivery
from tweeter.outbox import consumers
from tweeter.outbox.checkpoint import COLD, VERSION, Checkpoint, InFlight, decode, encode
from tweeter.outbox.log import Log, LoggedEvent, Position
from tweeter.outbox.site import SiteIdentity
from tweeter.timelines.streams import Stream
from tweeter.values import TweetCreated

log = logging.getLogger(__name__)

EVENTS = 250  # per batch, at most
IN_FLIGHT = 100  # long events at most, because the checkpoint lists them
RENEWED = 0.35  # seconds between checkpoints, also when nothing happens; pages accept one for a second
RECORDED = 1.05  # seconds between writes of the checkpoint to SQL
REST = 0.004  # seconds per event of a batch, in which the next batch grows
LONGEST_REST = 0.025
SLICE = 0.01  # seconds of long fan-outs between two reads of the outbox
CHECKED = 0.05  # seconds between checks that the log still contains the last event applied
FLAPPING = 5.0  # seconds within which repeated failures at one event may still be an outage
STRETCH = 60.0  # seconds between the two reads of a stretch of followers in a large fan-out, at most

_UNKNOWN = datetime.fromtimestamp(0, UTC)  # the date of an event that comes from a checkpoint


class _Running(NamedTuple):
    """A long event in progress."""

    logged: LoggedEvent
    stream: Stream


class Holder:
    """Delivers to one store while the lease is held. For one thread.

    `name` is the store's, `run` the run id of its servers; events are kept for `keep` seconds; `rest` sleeps between
    batches. Every method raises LostLease, BackendUnavailable and SQLAlchemy's errors; then a new Holder continues from
    the last checkpoint.
    """

    def __init__(
        self,
        timelines: IMaterializedTimelines,
        name: str,
        site: SiteIdentity,
        run: str,
        log_: Log,
        lease: Lease,
        attempts: Attempts,
        keep: float,
        rest: Callable[[float], object] = time.sleep,
        fan_outs: FanOuts | None = None,
    ) -> None:
        self.run = run
        self.log = log_
        self.checkpoint: Checkpoint | None = None  # the last one written
        self._timelines = timelines
        self._store = timelines.store
        self._projector = timelines.projector
        self._fan_outs = fan_outs
        self._projector.begin(self._guard, partial(ChunkedStream, fan_outs) if fan_outs else None)
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
        self._recorded = 0.0  # when it was written to SQL (monotonic)
        self._changed = True  # events were applied since then
        self._checked = 0.0  # when the log was last seen to contain the last event applied (monotonic)

    def begin(self, acquired: float, now: Callable[[], float]) -> None:
        """Continues from the store's checkpoint, from the row in SQL if that is lost, or starts cold.

        `acquired` is when the lease was acquired (monotonic), `now` the database's clock.
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
                # The old holder did not release the lease: it may be alive, and may write until then.
                time.sleep(max(0.0, acquired + self._lease.waits - time.monotonic()))
        if why := why_cold(found, bool(stored or row), self._projector.kinds, self._site, self.log, now() - self._keep):
            log.info("%s starts cold: %s", self._name, why)
            self._start_cold()
        elif found is not None:
            self._position, self._time, self._last = found.position, found.time, found.last
            for each in found.in_flight:
                stream = self._projector.stream(each.event, each.resume)
                self._running.append(_Running(LoggedEvent(each.id, each.number, _UNKNOWN, each.event, None), stream))
            if found.holder and any(isinstance(each.event, TweetCreated) for each in found.in_flight):
                # The old holder may not have read a stretch of followers again: former followers may have the tweet.
                left = self.log.unfollowers_since(found.time - STRETCH)
                self._guard()
                self._store.drop(self._projector.kinds.keys_of_followers(left))

    def _start_cold(self) -> None:
        # Read the log's end first: a backfill before that may lack events committed in between.
        end = self.log.end()
        self._last = self.log.newest()
        self._guard()
        with self._kept():
            self._store.set_checkpoint(COLD)  # stops pages from reading it, even if this process dies
            self._timelines.clear()
        self._position, self._time = end.position, end.time

    def deliver_batch(self) -> float:
        """Applies the new events of the outbox. Returns the seconds to wait until the next call."""
        self._guard()
        if self._fan_outs:
            with self._kept():
                self._fan_outs.look()
        began = time.monotonic()
        room = min(1 if self._attempts.careful else EVENTS, IN_FLIGHT - len(self._running))
        if room <= 0:
            return self._go_on()
        batch = self.log.read(self._position, room)
        self._lease.heard(began)
        if began - self._checked > CHECKED:
            self._checked = began
            if not self.log.knows(self._last):
                log.info("%s starts cold: %s", self._name, RESTORED)
                self._start_cold()
                return 0
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
        moved = self._step()  # the checkpoint must not list for long what ends now
        self._position = batch.position
        if not batch.more:
            self._time = batch.time
        if batch.events or moved or began - self._written >= RENEWED:
            self._write(self._me)
        if batch.more:
            return 0
        if self._running:
            return self._pause()
        if batch.events:
            # The faster events come, the larger are the batches.
            self._rest(min(REST * len(batch.events), LONGEST_REST))
        return max(0.0, min(POLL, RENEWED - (time.monotonic() - self._written)))

    def _go_on(self) -> float:
        """Like `deliver_batch`, but reads no new events: continues the long events in flight."""
        self._step()
        self._write(self._me)
        return self._pause()

    def _pause(self) -> float:
        """The seconds to wait while long events are in flight."""
        return LOOK if self._running and all(each.stream.waits for each in self._running) else 0

    def release(self) -> None:
        """Writes the last checkpoint, without a holder: the next one may begin at once."""
        self._write("")

    def close(self) -> None:
        """Abandons the streams in progress."""
        for each in self._running:
            each.stream.close()

    def _guard(self) -> None:
        """Called before each write to the store: proves the lease if the last proof is too old."""
        if time.monotonic() - self._lease.proven > self._lease.writes:
            self._lease.prove()

    def _kept(self) -> AbstractContextManager[None]:
        """Keeps the lease for a block that may take longer than a holder may be silent."""
        return nullcontext() if self._store.private else self._lease.kept()

    def _apply(self, events: list[LoggedEvent]) -> list[_Running]:
        """Applies a batch; returns the long events, which continue as streams."""
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
                # SQL works: the outbox was just read. If only this event fails repeatedly, it is poison.
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

    def _step(self) -> bool:
        """Does steps of the long events in turns, for SLICE seconds; returns whether any moved on or ended."""
        moved, ends = False, time.monotonic() + SLICE
        while (ready := [each for each in self._running if not each.stream.waits]) and time.monotonic() < ends:
            each = ready[0]
            before = each.stream.resume
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
            moved = moved or not going_on or each.stream.resume != before
            self._running.remove(each)
            if going_on:
                self._running.append(each)
            else:
                self._count(each.logged)
        return moved

    def _poison(self, logged: LoggedEvent, why: str, count: int = 1) -> None:
        """Skips events and makes the whole store cold, because their changes are unknown. Later events are applied."""
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
        """Writes the checkpoint to the store and, every RECORDED seconds, to SQL. `holder` is empty on release."""
        self._sequence += 1
        in_flight = tuple(
            InFlight(each.logged.id, each.logged.number, each.stream.event, each.stream.resume)  # type: ignore[arg-type]
            for each in self._running
        )
        self.checkpoint = Checkpoint(
            VERSION, *self._site, self._sequence, self._time, holder, self._position, self._last, in_flight,
            tuple(self._projector.kinds),
        )  # fmt: skip
        data = encode(self.checkpoint)
        self._guard()
        self._store.set_checkpoint(data)
        self._written = time.monotonic()
        due = self._changed and self._written - self._recorded >= RECORDED
        if not self._store.private and (due or not holder):
            consumers.write(self.log.connection, self._name, data, self.run)
            self._recorded, self._changed = self._written, False
