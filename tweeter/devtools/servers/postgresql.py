"""A private PostgreSQL, tuned for speed: it need not survive a crash; and streaming replicas of it."""

import signal
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import psycopg

from tweeter.devtools.servers.base import PATIENCE, Server, find


class PostgreSQL(Server):
    user = "postgres"  # PostgreSQL refuses to run as root
    stop_signal = signal.SIGINT  # fast shutdown: does not wait for connected clients

    def __init__(self, **options: str) -> None:
        self._options = options  # as in postgresql.conf
        self._program = _find("postgres")
        super().__init__()
        self._create()

    def _create(self) -> None:
        """Creates the data folder."""
        self.run(
            _find("initdb"), "-D", str(self.folder / "data"), "-U", "tweeter", "--auth=trust", "--no-sync",
            "--encoding=UTF8", "--locale=C.UTF-8",
        )  # fmt: skip

    def url(self, database: str) -> str:
        return f"postgresql+psycopg://tweeter@{self.host}:{self.port}/{database}"

    def execute(self, statement: str) -> None:
        """Runs a statement outside of transactions, in the database `postgres`."""
        with self._connect() as connection:
            connection.execute(statement.encode())

    def command(self) -> Sequence[str]:
        options = {
            "listen_addresses": self.host, "port": self.port, "unix_socket_directories": "", "max_connections": 200,
            "fsync": "off", "full_page_writes": "off", "synchronous_commit": "off", "autovacuum": "off",
            "deadlock_timeout": "100ms", **self._options,
        }  # fmt: skip
        settings = (word for key, value in options.items() for word in ("-c", f"{key}={value}"))
        return [self._program, "-D", str(self.folder / "data"), *settings]

    def answers(self) -> bool:
        try:
            with self._connect() as connection:
                row = connection.execute("SELECT current_setting('data_directory')").fetchone()
        except psycopg.OperationalError:
            return False
        return row == (str(self.folder / "data"),)

    def _connect(self) -> psycopg.Connection[Any]:
        return psycopg.connect(
            host=self.host, port=self.port, user="tweeter", dbname="postgres", autocommit=True, connect_timeout=5
        )


class PostgreSQLReplica(PostgreSQL):
    """A streaming replica of a running private server, with the same data. It can be promoted, and its replay paused.

    The primary needs `wal_keep_size` if the replica is to catch up after it was stopped.
    """

    def __init__(self, primary: PostgreSQL, **options: str) -> None:
        self._primary = primary
        super().__init__(**{"wal_retrieve_retry_interval": "100ms", **options})

    def _create(self) -> None:
        self.run(
            _find("pg_basebackup"), "-D", str(self.folder / "data"), "-h", self._primary.host,
            "-p", str(self._primary.port), "-U", "tweeter", "--checkpoint=fast", "--wal-method=stream",
            "--write-recovery-conf", "--no-sync",
        )  # fmt: skip

    def promote(self) -> None:
        """Makes it a primary of its own."""
        self.execute("SELECT pg_promote()")

    def pause_replay(self) -> None:
        """Keeps it as it is: it receives the primary's log and does not apply it."""
        self.execute("SELECT pg_wal_replay_pause()")
        self._await("pg_get_wal_replay_pause_state() = 'paused'")

    def resume_replay(self) -> None:
        self.execute("SELECT pg_wal_replay_resume()")

    def catch_up(self) -> None:
        """Waits until it has replayed all that the primary has written so far."""
        with self._primary._connect() as connection:
            row = connection.execute("SELECT pg_current_wal_flush_lsn()::text").fetchone()
        self._await(f"pg_last_wal_replay_lsn() >= '{row[0] if row else ''}'")

    def _await(self, condition: str) -> None:
        deadline = time.monotonic() + PATIENCE
        with self._connect() as connection:
            while connection.execute(f"SELECT {condition}".encode()).fetchone() != (True,):
                if time.monotonic() > deadline:
                    raise RuntimeError(f"the replica does not reach {condition}:\n{self.log}")
                time.sleep(0.002)


def _find(program: str) -> str:
    installed = sorted(Path("/usr/lib/postgresql").glob("*/bin"), key=lambda path: float(path.parent.name))
    return find(program, "postgresql", *reversed(installed))
