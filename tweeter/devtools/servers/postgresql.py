"""A private PostgreSQL, tuned for speed: it need not survive a crash."""

import signal
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import psycopg

from tweeter.devtools.servers.base import Server, find


class PostgreSQL(Server):
    user = "postgres"  # PostgreSQL refuses to run as root
    stop_signal = signal.SIGINT  # fast shutdown: does not wait for connected clients

    def __init__(self, **options: str) -> None:
        self._options = options  # as in postgresql.conf
        installed = sorted(Path("/usr/lib/postgresql").glob("*/bin"), key=lambda path: float(path.parent.name))
        self._program = find("postgres", "postgresql", *reversed(installed))
        initdb = find("initdb", "postgresql", *reversed(installed))
        super().__init__()
        self.run(
            initdb, "-D", str(self.folder / "data"), "-U", "tweeter", "--auth=trust", "--no-sync",
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
