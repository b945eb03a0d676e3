"""Who delivers to a shared store: one relay of all processes, for as long as it lives.

PostgreSQL: a session-level advisory lock on a connection of its own. It is free as soon as the process dies. The
holder reads the outbox over the same connection, so each read proves that the lock is still held, and the server knows
when the holder was last heard of; one that is silent (stopped, or cut off) is ended by the next candidate. Behind a
transaction pooler clients share sessions, and a row lease on the database's clock serves.

SQLite: a lock on a file beside the database. It is free as soon as the process dies.

The lease does not fence writes to the store, so the holder keeps three rules. It writes only within `WRITES` seconds of
its last proof. A new holder waits that long before it writes, unless the old one released the lease. What a holder
wrote too late all the same, because it was stopped in between, it drops (see `tweeter.timelines.projector`).
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
    """Not for two threads at once."""

    def acquire(self) -> Connection | None:
        """The connection to read the outbox with, in autocommit, if nobody else holds the lease."""

    @property
    def writes(self) -> float:
        """Seconds after a proof within which the holder may write to the store."""

    @property
    def waits(self) -> float:
        """Seconds after it got the lease that a new holder waits before it writes, unless the old one released it."""

    @property
    def proven(self) -> float:
        """The time (monotonic) before the last proof."""

    def heard(self, began: float) -> None:
        """A statement over the connection succeeded that began then (monotonic): that may be a proof."""

    def prove(self) -> None:
        """Proves that the lease is held, now. Raises LostLease."""

    def kept(self) -> AbstractContextManager[None]:
        """Keeps the lease for a block that may take long without a statement. Nothing else may use it meanwhile."""

    def release(self) -> None:
        """Lets the next one have it at once. Does nothing where it is not held."""

    def abandon(self) -> None:
        """In a forked process: the lease stays the parent's, and ends with the parent."""


class Held:
    """What all leases have in common: a connection while the lease is held, and the time of the last proof."""

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
        """As of Lease."""

    def abandon(self) -> None:
        if self._connection is not None and self._engine.dialect.name == "postgresql":
            # Or the server would think that the parent lives. psycopg never touches it: it was made by the parent.
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
        """As of Lease."""
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
        """The statement's first value. An error of the database closes the connection, and so ends the lease."""
        with self._using:
            try:
                if self._connection is None:
                    self._connection = self._engine.connect()
                return self._connection.execute(statement, values).scalar()
            except SQLAlchemyError:
                self._close()
                raise
