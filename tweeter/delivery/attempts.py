"""What failed before, and when that makes an event poison."""

import time

from sqlalchemy.exc import DBAPIError, InterfaceError, OperationalError

from tweeter.delivery.position import LoggedEvent
from tweeter.errors import BackendUnavailable

ATTEMPTS = 3  # at an event, after which it is poison


class Attempts:
    """What failed before, also under an earlier lease: a batch that failed is tried again one event at a time."""

    def __init__(self) -> None:
        self.careful = 0  # events still to be applied one at a time
        self.under_way = 0  # events that are being applied
        self._tried: dict[int, tuple[int, float]] = {}  # how often, and since when (monotonic), by the event's id

    def failed(self) -> None:
        """Something failed, and if it was an event it is not known which."""
        self.careful, self.under_way = max(self.careful, self.under_way), 0

    def exhausted(self, logged: LoggedEvent, seconds: float = 0.0) -> bool:
        """Counts an attempt at this event; true where it was the third, and the first is so many seconds ago."""
        count, began = self._tried.get(logged.id, (0, time.monotonic()))
        self._tried[logged.id] = (count + 1, began)
        return count + 1 >= ATTEMPTS and time.monotonic() - began >= seconds

    def forget(self, logged: LoggedEvent) -> None:
        self._tried.pop(logged.id, None)


def is_outage(error: Exception) -> bool:
    """Whether the store or SQL fails, and not the event; unless it is always the same event's."""
    if isinstance(error, DBAPIError) and error.connection_invalidated:
        return True
    return isinstance(error, BackendUnavailable | OperationalError | InterfaceError)
