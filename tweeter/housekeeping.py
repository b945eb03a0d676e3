"""What nobody waits for: old events leave the outbox, and closed accounts their tables. A thread of each process.

It works in chunks, in short transactions. Every process may do it; what is done by one is not there for the others.
"""

import logging
import threading
import time
from datetime import timedelta
from functools import partial

from pyramid.config import Configurator
from sqlalchemy.exc import SQLAlchemyError

from tweeter.chunks import in_chunks
from tweeter.closing import remove_some
from tweeter.models import outbox
from tweeter.models.meta import SessionFactory

log = logging.getLogger(__name__)

LOOK_EVERY = 60.0  # seconds
PRUNE_EVERY = 3600.0


class Housekeeper:
    """Starts with the first request, and stops with the site."""

    def __init__(self, sessions: SessionFactory, keep: timedelta) -> None:
        self._sessions = sessions
        self._keep = keep
        self._pruned = -PRUNE_EVERY
        self._awake = threading.Event()
        self._stopped = threading.Event()
        self._passed = threading.Condition()
        self._begun = self._done = 0  # passes
        self._thread: threading.Thread | None = None
        self._starting = threading.Lock()

    def start(self) -> None:
        """Starts the thread, unless it runs."""
        if self._thread is None:
            with self._starting:
                if self._thread is None and not self._stopped.is_set():
                    self._awake.set()  # the first pass at once: another process may have been killed in the middle
                    self._thread = threading.Thread(target=self._run, name="housekeeping", daemon=True)
                    self._thread.start()

    def wake(self, patience: float) -> None:
        """An account was closed. Waits until its rows are removed, `patience` seconds at most."""
        self.start()
        with self._passed:
            goal = self._begun + 1  # the pass that runs now may have looked already
            self._awake.set()
            self._passed.wait_for(lambda: self._done >= goal, patience)

    def stop(self) -> None:
        """Ends the thread after the chunk that it is at."""
        self._stopped.set()
        self._awake.set()
        if self._thread is not None:
            self._thread.join()

    def _run(self) -> None:
        while not self._stopped.is_set():
            self._awake.wait(LOOK_EVERY)
            self._awake.clear()
            with self._passed:
                self._begun += 1
            try:
                self.tidy()
            except SQLAlchemyError as error:
                log.warning("housekeeping has to wait: %s", error)
            except Exception:
                log.exception("housekeeping failed")
            with self._passed:
                self._done = self._begun
                self._passed.notify_all()

    def tidy(self) -> None:
        """One pass: all that is to be done now."""
        removed = sum(in_chunks(self._sessions, remove_some, self._goes_on))
        if removed:
            log.info("%d rows of closed accounts removed", removed)
        if time.monotonic() - self._pruned > PRUNE_EVERY:
            self._pruned = time.monotonic()
            prune = partial(outbox.prune, older_than=self._keep)
            pruned = sum(in_chunks(self._sessions, prune, self._goes_on))
            log.info("%d old events removed from the outbox", pruned)

    def _goes_on(self) -> bool:
        return not self._stopped.is_set()


def includeme(config: Configurator) -> None:
    """Adds "housekeeper" to the registry."""
    keep = timedelta(hours=config.get_settings()["tweeter.outbox.keep_hours"])
    config.registry["housekeeper"] = Housekeeper(config.registry["sessions"], keep)
