"""Timelines as rows of the site's own database."""

import secrets
import sqlite3
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from random import randrange
from typing import Any

from sqlalchemy import Connection
from sqlalchemy.exc import SQLAlchemyError
from zope.interface import implementer

from tweeter.backends.table.statements import Pairs, given, read, statements, unpacked
from tweeter.db import Database
from tweeter.db.prepared import Prepared
from tweeter.db.sessions import WRITING
from tweeter.errors import BackendUnavailable, SiteUnknown
from tweeter.ids import MAX_ID
from tweeter.interfaces import IBulkStore, ITogetherStore
from tweeter.metrics import count_damaged
from tweeter.values import NOTHING, Slice

ROWS = {"sqlite": 500, "postgresql": 2000}  # per transaction; SQLite's other writers wait for it
DROPPED = 100  # timelines per transaction, each with its entries
BRIEF = 250  # milliseconds that a page waits for SQLite's other writers
LONGEST_REST = 0.1  # seconds
TRIMS = 16  # checks of a timeline, on average, while it grows from its capacity to twice that
SWEPT = 10  # timelines per transaction
SWEEP = 0.02  # seconds of sweeping at once
SWEEPS = (0.3, 60.0)  # seconds until the next sweep, if there is more and if there is not


class Busy(BackendUnavailable):
    """Another writer holds SQLite's lock."""


@implementer(IBulkStore, ITogetherStore)
class TableTimelineStore:
    """A row per timeline, and a row per tweet in it; see `tweeter.models.timelines`.

    Every statement uses the database's pools, one connection at a time. Each write is a transaction of its own; the
    first statement of it reads the run, so a process that was fenced off writes nothing.
    """

    private = False
    identity = "table"

    def __init__(
        self, database: Database, capacity: int, idle_seconds: float = 604_800, backfill_seconds: float = 30
    ) -> None:
        self._engine = database.engine.execution_options(**WRITING)
        self._dialect = dialect = database.engine.dialect.name
        self._sql = statements(dialect)
        together = range(1, 6)  # timelines: the page's, two of celebrities, and two of marks
        self._reads = {number: Prepared(database.statements, read(dialect, number)) for number in together}
        self._statements = database.statements
        self._capacity = capacity
        self._period = max(1, capacity // TRIMS)
        self._idle_ms = int(idle_seconds * 1000)
        self._fill_ms = int(backfill_seconds * 1000)
        self._site = ""
        self._run: int | None = None
        self._sweeps = 0.0  # when the next sweep is due (monotonic)

    def set_site(self, site_id: str) -> None:
        self._site, self._run = site_id, None

    def run_id(self) -> str:
        if not self._site:
            raise SiteUnknown
        new = {"id": secrets.randbits(53), "site": self._site}
        with self._translating(), self._engine.connect() as connection, connection.begin():
            return str(connection.execute(self._sql.begin_run, new).scalar_one())

    def fence(self, run_id: str) -> None:
        self._run = int(run_id)

    def checkpoint(self) -> bytes | None:
        with self._translating(), self._statements.connect() as connection:
            [checkpoint] = self._known(connection.execute(self._sql.checkpoint, {"run": self._current()}).first())
        return bytes(checkpoint) if checkpoint is not None else None

    def set_checkpoint(self, value: bytes) -> None:
        with self._writing() as transaction:
            transaction.run(self._sql.set_checkpoint, value=value)
        if time.monotonic() >= self._sweeps:
            self._sweep()

    def read(self, key: str, before: int, limit: int) -> Slice | None:
        return self.read_together([(key, before, limit)])[0]

    def read_together(self, wanted: Sequence[tuple[str, int, int]]) -> list[Slice | None]:
        values: dict[str, Any] = {"run": self._current()}
        for number, (key, before, limit) in enumerate(wanted):
            kind, owner = _parts(key)
            values |= {f"kind{number}": kind, f"owner{number}": owner}
            values |= {f"before{number}": before, f"limit{number}": limit}
        with self._translating():
            row = self._reads[len(wanted)].one_or_none(**values)
        checkpoint, *columns = self._known(row)
        return [
            self._slice(key, checkpoint, *columns[5 * number : 5 * number + 5])
            for number, (key, _, _) in enumerate(wanted)
        ]

    def _slice(self, key: str, checkpoint: Any, timeline: Any, floor: Any, token: Any, used: Any, ids: Any) -> Any:
        if timeline is None or token is not None:
            return None
        try:
            found, of = unpacked(ids)
            if not (0 <= floor <= MAX_ID + 1 and isinstance(used, int)):
                raise ValueError
        except (TypeError, ValueError):
            self.drop([key])
            count_damaged("table", {key: "no timeline"})
            return None
        if time.time() * 1000 - used > self._idle_ms / 2:
            with suppress(BackendUnavailable), self._writing(BRIEF) as transaction:
                transaction.run(self._sql.use, id=timeline)
        return Slice(found, floor, checkpoint, of)

    def begin_backfill(self, key: str) -> str | None:
        kind, owner = _parts(key)
        token = secrets.token_hex(8)
        with suppress(Busy), self._writing(BRIEF) as transaction:
            begun = transaction.run(
                self._sql.begin_backfill, kind=kind, owner=owner, token=token, lasts=self._fill_ms
            ).first()
            return token if begun else None
        return None

    def backfill(self, key: str, token: str, ids: Iterable[int], floor: int, of: Mapping[int, int] = NOTHING) -> bool:
        kind, owner = _parts(key)
        with suppress(Busy), self._writing(BRIEF) as transaction:
            timeline = transaction.run(
                self._sql.end_backfill, kind=kind, owner=owner, token=token, floor=floor
            ).scalar()
            if timeline is not None:
                transaction.run(self._sql.fill, [(timeline, id_) for id_ in ids], of)
            return timeline is not None
        return False

    def add(self, keys: Iterable[str], id: int, of: int = 0) -> None:
        self.add_batch(dict.fromkeys(keys, (id,)), {id: of} if of else NOTHING)

    def add_batch(self, ids_by_key: Mapping[str, Sequence[int]], of: Mapping[int, int] = NOTHING) -> None:
        by_kind: dict[str, list[tuple[int, int]]] = {}
        for key, ids in ids_by_key.items():
            kind, owner = _parts(key)
            by_kind.setdefault(kind, []).extend((owner, id_) for id_ in ids)
        for kind, pairs in by_kind.items():
            self._add(kind, pairs, of)

    def add_to_each(self, kind: str, chunks: Iterable[Sequence[int]], id: int, of: int = 0) -> Iterator[Sequence[int]]:
        for owners in chunks:
            self._add(kind, [(owner, id) for owner in owners], {id: of} if of else NOTHING)
            yield owners

    def remove(self, key: str, ids: Iterable[int], of: Mapping[int, int] = NOTHING) -> None:
        kind, owner = _parts(key)
        with suppress(Busy), self._writing(BRIEF) as transaction:  # a later reader finds the deleted tweets, too
            transaction.run(self._sql.remove, [(0, id_) for id_ in ids], kind=kind, owner=owner)

    def drop(self, keys: Iterable[str]) -> None:
        by_kind: dict[str, list[tuple[int, int]]] = {}
        for kind, owner in map(_parts, keys):
            by_kind.setdefault(kind, []).append((owner, 0))
        for kind, pairs in by_kind.items():
            for some in self._parted(pairs, DROPPED):
                with self._writing() as transaction:
                    dropped = transaction.run(self._sql.drop, some, kind=kind).scalars().all()
                    transaction.run(self._sql.drop_entries, [(id_, 0) for id_ in dropped])

    def truncate(self, before_id: int) -> None:
        after = 0
        while True:
            with self._writing() as transaction:
                ids = transaction.run(self._sql.next_timelines, after=after, limit=DROPPED).scalars().all()
                if not ids:
                    return
                lost = transaction.run(self._sql.truncate, [(id_, 0) for id_ in ids], floor=before_id).scalars()
                transaction.run_each(self._sql.raise_floor, [{"id": id_, "floor": before_id} for id_ in set(lost)])
            after = ids[-1]
            self._rest(transaction.began)

    def clear(self) -> None:
        with self._writing() as transaction:
            transaction.run(self._sql.clear, new=secrets.randbits(53))
        self._sweeps = 0.0

    def _add(self, kind: str, pairs: Pairs, of: Mapping[int, int]) -> None:
        for some in self._parted(pairs, ROWS[self._dialect]):
            with self._writing() as transaction:
                transaction.run(self._sql.add, some, of, kind=kind)
                chosen = randrange(self._period)  # noqa: S311
                surplus = transaction.run(
                    self._sql.surplus, some, kind=kind, capacity=self._capacity, period=self._period, chosen=chosen
                ).all()
                trimmed = [{"id": id_, "floor": lost + 1} for id_, lost in surplus if lost is not None]
                transaction.run_each(self._sql.raise_floor, trimmed)
                transaction.run_each(self._sql.forget, trimmed)

    def _sweep(self) -> None:
        """Deletes some of the timelines that are not in use any more."""
        ends, found = time.monotonic() + SWEEP, True
        with suppress(BackendUnavailable):
            while found and time.monotonic() < ends:
                with self._writing(BRIEF) as transaction:
                    ids = set[int]()
                    for garbage in self._sql.garbage:
                        ids.update(transaction.run(garbage, limit=SWEPT, idle=self._idle_ms).scalars())
                    found = bool(ids)
                    transaction.run_each(self._sql.forget, [{"id": id_, "floor": MAX_ID + 1} for id_ in ids])
                    transaction.run_each(self._sql.discard, [{"id": id_} for id_ in ids])
        self._sweeps = time.monotonic() + SWEEPS[not found]

    # transactions

    def _current(self) -> int:
        """The id of the run, as last fenced. A store that was not fenced yet takes the present one."""
        if self._run is None:
            self._run = int(self.run_id())
        return self._run

    def _known(self, row: Any) -> Any:
        """The row, found by the id of the run. Raises BackendUnavailable if there is none."""
        if row is None:
            raise BackendUnavailable("the tables were emptied, perhaps by a crash of PostgreSQL")
        return row

    @contextmanager
    def _writing(self, milliseconds: int | None = None) -> Iterator["Transaction"]:
        """A transaction that begins as a writer. It waits so long for SQLite's other writers, and then raises Busy."""
        run = self._current()
        with (
            self._translating(),
            self._engine.connect() as connection,
            self._waiting(connection, milliseconds),
            connection.begin(),
        ):
            shelf, now = self._known(connection.execute(self._sql.shelf, {"run": run}).first())
            yield Transaction(connection, self._dialect, {"run": run, "shelf": shelf, "now": now})

    @contextmanager
    def _waiting(self, connection: Connection, milliseconds: int | None) -> Iterator[None]:
        if self._dialect != "sqlite" or milliseconds is None:
            yield
            return
        driver: Any = connection.connection.driver_connection
        [[usual]] = driver.execute("PRAGMA busy_timeout").fetchall()
        driver.execute(f"PRAGMA busy_timeout = {milliseconds}")
        try:
            yield
        finally:
            driver.execute(f"PRAGMA busy_timeout = {usual}")

    @contextmanager
    def _translating(self) -> Iterator[None]:
        try:
            yield
        except (SQLAlchemyError, sqlite3.Error) as error:
            said = str(getattr(error, "orig", None) or error)
            raise (Busy if "database is locked" in said else BackendUnavailable)(said) from error

    def _parted(self, pairs: Pairs, size: int) -> Iterator[Pairs]:
        """Parts of the list. It rests in between, as `db.chunks` does: SQLite's writers have no queue."""
        for first in range(0, len(pairs), size):
            began = time.monotonic()
            yield pairs[first : first + size]
            if first + size < len(pairs):
                self._rest(began)

    def _rest(self, began: float) -> None:
        if self._dialect == "sqlite":
            time.sleep(min(time.monotonic() - began, LONGEST_REST))


class Transaction:
    """Runs statements with the transaction's own values, and with pairs as GIVEN."""

    def __init__(self, connection: Connection, dialect: str, values: dict[str, Any]) -> None:
        self.began = time.monotonic()
        self._connection = connection
        self._dialect = dialect
        self._values = values

    def run(self, statement: Any, pairs: Pairs = (), of: Mapping[int, int] = NOTHING, **values: Any) -> Any:
        return self._connection.execute(statement, self._values | given(self._dialect, pairs, of) | values)

    def run_each(self, statement: Any, values: Sequence[dict[str, Any]]) -> None:
        if values:
            self._connection.execute(statement, values)


def _parts(key: str) -> tuple[str, int]:
    """The kind and the owner of a key, `Timeline.key`."""
    kind, _, owner = key.partition(":")
    return kind, int(owner or 0)
