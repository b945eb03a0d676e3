"""Wake-ups: signals that make delivery fast and may be lost. Correctness depends on reading the outbox only."""

import select
import socket
import threading
import time
from contextlib import suppress
from typing import Any

import psycopg
from sqlalchemy import Connection, Engine, text
from sqlalchemy.exc import SQLAlchemyError

from tweeter.delivery import company

CHANNEL = "tweeter_outbox"
POLL = 0.25  # seconds between reads of the outbox without any signal
COALESCED = 0.002  # seconds between two notifications
BUSY_FOR = 1.0  # seconds after the last change during which the BUSY interval applies
BUSY, IDLE = 0.002, 0.008  # seconds between reads of SQLite's data_version, which take microseconds


class Wakeups:
    """The wake-ups of one thread: calls of `wake` by other threads, and signals of the database to its connection."""

    def __init__(self, notifier: "Notifier | None" = None) -> None:
        self._notifier = notifier  # of this process, whose notifications are ignored
        self._reader, self._writer = socket.socketpair()
        self._reader.setblocking(False)
        self._writer.setblocking(False)
        self._woken = False
        self._version: object = None
        self._busy_until = 0.0

    def wake(self) -> None:
        """Ends the current or next wait of the thread. Never blocks."""
        if not self._woken:
            self._woken = True
            with suppress(OSError):  # full: the thread wakes up anyway
                self._writer.send(b"!")

    def listen(self, connection: Connection) -> None:
        """Subscribes this connection to notifications by `Notifier` in other processes. Does nothing on SQLite."""
        if connection.dialect.name == "postgresql":
            # The handler catches notifications that arrive during a statement, whose snapshot may be older.
            add_handler: Any = connection.connection.dbapi_connection.add_notify_handler  # type: ignore[union-attr]
            add_handler(lambda notification: self._notified(notification.pid))
            connection.execute(text(f"LISTEN {CHANNEL}"))
            company.join(connection)

    def _notified(self, backend: int) -> None:
        if self._notifier is None or self._notifier.backend != backend:
            self._woken = True

    def wait(self, seconds: float, connection: Connection | None = None) -> None:
        """Waits for a wake-up or a signal of the database, `seconds` at most.

        Raises SQLAlchemy's errors.
        """
        if connection is None:
            if not self._woken:
                select.select([self._reader], [], [], max(seconds, 0))
        elif connection.dialect.name == "sqlite":
            self._wait_sqlite(seconds, connection)
        else:
            self._wait_postgresql(seconds, connection)
        self._woken = False
        with suppress(BlockingIOError):
            while self._reader.recv(64):
                pass

    def _wait_postgresql(self, seconds: float, connection: Connection) -> None:
        server = connection.connection.dbapi_connection.pgconn  # type: ignore[union-attr]
        ends = time.monotonic() + seconds
        while True:
            # Check these before the socket: some may have come with the last statement's result.
            while notification := server.notifies():
                self._notified(notification.be_pid)
            if self._woken or (left := ends - time.monotonic()) <= 0:
                return
            ready, _, _ = select.select([self._reader, server.socket], [], [], left)
            if server.socket not in ready:
                return
            try:
                server.consume_input()
            except psycopg.OperationalError:
                return  # the next statement raises the error

    def _wait_sqlite(self, seconds: float, connection: Connection) -> None:
        ends = time.monotonic() + seconds
        while not self._woken:
            version = connection.exec_driver_sql("PRAGMA data_version").scalar()
            changed, self._version = version != self._version, version
            now = time.monotonic()
            if changed:
                self._busy_until = now + BUSY_FOR
                return
            if now >= ends:
                return
            pause = BUSY if now < self._busy_until else IDLE
            select.select([self._reader], [], [], min(pause, ends - now))

    def close(self) -> None:
        self._reader.close()
        self._writer.close()


class Notifier:
    """Wakes the relays of other processes, from a thread with a connection of its own."""

    def __init__(self, engine: Engine) -> None:
        self.backend = 0  # process id of the server's backend that sends the notifications
        self._engine = engine
        self._awake = threading.Event()
        self._stopped = False
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        if self._thread is None:
            self._thread = threading.Thread(target=self._loop, name="notifier", daemon=True)
            self._thread.start()

    def stop(self) -> None:
        self._stopped = True
        self._awake.set()
        if self._thread is not None:
            self._thread.join()

    def wake(self) -> None:
        self._awake.set()

    def _loop(self) -> None:
        while not self._stopped:
            # Signals may be lost: the relays poll.
            with suppress(SQLAlchemyError), self._engine.connect() as connection:
                connection.execute(text("SET synchronous_commit = off"))
                self.backend = connection.connection.dbapi_connection.info.backend_pid  # type: ignore[union-attr]
                while not self._stopped:
                    self._awake.wait()
                    self._awake.clear()
                    # Inside the author's transaction, NOTIFY would take a lock of the whole database until the commit.
                    connection.execute(text(f"NOTIFY {CHANNEL}"))
                    time.sleep(COALESCED)
            if not self._stopped:
                time.sleep(POLL)
