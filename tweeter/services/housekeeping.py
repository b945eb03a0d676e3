"""Background work: counts likes and reposts, prunes the outbox and notifications, ends bulk loads that died, removes
the rows of closed accounts and of deleted tweets, and finishes suspensions and their ends.

Each process has a thread for it, under every backend. It works in chunks, in short transactions; several processes may
work at once.
"""

import logging
import threading
import time
from datetime import timedelta
from functools import partial

from pyramid.config import Configurator
from sqlalchemy.exc import SQLAlchemyError

from tweeter import ids
from tweeter.db.chunks import in_chunks
from tweeter.db.sessions import SessionFactory
from tweeter.models.base import now
from tweeter.outbox import consumers
from tweeter.outbox.site import end_load
from tweeter.services import counters, notifications
from tweeter.services.closing import remove_some, remove_some_of_deleted
from tweeter.services.recounting import recount_some

log = logging.getLogger(__name__)

COUNT_EVERY = 1.0  # seconds
LOOK_EVERY = 15.0
PRUNE_EVERY = 600.0


class Housekeeper:
    """The background thread; starts and stops with the application."""

    def __init__(
        self, sessions: SessionFactory, keep: timedelta, keep_notifications: timedelta = timedelta(days=90)
    ) -> None:
        self._sessions = sessions
        self._keep = keep
        self._keep_notifications = keep_notifications
        self._pruned = -PRUNE_EVERY
        self._tidied = -LOOK_EVERY
        self._reset()

    def _reset(self) -> None:
        self._awake = threading.Event()
        self._stopped = threading.Event()
        self._passed = threading.Condition()
        self._begun = self._done = 0  # passes
        self._thread: threading.Thread | None = None

    def restart(self) -> None:
        """Called in a forked process, which does not have its parent's thread."""
        self._reset()
        self.start()

    def start(self) -> None:
        """Starts the thread unless it is running."""
        if self._thread is None:
            self._awake.set()  # first pass at once: another process may have been killed during its work
            self._thread = threading.Thread(target=self._run, name="housekeeping", daemon=True)
            self._thread.start()

    def wake(self, patience: float) -> None:
        """Called after an account was closed. Waits until its rows are removed, `patience` seconds at most."""
        with self._passed:
            goal = self._begun + 1  # the current pass may have missed the account
            self._awake.set()  # under the lock, so that a pass that begins now does not clear it unseen
            self._passed.wait_for(lambda: self._done >= goal, patience)

    def stop(self) -> None:
        """Ends the thread after its current chunk."""
        self._stopped.set()
        self._awake.set()
        if self._thread is not None:
            self._thread.join()

    def _run(self) -> None:
        while not self._stopped.is_set():
            self._awake.wait(COUNT_EVERY)
            with self._passed:
                called = self._awake.is_set()
                self._awake.clear()
                self._begun += 1
            try:
                if counters.due(self._sessions):
                    sum(in_chunks(self._sessions, counters.count_some, self._goes_on))
                if called or time.monotonic() - self._tidied > LOOK_EVERY:
                    self._tidied = time.monotonic()
                    self.tidy()
            except SQLAlchemyError as error:
                log.warning("housekeeping is postponed: %s", getattr(error, "orig", error))
            except Exception:
                log.exception("housekeeping failed")
            with self._passed:
                self._done = self._begun
                self._passed.notify_all()

    def tidy(self) -> None:
        """Does one pass of all work that is due."""
        end_load(self._sessions, dead=True)
        removed = sum(in_chunks(self._sessions, remove_some, self._goes_on))
        removed += sum(in_chunks(self._sessions, remove_some_of_deleted, self._goes_on))
        if removed:
            log.info("%d rows of closed accounts and deleted tweets removed", removed)
        if recounted := sum(in_chunks(self._sessions, recount_some, self._goes_on)):
            log.info("%d rows of suspended or returning accounts looked at", recounted)
        with self._sessions() as session:
            groups = notifications.overfull_groups(session)
        for group in groups:
            sum(in_chunks(self._sessions, partial(notifications.remove_surplus, group=group), self._goes_on))
        if time.monotonic() - self._pruned > PRUNE_EVERY:
            self._pruned = time.monotonic()
            prune = partial(consumers.prune, keep=self._keep)
            pruned = sum(in_chunks(self._sessions, prune, self._goes_on))
            log.info("%d old events removed from the outbox", pruned)
            before_id = ids.first_id(now() - self._keep_notifications)
            remove = partial(notifications.remove_old, before_id=before_id)
            removed = sum(in_chunks(self._sessions, remove, self._goes_on))
            log.info("%d old notifications removed", removed)

    def _goes_on(self) -> bool:
        return not self._stopped.is_set()


def includeme(config: Configurator) -> None:
    """Adds "housekeeper" to the registry."""
    keep = timedelta(hours=config.get_settings()["tweeter.outbox.keep_hours"])
    keep_notifications = timedelta(days=config.get_settings()["tweeter.notifications.keep_days"])
    config.registry["housekeeper"] = Housekeeper(config.registry.database.sessions, keep, keep_notifications)
