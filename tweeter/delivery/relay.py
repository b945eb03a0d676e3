"""Delivering the outbox to a store that several processes share.

Every process has a thread that looks for what is to be delivered; one at a time does it. It also decides, for its own
process, whether the store can be trusted (`trust.py`): a store that was away is answered for by SQL until it has been
caught up.
"""

import logging
import threading
import time
from collections import deque
from contextlib import nullcontext
from datetime import timedelta

from sqlalchemy.exc import SQLAlchemyError

from tweeter.delivery.progress import LONGEST_BACKLOG, LostHold, Progress, State
from tweeter.delivery.trust import Trust
from tweeter.errors import BackendUnavailable
from tweeter.interfaces import IMaterializedTimelines
from tweeter.metrics import count_delivery, show_pending
from tweeter.models.meta import SessionFactory
from tweeter.models.outbox import LoggedEvent, LogReader
from tweeter.models.site import end_load, site_id
from tweeter.values import Reloaded, Truncated

log = logging.getLogger(__name__)

LOOK_EVERY = 0.5  # seconds between looks for what other processes left undelivered
BEAT = 2.0  # seconds between its signs of life
STUCK = timedelta(seconds=5)  # without progress, though something is pending
REST = timedelta(minutes=10)  # after which the one row tells anew that nothing was missed
WAKE_PATIENCE = 0.2  # seconds that a post waits for its own delivery, so that its author sees it


class OtherSite(Exception):
    """The database has another site id than the store was told."""


class Relay:
    """The deliverer of one shared store in one process."""

    def __init__(self, sessions: SessionFactory, timelines: IMaterializedTimelines, keep: timedelta) -> None:
        self._sessions = sessions
        self._timelines = timelines
        self._keep = keep
        self._row = Progress(sessions, timelines.identity)
        self._name = self._row.name
        self._site = ""
        self._incarnation = ""
        self._trust = Trust(timelines, self._name)
        self._awake = threading.Event()
        self._stopped = threading.Event()
        self._passed = threading.Condition()
        self._begun = self._done = 0  # passes
        self._thread: threading.Thread | None = None
        self._starting = threading.Lock()

    # what a request, a command or a test asks of it

    def start(self) -> None:
        """Starts the thread, unless it runs."""
        if self._thread is None:
            with self._starting:
                if self._thread is None and not self._stopped.is_set():
                    self._awake.set()  # the first pass at once: until it has looked, SQL answers
                    self._thread = threading.Thread(target=self._run, name=f"relay {self._name}", daemon=True)
                    self._thread.start()

    def wake(self, patience: float = WAKE_PATIENCE) -> bool:
        """Has a pass begin now, and waits for its end, `patience` seconds at most. True if it came."""
        self.start()
        with self._passed:
            goal = self._begun + 1  # the pass that runs now may have read the log already
            self._awake.set()
            return self._passed.wait_for(lambda: self._done >= goal or not self._timelines.trusted, patience)

    def forgive(self) -> None:
        """As of Trust."""
        self._trust.forgive()

    def stop(self) -> None:
        self._stopped.set()
        self._awake.set()
        if self._thread is not None:
            self._thread.join()

    def observe(self) -> None:
        """Brings the metrics of what is pending up to date."""
        state = self._row.look()
        show_pending(self._timelines.name, [logged.date for logged in state.pending] if state else ())

    def drained(self) -> bool:
        """Everything committed until now is delivered, and this process trusts the store."""
        state = self._row.look()
        return bool(self._timelines.trusted and state and state.site_id == self._site and not state.pending)

    # the thread

    def _run(self) -> None:
        while not self._stopped.is_set():
            self._awake.wait(LOOK_EVERY)
            self._awake.clear()
            with self._passed:
                self._begun += 1
            try:
                if self.step():
                    self._awake.set()
            except SQLAlchemyError as error:
                log.warning("the outbox can't be read: %s", error)
            except Exception:
                log.exception("delivery to %s failed", self._name)
            with self._passed:
                self._done = self._begun
                self._passed.notify_all()

    def step(self) -> bool:
        """One pass: delivers what is pending, unless another process does; if there was nothing, judges the store.

        True if it delivered. Then more may have come meanwhile.
        """
        try:
            if not self._site:
                site = site_id(self._sessions)
                self._timelines.set_site(site)
                self._site = site
            incarnation = self._timelines.incarnation()
            if incarnation != self._incarnation:
                if self._incarnation:
                    self._trust.lose("it was started again")
                self._timelines.expect(incarnation)
                self._incarnation = incarnation
            state = self._look()
            if state.load_died:
                end_load(self._sessions, dead=True)
                return True
            while self._due(state, incarnation):
                if self._row.hold(state):
                    self._deliver(state, incarnation)
                    return True
                before, state = state, self._look()
                if before.row == state.row:
                    break  # another process is at it
        except BackendUnavailable as error:
            self._trust.lose(str(error))
            return False
        except OtherSite as error:
            self._trust.lose(str(error))
            self._site = self._incarnation = ""
            return True
        except LostHold:
            return False
        if state.incarnation != incarnation or state.restored:
            self._trust.lose("it came back, or the database did, and what it holds is not known to be right yet")
        elif state.waiting > STUCK:
            self._trust.lose("events are not delivered to it")
        else:
            self._trust.gain(state.pending)
        return False

    # delivering

    def _look(self) -> State:
        """How things stand. Tells the store, where it does not know: after deliveries, and when it forgot."""
        delivered = self._timelines.position()
        state = self._row.look(delivered) or self._row.enter()
        if state.site_id != self._site:
            raise OtherSite("the database has another site id now")
        if delivered < state.mark and state.incarnation == self._incarnation and not state.restored:
            self._timelines.note(state.mark)
        return state

    def _due(self, state: State, incarnation: str) -> bool:
        return bool(state.pending) or state.incarnation != incarnation or state.idle > REST or state.restored

    def _deliver(self, state: State, incarnation: str) -> None:
        """Delivers what the state tells, and ceases to be the one who does."""
        try:
            if why := self._unknown(state, incarnation):
                log.info("%s starts cold: %s", self._name, why)
                self._start_cold(incarnation)
            else:
                through_all = any(isinstance(logged.event, Truncated | Reloaded) for logged in state.pending)
                with self._row.kept() if through_all else nullcontext():
                    self._apply(state.pending)
                state.reader.advance(state.log)
                self._row.note(position=state.reader.position, seen=state.reader.seen, holder="")
        except BaseException:
            self._row.release()
            raise

    def _unknown(self, state: State, incarnation: str) -> str:
        """Why nothing is known of what the store holds; empty where it lacks the pending events and nothing else."""
        if not state.incarnation:
            return "it is new to this database, or an earlier cold start was interrupted"
        if state.incarnation != incarnation:
            return "its server was started again, or is another one"
        if state.restored:
            return (
                "the database was restored from a backup, or another copy of it uses the store (tweeter site-id --new)"
            )
        if state.idle > self._keep / 2:
            # They may have been deleted.
            return f"events were not delivered to it for {state.idle.total_seconds() / 3600:.1f} hours"
        if len(state.pending) >= LONGEST_BACKLOG:
            return f"{LONGEST_BACKLOG:,} events or more are pending, and to apply them costs more"
        return ""

    def _start_cold(self, incarnation: str) -> None:
        self._row.note(incarnation="")
        reader = LogReader()
        with self._sessions() as session:
            reader.begin(session)
        # In this order: what was filled before the log's end was read may lack what came between.
        with self._row.kept():
            self._timelines.clear()
        self._row.note(incarnation=incarnation, position=reader.position, seen=reader.seen, holder="")

    def _apply(self, events: list[LoggedEvent]) -> None:
        """All of the events, each a step at a time in turn: nobody waits for a celebrity's followers."""
        running = deque((logged, self._timelines.deliver(logged.event)) for logged in events)
        beaten = time.monotonic()
        while running:
            logged, steps = running.popleft()
            try:
                next(steps)
                running.append((logged, steps))
            except StopIteration:
                count_delivery(self._timelines.name, logged.event, logged.date, logged.request_id)
            except (BackendUnavailable, SQLAlchemyError):
                raise
            except Exception:
                # It would fail again, and everything behind it would wait for ever.
                log.exception("%s starts cold: event %d could not be delivered", self._name, logged.id)
                self._timelines.clear()
            if time.monotonic() - beaten > BEAT:
                self._row.note()
                beaten = time.monotonic()
