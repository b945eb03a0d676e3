"""One connection for a bulk load: temporary tables, many rows at once, transactions that can be repeated."""

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, TypeVar

from sqlalchemy import Engine, text, update
from sqlalchemy.exc import IntegrityError, OperationalError

from tweeter.models import site
from tweeter.models.meta import now

T = TypeVar("T")

# Rows that are written in one transaction. On SQLite a second's work, because nobody else can write meanwhile; on
# PostgreSQL more, because an author who is counted once instead of twice is half the work.
BATCH = {"sqlite": 20_000, "postgresql": 50_000}
TRIES = 6
# Between two transactions others may write. SQLite's waiting writers look every 100 ms at most whether they may.
BREATH = 0.03  # seconds


class BulkDatabase:
    """What the steps of a load share. Temporary tables live until `close`."""

    def __init__(self, engine: Engine) -> None:
        self._connection = engine.connect()
        self.postgresql = engine.dialect.name == "postgresql"
        self.batch = BATCH[engine.dialect.name]
        settings = (
            # Memory of this one connection in the server, not here.
            ("SET temp_buffers = '64MB'", "SET work_mem = '64MB'", "SET jit = off")
            if self.postgresql
            else ("PRAGMA temp.cache_size = -16384", "PRAGMA cache_size = -16384")
        )
        with self.staging():
            for setting in settings:
                self.execute(setting)

    def close(self) -> None:
        """Ends the connection, and with it the temporary tables."""
        self._connection.invalidate()
        self._connection.close()

    def execute(self, sql: str, **parameters: Any) -> Any:
        """The CursorResult of a statement with `:name` parameters."""
        return self._connection.execute(text(sql), parameters)

    def insert_rows(self, table: str, columns: Sequence[str], rows: Iterable[tuple[Any, ...]]) -> None:
        """Adds rows as fast as the driver can."""
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
        """Makes a temporary table. INTEGER is what SQLite calls it; it has 64 bits in both."""
        if self.postgresql:
            columns = columns.replace("INTEGER", "BIGINT")
        self.execute(f"CREATE TEMPORARY TABLE {table} ({columns})")

    def empty(self, table: str) -> None:
        self.execute(f"TRUNCATE {table}" if self.postgresql else f"DELETE FROM {table}")  # noqa: S608

    def analyze(self, *tables: str) -> None:
        """Tells the planner what the tables hold."""
        with self.staging():
            for table in tables:
                self.execute(f"ANALYZE {table}")

    def date(self, epoch_ms: str) -> str:
        """SQL for a moment, as `UTCDateTime` keeps it, of SQL for milliseconds since 1970."""
        if self.postgresql:
            return f"to_timestamp({epoch_ms} / 1000.0)"
        return f"strftime('%Y-%m-%d %H:%M:%f', {epoch_ms} / 1000.0, 'unixepoch') || '000'"

    @contextmanager
    def staging(self) -> Iterator[None]:
        """A transaction that writes to temporary tables only, and so keeps nobody waiting."""
        self._connection.execution_options(sqlite_begin="DEFERRED")
        with self._connection.begin():
            yield

    def commit(self, work: Callable[[bool], T], changed: Callable[[T], Any] = bool) -> T:
        """Does the work in one transaction; where it changed something, it notes that running sites have to be told.

        Somebody may post, follow or close an account at the same moment. Then the work is done again from the start;
        its argument says that it has to look at everything again (True), which would be slow each time.
        """
        for tries_left in reversed(range(TRIES)):
            try:
                self._connection.execution_options(sqlite_begin="IMMEDIATE")
                with self._connection.begin():
                    result = work(tries_left < TRIES - 1)
                    if changed(result):
                        self.note_change()
                break
            except (IntegrityError, OperationalError) as error:
                if not tries_left or not _worth_repeating(error):
                    raise
                time.sleep(0.05 * (TRIES - tries_left))
        self.breathe()
        return result

    def note_change(self) -> None:
        """With it, in one transaction: should this process die, running sites make their timelines cold themselves."""
        self._connection.execute(update(site.Site).values(loading_until=now() + site.LOAD_SILENCE))

    def breathe(self) -> None:
        """Lets others write."""
        if not self.postgresql:
            time.sleep(BREATH)

    def batches(self, table: str, size: int | None = None) -> Iterator[tuple[int, int, int]]:
        """The `n` of a temporary table in batches: greater than the first, up to the second; and how many."""
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


def _worth_repeating(error: IntegrityError | OperationalError) -> bool:
    """Somebody was in the way: a conflict, a deadlock, a lock. A full disk or a lost connection is none of these."""
    if isinstance(error, IntegrityError):
        return True
    state = getattr(error.orig, "sqlstate", None) or ""
    return state.startswith("40") or "locked" in str(error.orig)
