"""The database's clock, as one process knows it: the clock on which the ages of pages are compared."""

import time
from math import inf

from sqlalchemy import Engine, text

MEASURED = 10.0  # seconds between measurements; two monotonic clocks drift by less than a millisecond in that time


class DatabaseClock:
    """Seconds since 1970 by the database's clock. SQLite uses its host's clock.

    On PostgreSQL it is this process's monotonic clock plus an offset, which `measure` reads in one statement. It is
    never behind the true time. Before the first measurement it returns infinity: everything is too old.
    """

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._local = engine.dialect.name != "postgresql"
        self._offset = inf
        self._measured = -inf

    def __call__(self) -> float:
        return time.time() if self._local else time.monotonic() + self._offset

    def measure(self) -> None:
        """Measures the offset, at most once in MEASURED seconds. Raises SQLAlchemy's errors."""
        began = time.monotonic()
        if self._local or began - self._measured < MEASURED:
            return
        with self._engine.connect() as connection:
            self._offset = connection.execute(_NOW).scalar_one() - began
        self._measured = began


_NOW = text("SELECT extract(epoch FROM clock_timestamp())::float8")
