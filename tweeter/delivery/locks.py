"""The kinds of leases: a session lock on PostgreSQL, a row behind a transaction pooler, a file lock on SQLite, none."""

import fcntl
import hashlib
import os
import secrets
import time
from contextlib import suppress
from math import inf
from pathlib import Path

from sqlalchemy import Connection, Engine, text
from sqlalchemy.exc import SQLAlchemyError

from tweeter.delivery.lease import ROW, SILENT, Held, Lease, LostLease


class AdvisoryLease(Held):
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


class RowLease(Held):
    """A row of `consumers` on PostgreSQL, for use behind a transaction pooler, where clients share sessions."""

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


class FileLease(Held):
    """A lock on a file beside the SQLite database. A stopped holder keeps it; SQL serves pages until it continues."""

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
        """The kernel never revokes the lock."""
        self._proven = time.monotonic()

    def abandon(self) -> None:
        if self._file is not None:
            os.close(self._file)

    def release(self) -> None:
        super().release()
        if self._file is not None:
            os.close(self._file)
            self._file = None


class NoLease(Held):
    """For the private store of one process."""

    writes = inf

    def acquire(self) -> Connection | None:
        self._execute(text("SELECT 1"))
        return self._connection

    def prove(self) -> None:
        """No other process can hold it."""


def make_lease(engine: Engine, name: str) -> Lease:
    """The kind of lease that fits the database; `name` is the store's. May connect: raises SQLAlchemy's errors."""
    if engine.dialect.name != "postgresql":
        return FileLease(engine, name)
    return RowLease(engine, name) if behind_pooler(engine) else AdvisoryLease(engine, name)


def behind_pooler(engine: Engine) -> bool:
    """Whether the connection goes through a pooler: a pooler reports another process id than the server's own."""
    with engine.connect() as connection:
        told = connection.connection.dbapi_connection.info.backend_pid  # type: ignore[union-attr]
        return told != connection.execute(text("SELECT pg_backend_pid()")).scalar_one()


# pg_locks shows the key of an advisory lock as two halves.
_LOCK = """
    locktype = 'advisory' AND database = (SELECT oid FROM pg_database WHERE datname = current_database())
    AND objsubid = 1 AND (classid::int8 << 32 | objid::int8) = :key
"""
_TRY_LOCK = text("SELECT pg_try_advisory_lock(:key)")
_HAVE_LOCK = text(f"SELECT count(*) FROM pg_locks WHERE {_LOCK} AND pid = pg_backend_pid()")  # noqa: S608
# The holder's last statement is its heartbeat, on the server's clock. A holder with a running statement is not silent.
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
