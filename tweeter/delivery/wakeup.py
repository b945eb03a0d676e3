"""Wake-ups: they make delivery quick and may be lost. Correctness rests on reading the outbox, never on a signal."""

import select
import socket
import threading
import time
from contextlib import suppress

from sqlalchemy import Connection, Engine, text
from sqlalchemy.exc import SQLAlchemyError

CHANNEL = "tweeter_outbox"
POLL = 0.25  # seconds: without any signal the outbox is read as often
BUSY_FOR = 1.0  # seconds since the last event during which SQLite is asked often
BUSY, IDLE = 0.002, 0.008  # seconds between looks at SQLite's data_version, which take microseconds


class Wakeups:
    """What one thread waits on: calls of `wake` by others, and what the database tells its connection."""

    def __init__(self) -> None:
        self._reader, self._writer = socket.socketpair()
        self._reader.setblocking(False)
        self._writer.setblocking(False)
        self._woken = False
        self._version: object = None
        self._busy_until = 0.0

    def wake(self) -> None:
        """Ends the wait of the thread, or its next one. Never blocks."""
        if not self._woken:
            self._woken = True
            with suppress(OSError):  # full: it is awake
                self._writer.send(b"!")

    def wait(self, seconds: float, connection: Connection | None = None) -> bool:
        """Waits until it is woken, or the database has something new, `seconds` at most. True if it was woken.

        Raises SQLAlchemy's errors.
        """
        if connection is not None and connection.dialect.name == "sqlite":
            self._wait_sqlite(seconds, connection)
        elif not self._woken:
            files = [self._reader]
            if connection is not None:
                files.append(connection.connection.dbapi_connection)  # type: ignore[arg-type]
            select.select(files, [], [], max(seconds, 0))
        woken, self._woken = self._woken, False
        with suppress(BlockingIOError):
            while self._reader.recv(64):
                pass
        return woken

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


def listen(connection: Connection) -> None:
    """Has PostgreSQL tell this connection of what `notify` says. Does nothing on SQLite, or behind a pooler."""
    if connection.dialect.name == "postgresql":
        connection.connection.dbapi_connection.add_notify_handler(_ignore)  # type: ignore[union-attr]
        connection.execute(text(f"LISTEN {CHANNEL}"))


def _ignore(notification: object) -> None:
    """To be woken is all."""


class Notifier:
    """Wakes the relays of other processes, from a thread with a connection of its own."""

    def __init__(self, engine: Engine) -> None:
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
            # A signal that is lost is one that the relays do without.
            with suppress(SQLAlchemyError), self._engine.connect() as connection:
                connection.execute(text("SET synchronous_commit = off"))
                while not self._stopped:
                    self._awake.wait()
                    self._awake.clear()
                    # Within the author's transaction it would take a lock of the whole database until the commit.
                    connection.execute(text(f"NOTIFY {CHANNEL}"))
            if not self._stopped:
                time.sleep(POLL)
