"""The connection of a bulk load: temporary tables, many rows at once, repeatable transactions."""

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, TypeVar

from sqlalchemy import Engine, text, update
from sqlalchemy.exc import IntegrityError, OperationalError

from tweeter.models import Site
from tweeter.models.base import now
from tweeter.outbox.site import LOAD_SILENCE
from tweeter.services.recounting import begin

T = TypeVar("T")

# Rows per transaction. On SQLite a second's work, because other writers are blocked in that time; on PostgreSQL
# more, because counting an author once instead of twice is half the work.
BATCH = {"sqlite": 20_000, "postgresql": 50_000}
TRIES = 6
# Pause for other writers after each transaction. SQLite's waiting writers retry at least every 100 ms.
BREATH = 0.03  # seconds


class Conflict(Exception):
    """A concurrent transaction changed what this one had read: `commit` repeats it."""


class BulkDatabase:
    """The database of all steps of a load. Temporary tables live until `close`."""

    def __init__(self, engine: Engine) -> None:
        self._connection = engine.connect()
        self.postgresql = engine.dialect.name == "postgresql"
        self.batch = BATCH[engine.dialect.name]
        settings = (
            # Memory of this connection in the server, not in this process.
            ("SET temp_buffers = '64MB'", "SET work_mem = '64MB'", "SET jit = off")
            if self.postgresql
            else ("PRAGMA temp.cache_size = -32768", "PRAGMA cache_size = -65536", "PRAGMA wal_autocheckpoint = 16384")
        )
        with self.staging():
            for setting in settings:
                self.execute(setting)
            self._may_hold = self.postgresql and bool(self.execute(_MAY_SKIP_CHECKS).scalar_one())

    def hold(self, table: str) -> str:
        """The end of an INSERT … SELECT that joins the table: it locks the rows to which foreign keys will refer.

        A row that was deleted in the meantime does not match the join. A locked row can't be deleted, so foreign keys
        need no check; the checks would take longer than the inserts. If the role may set `session_replication_role`,
        the first call turns them off until the end of the transaction. Otherwise this is empty.
        """
        if not self._may_hold:
            return ""
        self.execute("SET LOCAL session_replication_role = replica")
        return f"FOR KEY SHARE OF {table}"

    def close(self) -> None:
        """Closes the connection, which drops the temporary tables."""
        self._connection.invalidate()
        self._connection.close()

    def execute(self, sql: str, **parameters: Any) -> Any:
        """Executes a statement with `:name` parameters. Returns its CursorResult."""
        return self._connection.execute(text(sql), parameters)

    def insert_rows(self, table: str, columns: Sequence[str], rows: Iterable[tuple[Any, ...]]) -> None:
        """Inserts rows as fast as the driver can."""
        names = ", ".join(columns)
        driver: Any = self._connection.connection.driver_connection
        if self.postgresql:
            with driver.cursor() as cursor, cursor.copy(f"COPY {table} ({names}) FROM STDIN") as copy:
                for row in rows:
                    copy.write_row(row)
        else:
            marks = ", ".join("?" * len(columns))
            driver.executemany(f"INSERT INTO {table} ({names}) VALUES ({marks})", rows)  # noqa: S608 (our names)

    def create(self, table: str, columns: str) -> None:
        """Creates a temporary table. The type INTEGER, SQLite's name, has 64 bits in both databases."""
        if self.postgresql:
            columns = columns.replace("INTEGER", "BIGINT")
        self.execute(f"CREATE TEMPORARY TABLE {table} ({columns})")

    def empty(self, table: str) -> None:
        self.execute(f"TRUNCATE {table}" if self.postgresql else f"DELETE FROM {table}")  # noqa: S608

    def analyze(self, *tables: str) -> None:
        """Updates the planner's statistics."""
        with self.staging():
            for table in tables:
                self.execute(f"ANALYZE {table}")

    def date(self, epoch_ms: str) -> str:
        """SQL that converts milliseconds since 1970 (SQL, too) to the format of `UTCDateTime`."""
        if self.postgresql:
            return f"to_timestamp({epoch_ms} / 1000.0)"
        return f"strftime('%Y-%m-%d %H:%M:%f', {epoch_ms} / 1000.0, 'unixepoch') || '000'"

    @contextmanager
    def staging(self) -> Iterator[None]:
        """A transaction that only writes to temporary tables, and so blocks no other writer."""
        self._connection.execution_options(sqlite_begin="DEFERRED")
        with self._connection.begin():
            yield

    def commit(self, work: Callable[[bool], T]) -> T:
        """Runs `work` in one transaction. A true result means that it changed rows: running sites must be notified.

        If a concurrent post, follow or closed account conflicts, `work` runs again. Its argument is then True: it must
        check everything again, which would be too slow for every run.
        """
        for tries_left in reversed(range(TRIES)):
            try:
                self._connection.execution_options(sqlite_begin="IMMEDIATE")
                with self._connection.begin():
                    result = work(tries_left < TRIES - 1)
                    if result:
                        self.note_change()
                break
            except (Conflict, IntegrityError, OperationalError) as error:
                if not tries_left or not _worth_repeating(error):
                    raise
                time.sleep(0.05 * (TRIES - tries_left))
        self.breathe()
        return result

    def note_change(self) -> None:
        """Recorded in the same transaction: if this process dies, running sites drop their timelines on their own.

        The rows of suspended accounts are counted until `tweeter.services.recounting` finds them.
        """
        self._connection.execute(update(Site).values(loading_until=now() + LOAD_SILENCE))
        self._connection.execute(begin(self._connection.dialect.name))

    def breathe(self) -> None:
        """Pauses for other writers."""
        if not self.postgresql:
            time.sleep(BREATH)

    def batches(self, table: str, size: int | None = None) -> Iterator[tuple[int, int, int]]:
        """Batches of a temporary table by `n`: (exclusive start, inclusive end, number of rows)."""
        after = 0
        while True:
            with self.staging():
                last, count = self.execute(
                    f"SELECT max(n), count(*) FROM (SELECT n FROM {table} WHERE n > :after ORDER BY n LIMIT :size) b",  # noqa: S608
                    after=after,
                    size=size or self.batch,
                ).one()
            if not count:
                return
            yield after, last, count
            after = last


# Superusers may, and roles to whom it was granted (PostgreSQL 15 and later).
_MAY_SKIP_CHECKS = """
    SELECT CASE WHEN current_setting('server_version_num')::int >= 150000
        THEN has_parameter_privilege('session_replication_role', 'SET')
        ELSE (SELECT rolsuper FROM pg_roles WHERE rolname = current_user) END
    """


def _worth_repeating(error: Conflict | IntegrityError | OperationalError) -> bool:
    """Whether a concurrent transaction caused it: a conflict, a deadlock, a lock. A full disk does not count."""
    if isinstance(error, Conflict | IntegrityError):
        return True
    state = getattr(error.orig, "sqlstate", None) or ""
    return state.startswith("40") or "locked" in str(error.orig)
