"""The drivers of both databases: fetching rows counts as SQL time, and a PostgreSQL that hangs is an error."""

import sqlite3
import threading
from contextlib import ExitStack
from time import perf_counter
from typing import Any

import psycopg
from psycopg.pq import TransactionStatus

from tweeter import measure

MOMENT = 0.25  # seconds
GRACE = 0.5  # seconds that a server has to cancel a statement


class TimedFetch:
    """A cursor whose fetching is added to the SQL time of the current request.

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
    """A connection with such cursors."""

    def cursor(self, factory: Any = SQLiteCursor) -> Any:
        return super().cursor(factory)


class PostgreSQLCursor(TimedFetch, psycopg.Cursor[Any]):
    """See TimedFetch."""


class PatientConnection(psycopg.Connection[Any]):
    """A connection that gives up where the server does not even cancel what takes too long. Then it shuts its door."""

    door: "Door"

    def wait(self, gen: Any, interval: float = 0.1, timeout: float | None = None) -> Any:
        try:
            return super().wait(gen, interval, self.door.patience + GRACE if timeout is None else timeout)
        except psycopg.OperationalError as error:
            if timeout is not None or self.pgconn.transaction_status != TransactionStatus.ACTIVE:
                raise  # lost, or refused by the server
            self.close()
            self.door.shut = True
            raise SQLHangs(f"no answer from PostgreSQL within {self.door.patience + GRACE:g} s") from error


class SQLHangs(psycopg.OperationalError):
    """The server holds the connection and does not answer: to try again would only take as long once more."""


class Door:
    """Opens the connections to one server, on which a statement may take `patience` seconds.

    After a server did not answer in time, one connection is tried at a time, and others wait for it only for a moment:
    a hanging database must not hold every thread for the whole timeout again and again.
    """

    def __init__(self, patience: float) -> None:
        self.patience = patience
        self._trying = threading.Lock()
        self.shut = False

    def connect(self, dialect: Any, record: Any, args: Any, options: Any) -> PatientConnection:
        """For SQLAlchemy's event `do_connect`."""
        if not self.shut:
            return self._connect(args, options)
        if not self._trying.acquire(timeout=MOMENT):
            raise SQLHangs("PostgreSQL does not answer")
        with ExitStack() as stack:
            stack.callback(self._trying.release)
            if not self.shut:
                stack.close()  # it does answer: the others need not wait any more
            return self._connect(args, options)

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
