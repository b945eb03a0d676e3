"""The lease of a shared store: it elects one relay of all processes to deliver, for as long as that relay lives.

PostgreSQL: a session-level advisory lock on a connection of its own. It is released when the process dies. The holder
reads the outbox over the same connection, so each read proves that the lock is held, and the server knows the time of
the holder's last statement; the next candidate ends the session of a silent holder (stopped, or cut off). Behind a
transaction pooler clients share sessions; a row lease on the database's clock is used instead.

SQLite: a lock on a file beside the database. It is released when the process dies.

The lease does not fence writes to the store, so three rules apply. The holder writes only within `WRITES` seconds of
its last proof. A new holder waits that long before it writes, unless the old one released the lease. A holder that was
stopped in between and wrote too late drops the timelines it wrote (see `tweeter.timelines.projector`).
"""

import os
import threading
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from typing import Any, Protocol

from sqlalchemy import Connection, Engine, TextClause
from sqlalchemy.exc import SQLAlchemyError

WRITES = 0.4  # seconds after a proof of the lease within which the holder may write
SILENT = 0.8  # seconds without a statement, after which a candidate ends the holder's session
ROW = 1.0  # seconds that a row lease lasts


class LostLease(Exception):
    """The lease is no longer held."""


class Lease(Protocol):
    """A lease of one store. Not thread-safe."""

    def acquire(self) -> Connection | None:
        """Tries to get the lease. Returns the connection to read the outbox with, in autocommit; None if it is held."""

    @property
    def writes(self) -> float:
        """Seconds after a proof within which the holder may write to the store."""

    @property
    def waits(self) -> float:
        """Seconds that a new holder waits after acquisition before it writes, unless the old one released the lease."""

    @property
    def proven(self) -> float:
        """The time (monotonic) just before the last proof."""

    def heard(self, began: float) -> None:
        """Reports a successful statement over the connection that began then (monotonic): it may count as a proof."""

    def prove(self) -> None:
        """Proves that the lease is held now. Raises LostLease."""

    def kept(self) -> AbstractContextManager[None]:
        """Keeps the lease during a block that may run long without a statement and does not use the lease itself."""

    def release(self) -> None:
        """Releases the lease for the next candidate. Does nothing if it is not held."""

    def abandon(self) -> None:
        """Called in a forked process: the lease stays the parent's, and ends with the parent."""


class Held:
    """Base class of leases: a connection while the lease is held, and the time of the last proof."""

    writes = WRITES
    waits = WRITES

    def __init__(self, engine: Engine, name: str) -> None:
        self._engine = engine
        self._name = name
        self._connection: Connection | None = None
        self._proven = 0.0
        self._using = threading.RLock()  # the connection
        self._keeping = False
        self._keeper: threading.Thread | None = None
        self._over = threading.Event()

    @property
    def proven(self) -> float:
        return self._proven

    def heard(self, began: float) -> None:
        self._proven = began

    def prove(self) -> None:
        """See Lease."""

    def abandon(self) -> None:
        if self._connection is not None and self._engine.dialect.name == "postgresql":
            # Otherwise the server would keep the parent's session. psycopg does not use the parent's socket here.
            os.close(self._connection.connection.dbapi_connection.pgconn.socket)  # type: ignore[union-attr]

    @contextmanager
    def kept(self) -> Iterator[None]:
        if self._keeper is None:
            self._keeper = threading.Thread(target=self._keep, name=f"lease of {self._name}", daemon=True)
            self._keeper.start()
        self._keeping = True
        try:
            yield
        finally:
            with self._using:
                self._keeping = False

    def _keep(self) -> None:
        while not self._over.wait(WRITES / 4):
            if time.monotonic() - self._proven > WRITES / 2:
                with self._using, suppress(LostLease):
                    if self._keeping:
                        self.prove()

    def release(self) -> None:
        """See Lease."""
        self._over.set()
        if self._keeper is not None:
            self._keeper.join()
        self._close()

    def _close(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            with suppress(SQLAlchemyError):
                connection.close()

    def _execute(self, statement: TextClause, **values: object) -> Any:
        """Returns the statement's first value. A database error closes the connection, which ends the lease."""
        with self._using:
            try:
                if self._connection is None:
                    self._connection = self._engine.connect()
                return self._connection.execute(statement, values).scalar()
            except SQLAlchemyError:
                self._close()
                raise
