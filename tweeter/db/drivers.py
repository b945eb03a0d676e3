"""The drivers of both databases: fetching rows counts as SQL time, and a hanging PostgreSQL raises an error."""

import sqlite3
import threading
from time import monotonic, perf_counter
from typing import Any

import psycopg
from psycopg.pq import TransactionStatus

from tweeter import measure

MOMENT = 1.0  # seconds that the other threads wait for one that tries to connect
BLINK = 0.1  # seconds that they wait if it tries for longer: it connects so soon after the server is back
GRACE = 0.5  # seconds for the server to cancel a statement


class TimedFetch:
    """A cursor that adds the time of fetching to the SQL time of the current request.

    SQLite computes most rows when they are fetched; psycopg decodes them then.
    """

    def fetchone(self) -> Any:
        return self._timed(super().fetchone)  # type: ignore[misc]

    def fetchmany(self, size: int | None = 0) -> Any:
        return self._timed(super().fetchmany, size or self.arraysize)  # type: ignore[misc,attr-defined]

    def fetchall(self) -> Any:
        return self._timed(super().fetchall)  # type: ignore[misc]

    def _timed(self, fetch: Any, *args: int) -> Any:
        meter = measure.current()
        if meter is None:
            return fetch(*args)
        began = perf_counter()
        try:
            return fetch(*args)
        finally:
            meter.sql_seconds += perf_counter() - began


class SQLiteCursor(TimedFetch, sqlite3.Cursor):
    """See TimedFetch."""


class SQLiteConnection(sqlite3.Connection):
    """A connection whose cursors are SQLiteCursors."""

    def cursor(self, factory: Any = SQLiteCursor) -> Any:
        return super().cursor(factory)


class PostgreSQLCursor(TimedFetch, psycopg.Cursor[Any]):
    """See TimedFetch."""


class PatientConnection(psycopg.Connection[Any]):
    """A connection that closes, and shuts its door, if the server does not even cancel a statement in time."""

    door: "Door"

    def wait(self, gen: Any, interval: float = 0.1, timeout: float | None = None) -> Any:
        try:
            return super().wait(gen, interval, self.door.patience + GRACE if timeout is None else timeout)
        except psycopg.OperationalError as error:
            if timeout is not None or self.pgconn.transaction_status != TransactionStatus.ACTIVE:
                raise  # the connection is lost, or the server returned an error
            self.close()
            self.door.shut = True
            raise SQLHangs(f"no answer from PostgreSQL within {self.door.patience + GRACE:g} s") from error


class SQLHangs(psycopg.OperationalError):
    """The server keeps the connection open and does not respond. A retry would only wait as long again."""


class Attempt:
    """One thread's attempt to connect, for which others wait."""

    def __init__(self) -> None:
        self.began = monotonic()
        self.ended = threading.Event()


class Door:
    """Opens the connections to one server, on which a statement may take `patience` seconds.

    After a server did not respond in time, one thread at a time tries to connect. The others share its result if it
    comes within the attempt's first MOMENT, and fail within a BLINK after that: a hanging database must not block every
    thread for the whole timeout again and again.
    """

    def __init__(self, patience: float) -> None:
        self.patience = patience
        self._lock = threading.Lock()
        self._attempt: Attempt | None = None
        self.shut = False

    def connect(self, dialect: Any, record: Any, args: Any, options: Any) -> PatientConnection:
        """For SQLAlchemy's event `do_connect`."""
        if not self.shut:
            return self._connect(args, options)
        with self._lock:
            others, self._attempt = self._attempt, self._attempt or Attempt()
            attempt = self._attempt
        if others:
            if not others.ended.wait(max(others.began + MOMENT - monotonic(), BLINK)) or self.shut:
                raise SQLHangs("PostgreSQL does not answer")
            return self._connect(args, options)
        try:
            return self._connect(args, options)
        finally:
            with self._lock:
                self._attempt = None
            attempt.ended.set()

    def _connect(self, args: Any, options: Any) -> PatientConnection:
        try:
            connection = PatientConnection.connect(*args, **options)
        except psycopg.errors.ConnectionTimeout as error:
            self.shut = True
            raise SQLHangs(str(error)) from error
        self.shut = False
        connection.door = self
        return connection


def check_connect_args(driver: str, arguments: dict[str, Any]) -> None:
    """Raises TypeError or psycopg.ProgrammingError for arguments that the driver does not know."""
    if driver == "pysqlite":
        sqlite3.connect(":memory:", **arguments).close()
    elif driver == "psycopg":
        own = ("autocommit", "context", "cursor_factory", "prepare_threshold", "row_factory")
        psycopg.conninfo.make_conninfo(**{key: value for key, value in arguments.items() if key not in own})
