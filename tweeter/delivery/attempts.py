"""Counts failed attempts, and decides when an event is poison."""

import time

from sqlalchemy.exc import DBAPIError, InterfaceError, OperationalError

from tweeter.errors import BackendUnavailable
from tweeter.outbox.log import LoggedEvent

ATTEMPTS = 3  # per event; then it is poison


class Attempts:
    """Failed attempts, also those under earlier leases: a failed batch is tried again one event at a time."""

    def __init__(self) -> None:
        self.careful = 0  # events still to be applied one at a time
        self.under_way = 0  # events that are being applied
        self._tried: dict[int, tuple[int, float]] = {}  # by event id: attempts, and the first one's monotonic time

    def failed(self) -> None:
        """A batch failed; any of its events may be the cause."""
        self.careful, self.under_way = max(self.careful, self.under_way), 0

    def exhausted(self, logged: LoggedEvent, seconds: float = 0.0) -> bool:
        """Counts an attempt at this event; true from the third on if the first is at least `seconds` ago."""
        count, began = self._tried.get(logged.id, (0, time.monotonic()))
        self._tried[logged.id] = (count + 1, began)
        return count + 1 >= ATTEMPTS and time.monotonic() - began >= seconds

    def forget(self, logged: LoggedEvent) -> None:
        self._tried.pop(logged.id, None)


def is_outage(error: Exception) -> bool:
    """Whether the error looks like an outage of the store or of SQL. If one event keeps causing it, that is poison."""
    if isinstance(error, DBAPIError) and error.connection_invalidated:
        return True
    return isinstance(error, BackendUnavailable | OperationalError | InterfaceError)
