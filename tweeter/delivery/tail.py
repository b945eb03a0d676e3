"""Reading the outbox as a log, for timelines that live in one process."""

import logging
import threading
import time
from datetime import timedelta

from sqlalchemy.exc import SQLAlchemyError

from tweeter.interfaces import IMaterializedTimelines
from tweeter.metrics import count_delivery, show_pending
from tweeter.models import outbox
from tweeter.models.meta import SessionFactory

log = logging.getLogger(__name__)

# So many events at once cost more to apply than what they change costs to fill again.
LONGEST_BACKLOG = 2_000


class Tail:
    """Applies to one process's timelines what any process committed, each event at least once, oldest first.

    It begins at the end of the log with everything cold, and does so again whenever it was away too long.
    """

    def __init__(self, sessions: SessionFactory, timelines: IMaterializedTimelines, keep: timedelta) -> None:
        self._sessions = sessions
        self.timelines = timelines
        self._longest_absence = keep.total_seconds() / 2  # events that it has not seen may have been deleted after that
        self._lock = threading.Lock()
        self._reader: outbox.LogReader | None = None
        self._caught_up = 0.0

    def observe(self) -> None:
        """Brings the metrics of what is pending up to date: after catching up nothing is."""
        self.catch_up()
        show_pending(self.timelines.name, ())

    def catch_up(self, patience: float = -1) -> bool:
        """Applies what is new. Of several threads one does it, the others wait for it, `patience` seconds at most.

        False when that was not long enough. Raises SQLAlchemy's errors when the log can't be read; then nothing is
        lost, and the next call begins where this one did.
        """
        if not self._lock.acquire(timeout=patience):
            return False
        try:
            self._catch_up()
        finally:
            self._lock.release()
        return True

    def _catch_up(self) -> None:
        now = time.time()
        if self._reader is None:
            self._reader = self._begin("this process is new")
        elif not self.timelines.trusted:
            self._reader = self._begin("it was not trusted")
        elif now - self._caught_up > self._longest_absence:
            self._reader = self._begin(f"it read no events for {(now - self._caught_up) / 3600:.1f} hours")
        else:
            with self._sessions() as session:
                new = self._reader.read(session, LONGEST_BACKLOG)
            if len(new.events) == LONGEST_BACKLOG:
                self._reader = self._begin(f"it is {LONGEST_BACKLOG:,} events or more behind")
            elif new.events:
                self._apply(new.events)
                self._reader.advance(new)
        self._caught_up = now

    def _begin(self, why: str) -> outbox.LogReader:
        log.info("%s starts cold: %s", self.timelines.name, why)
        reader = outbox.LogReader()
        with self._sessions() as session:
            reader.begin(session)
        # In this order: what was filled before the log's end was read may lack what came between.
        self.timelines.clear()
        self.timelines.trust()
        return reader

    def _apply(self, events: list[outbox.LoggedEvent]) -> None:
        for logged in events:
            try:
                for _ in self.timelines.deliver(logged.event):
                    pass
                count_delivery(self.timelines.name, logged.event, logged.date, logged.request_id)
            except SQLAlchemyError:
                raise
            except Exception:
                # It would fail again, and everything behind it would wait for ever.
                log.exception("%s starts cold: event %d could not be applied", self.timelines.name, logged.id)
                self.timelines.clear()
