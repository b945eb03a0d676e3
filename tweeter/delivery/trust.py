"""Whether one process trusts a shared store: until it is known to be right, and after each failure, SQL answers.

This is the circuit breaker (Nygard, "Release It!"); the passes of the relay are its probes, requests never are.
"""

import logging
import time
from collections.abc import Callable, Sequence

from tweeter.interfaces import IMaterializedTimelines
from tweeter.models.outbox import LoggedEvent

log = logging.getLogger(__name__)

PROBATION = 1.0  # seconds that a store which failed has to go without failing; doubled when it fails again soon
LONGEST_PROBATION = 6.0
SOON = 60.0


class Trust:
    """Used by one thread, but for `forgive`. Pages may distrust the timelines at any time by themselves."""

    def __init__(
        self, timelines: IMaterializedTimelines, name: str, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._timelines = timelines
        self._name = name
        self._clock = clock
        self._given = False  # as far as is known here
        self._given_at = self._failed_at = -SOON
        self._probation = 0.0
        self._goal: int | None = None
        self._warned = False  # since it was last trusted

    def lose(self, why: str) -> None:
        """The store failed, or what it holds is not known to be right."""
        if not self._warned:
            log.warning("%s is not trusted: %s", self._name, why)
            self._warned = True
        if self._timelines.trusted:
            self._timelines.distrust()
        self._failed()

    def gain(self, pending: Sequence[LoggedEvent]) -> None:
        """The store works. It answers once it is caught up, and has worked for long enough.

        Caught up is who has all that was pending at the first look; more may be posted all the time.
        """
        if self._timelines.trusted:
            return
        if self._given:  # a page found out that it failed
            self._failed()
        if self._goal is None:
            self._goal = max((logged.id for logged in pending), default=0)
        moment = self._clock()
        if moment - self._failed_at >= self._probation and all(logged.id > self._goal for logged in pending):
            log.info("%s is caught up: it is trusted", self._name)
            self._timelines.trust()
            self._given, self._given_at = True, moment
            self._goal = None
            self._warned = False

    def forgive(self) -> None:
        """Ends the probation: who waits for the store rather asks one that may fail again."""
        self._probation = 0.0

    def _failed(self) -> None:
        """One that changes between well and ill would cost every thread a timeout each time that it is trusted."""
        self._goal = None
        self._failed_at = self._clock()
        if self._given:
            self._given = False
            soon = self._failed_at - self._given_at < SOON
            self._probation = min(max(PROBATION, self._probation * 2 if soon else 0), LONGEST_PROBATION)
