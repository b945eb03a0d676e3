"""Decides whether pages read a store: a circuit breaker (Nygard, "Release It!") for each store of a process.

    STARTING ── the relay reached the store ──▶ CLOSED ◀──────────────────── it worked for a while ─────┐
        │                                         │ a page or the relay fails                            │
        └──────────────── failure ──────────────▶ OPEN ── the relay reaches it again ──▶ HALF_OPEN ──────┘
                                                  ▲                                          │ failure
                                                  └──────────────────────────────────────────┘

Pages read one attribute, `closed`. Requests never probe: the relay's thread does.
"""

import logging
import threading
import time
from collections.abc import Callable
from enum import Enum

from tweeter.metrics import CIRCUIT_CLOSED, CIRCUIT_OPENED

log = logging.getLogger("tweeter.delivery.circuit")

HALF_OPEN = 1.0  # seconds that a failed store must work before the circuit closes; doubled if it fails again soon
LONGEST_HALF_OPEN = 6.0
SOON = 60.0


class State(Enum):
    STARTING = "starting"
    CLOSED = "closed"
    OPEN = "open"
    HALF_OPEN = "half-open"


class Circuit:
    """The circuit of one store. Any thread may report a failure; one thread probes."""

    def __init__(self, name: str, clock: Callable[[], float] = time.monotonic) -> None:
        self.name = name
        self.closed = False
        self.optional = False  # the site works as configured if the store is not running: no warning at the start
        self.state = State.STARTING
        self.failures = 0  # ever
        self._clock = clock
        self._lock = threading.Lock()
        self._since = clock()  # of the state
        self._half_open = 0.0
        self._closed_at = -SOON
        CIRCUIT_CLOSED.labels(name).set(0)

    def failed(self, why: str) -> None:
        """The store cannot be read or written: opens the circuit, so SQL serves the pages."""
        with self._lock:
            self.failures += 1
            if self.state is State.CLOSED:
                CIRCUIT_OPENED.labels(self.name).inc()
                soon = self._clock() - self._closed_at < SOON
                self._half_open = min(max(HALF_OPEN, self._half_open * 2 if soon else 0), LONGEST_HALF_OPEN)
            if self.state is not State.OPEN:
                level = logging.DEBUG if self.optional and self.state is State.STARTING else logging.WARNING
                log.log(level, "%s: circuit open, SQL serves its pages: %s", self.name, why)
            self._enter(State.OPEN)

    def succeeded(self) -> None:
        """A probe reached the store, and it can be read and written."""
        with self._lock:
            if self.state is State.OPEN:
                self._enter(State.HALF_OPEN)
            if self.state is State.STARTING or (
                self.state is State.HALF_OPEN and self._clock() - self._since >= self._half_open
            ):
                self._enter(State.CLOSED)
                self._closed_at = self._since
                log.info("%s: circuit closed, the store serves its pages", self.name)

    def skip_half_open(self) -> None:
        """Closes at the next probe, for a caller that prefers the risk of another failure to waiting."""
        self._half_open = 0.0

    def abandon(self) -> None:
        """Called in a forked process: replaces the lock, which a thread of the parent may have held."""
        self._lock = threading.Lock()

    def _enter(self, state: State) -> None:
        self.state = state
        self._since = self._clock()
        self.closed = state is State.CLOSED
        CIRCUIT_CLOSED.labels(self.name).set(self.closed)
