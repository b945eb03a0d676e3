"""Who delivers to a shared store: one relay of all processes, for as long as it lives.

PostgreSQL: a session-level advisory lock on a connection of its own. It is free as soon as the process dies. The
holder reads the outbox over the same connection, so each read proves that the lock is still held, and the server knows
when the holder was last heard of; one that is silent (stopped, or cut off) is ended by the next candidate. Behind a
transaction pooler a session is nobody's own, and a row lease on the database's clock serves.

SQLite: a lock on a file beside the database. It is free as soon as the process dies.

The lease does not fence writes to the store, so the holder keeps three rules. It writes only within `WRITES` seconds of
its last proof. A new holder waits that long before it writes, unless the old one released the lease. What a holder
wrote too late all the same, because it was stopped in between, it drops (see `tweeter.timelines.projector`).
"""

import fcntl
import hashlib
import os
import secrets
import threading
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from math import inf
from pathlib import Path
from typing import Any, Protocol

from sqlalchemy import Connection, Engine, TextClause, text
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


class _Held:
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


class AdvisoryLease(_Held):
    """A session's advisory lock on PostgreSQL."""

    def __init__(self, engine: Engine, name: str) -> None:
        super().__init__(engine, name)
        self._key = int.from_bytes(hashlib.sha256(name.encode()).digest()[:8], signed=True)

    def acquire(self) -> Connection | None:
        began = time.monotonic()
        if not self._execute(_TRY_LOCK, key=self._key):
            self._execute(_END_SILENT, key=self._key, silent=SILENT)
            return None
        self._proven = began
        return self._connection

    def prove(self) -> None:
        began = time.monotonic()
        try:
            held = self._connection is not None and self._execute(_HAVE_LOCK, key=self._key)
        except SQLAlchemyError as error:
            raise LostLease(self._name) from error
        if not held:
            self._close()
            raise LostLease(self._name)
        self._proven = began


class RowLease(_Held):
    """A row of `consumers` on PostgreSQL, for where a transaction pooler lends sessions to everybody."""

    writes = ROW - 0.4
    waits = 0.0  # the row lasts longer than the old holder may write

    def heard(self, began: float) -> None:
        """A statement of a pooled session proves nothing."""

    def __init__(self, engine: Engine, name: str) -> None:
        super().__init__(engine, name)
        self._me = secrets.token_hex(8)

    def acquire(self) -> Connection | None:
        began = time.monotonic()
        if not self._execute(_TAKE_ROW, name=self._name, me=self._me, seconds=ROW):
            return None
        self._proven = began
        return self._connection

    def prove(self) -> None:
        if time.monotonic() - self._proven < self.writes / 2:
            return
        try:
            held = self.acquire()
        except SQLAlchemyError as error:
            raise LostLease(self._name) from error
        if not held:
            raise LostLease(self._name)

    def release(self) -> None:
        if self._connection is not None:
            with suppress(SQLAlchemyError):
                self._execute(_GIVE_ROW, name=self._name, me=self._me)
        super().release()


class FileLease(_Held):
    """A lock on a file beside the SQLite database. A stopped holder keeps it; SQL serves the pages until it goes on."""

    def __init__(self, engine: Engine, name: str) -> None:
        super().__init__(engine, name)
        digest = hashlib.sha256(name.encode()).hexdigest()[:16]
        database = engine.url.database or ""
        self._path = None if database in {"", ":memory:"} else Path(f"{database}-relay-{digest}")
        self._file: int | None = None

    def acquire(self) -> Connection | None:
        began = time.monotonic()
        if self._path is not None and self._file is None:
            file = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                os.close(file)
                return None
            self._file = file
        self._execute(text("SELECT 1"))
        self._proven = began
        return self._connection

    def prove(self) -> None:
        """The kernel takes the lock from nobody."""
        self._proven = time.monotonic()

    def abandon(self) -> None:
        if self._file is not None:
            os.close(self._file)

    def release(self) -> None:
        super().release()
        if self._file is not None:
            os.close(self._file)
            self._file = None


class NoLease(_Held):
    """For a store that belongs to one process."""

    writes = inf

    def acquire(self) -> Connection | None:
        self._execute(text("SELECT 1"))
        return self._connection

    def prove(self) -> None:
        """Nobody else can have it."""


def make_lease(engine: Engine, name: str) -> Lease:
    """The kind of lease that fits the database; `name` is the store's. May connect: raises SQLAlchemy's errors."""
    if engine.dialect.name != "postgresql":
        return FileLease(engine, name)
    return RowLease(engine, name) if behind_pooler(engine) else AdvisoryLease(engine, name)


def behind_pooler(engine: Engine) -> bool:
    """Whether a pooler stands between: it tells its clients another process id than the server's own."""
    with engine.connect() as connection:
        told = connection.connection.dbapi_connection.info.backend_pid  # type: ignore[union-attr]
        return told != connection.execute(text("SELECT pg_backend_pid()")).scalar_one()


# An advisory lock with one key is shown as its two halves.
_LOCK = """
    locktype = 'advisory' AND database = (SELECT oid FROM pg_database WHERE datname = current_database())
    AND objsubid = 1 AND (classid::int8 << 32 | objid::int8) = :key
"""
_TRY_LOCK = text("SELECT pg_try_advisory_lock(:key)")
_HAVE_LOCK = text(f"SELECT count(*) FROM pg_locks WHERE {_LOCK} AND pid = pg_backend_pid()")  # noqa: S608
# The holder's last statement is its heartbeat, on the server's own clock; one that still runs is none of its making.
_END_SILENT = text(
    f"""
    SELECT pg_terminate_backend(pid) FROM pg_locks JOIN pg_stat_activity AS holder USING (pid)
    WHERE {_LOCK} AND granted AND clock_timestamp() - holder.state_change > make_interval(secs => :silent)
      AND (holder.state <> 'active' OR holder.wait_event_type = 'Client')
    """  # noqa: S608
)
_TAKE_ROW = text(
    """
    INSERT INTO consumers (name, checkpoint, holder, held_until, date)
    VALUES (:name, '', :me, clock_timestamp() + make_interval(secs => :seconds), clock_timestamp())
    ON CONFLICT (name) DO UPDATE SET holder = excluded.holder, held_until = excluded.held_until
    WHERE consumers.holder IN ('', :me) OR consumers.held_until < clock_timestamp()
    RETURNING 1
    """
)
_GIVE_ROW = text("UPDATE consumers SET holder = '' WHERE name = :name AND holder = :me")
