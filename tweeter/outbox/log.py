"""Positions in the outbox, and reading the events beyond a position.

Every event has a number that decides its visibility: on PostgreSQL its transaction id, on SQLite its own id. Events get
their ids in the order of inserts, but transactions commit in another order, so "greater than the last id" would skip
events. A position is therefore a snapshot, as in PgQ (Skytools): the new events are those that the old snapshot could
not see. On SQLite writers take turns, and the snapshot is "all up to an id".
"""

import time
from datetime import UTC, datetime
from typing import Any, NamedTuple
from zlib import crc32

import msgspec
from sqlalchemy import ARRAY, BigInteger, Connection, Integer, bindparam, select, text

from tweeter.models import OutboxEvent
from tweeter.models.base import UTCDateTime
from tweeter.values import AnyEvent, Unfollowed

_decode = msgspec.json.Decoder(AnyEvent).decode


class Snapshot(NamedTuple):
    """Which numbers a reader has seen: all below `xmin`, and those below `xmax` that are not in `open`."""

    xmin: int = 0
    xmax: int = 0
    open: tuple[int, ...] = ()

    def sees(self, number: int) -> bool:
        return number < self.xmin or (number < self.xmax and number not in self.open)

    @classmethod
    def parse(cls, text: str) -> "Snapshot":
        """From PostgreSQL's text: `xmin:xmax:open,open`."""
        xmin, xmax, numbers = text.split(":")
        return cls(int(xmin), int(xmax), tuple(map(int, numbers.split(","))) if numbers else ())

    @classmethod
    def up_to(cls, number: int) -> "Snapshot":
        return cls(number + 1, number + 1)

    def cut(self, xmax: int) -> "Snapshot":
        """The part below `xmax`.

        After a crash PostgreSQL reuses a number if nothing of its transaction reached the disk: the transaction was
        rolled back, or only sent a NOTIFY. An event's number is durable, and so are all numbers below it.
        """
        if xmax >= self.xmax:
            return self
        return Snapshot(min(self.xmin, xmax), xmax, tuple(number for number in self.open if number < xmax))


class Position(NamedTuple):
    """All events that `seen` sees are applied; of those that only `to` sees, the ones up to `last` (number, id)."""

    seen: Snapshot = Snapshot()
    to: Snapshot | None = None
    last: tuple[int, int] = (0, 0)

    def contains(self, number: int) -> bool:
        """Whether every event of this number is applied."""
        return self.seen.sees(number) or (self.to is not None and self.to.sees(number) and number < self.last[0])


class LoggedEvent(NamedTuple):
    """A row of the outbox. `event` is None if this version of Tweeter cannot decode the payload.

    `check` is a checksum of the row, because a restored database reuses ids.
    """

    id: int
    number: int
    date: datetime
    event: AnyEvent | None
    request_id: str | None
    check: int = 0


class Batch(NamedTuple):
    """The result of one read of the log: events, the position once they are applied, and whether there are more.

    `time` is the database's clock (seconds since 1970; SQLite's is its host's) just before the snapshot: unless there
    are more, the position contains everything that was committed before it. No events means that there are no more.
    """

    events: list[LoggedEvent]
    position: Position
    more: bool
    time: float


class Log:
    """Reads the outbox over one connection, each time in a snapshot of its own: a new transaction, or autocommit."""

    def __init__(self, connection: Connection) -> None:
        self.connection = connection
        self._postgresql = connection.dialect.name == "postgresql"

    def end(self) -> Batch:
        """The position behind all committed events; returns no events."""
        began = time.time()
        row = self.connection.execute(_END[self.connection.dialect.name]).one()
        if not self._postgresql:
            return Batch([], Position(Snapshot.up_to(row.snapshot)), False, began)
        return Batch([], Position(Snapshot.parse(row.snapshot).cut(row.newest + 1)), False, row.time)

    def read(self, position: Position, limit: int) -> Batch:
        """The next events beyond a position, `limit` at most, in one statement. Read-only."""
        return self._read_snapshots(position, limit) if self._postgresql else self._read_ids(position, limit)

    def _read_ids(self, position: Position, limit: int) -> Batch:
        began = time.time()
        rows = self.connection.execute(_AFTER, {"after": max(position.seen.xmax - 1, 0), "limit": limit}).all()
        events = [_logged(row.id, row.id, row) for row in rows]
        after = Position(Snapshot.up_to(events[-1].id)) if events else position
        return Batch(events, after, len(events) == limit, began)

    def _read_snapshots(self, position: Position, limit: int) -> Batch:
        seen, to, last = position
        asked: dict[str, Any] = {"xmax": seen.xmax, "open": list(seen.open), "number": last[0], "id": last[1]}
        if to is None:
            rows = self.connection.execute(_NEW, asked | {"limit": limit}).all()
        else:
            bounds = {"to_xmax": to.xmax, "to_open": list(to.open)}
            rows = self.connection.execute(_BETWEEN, asked | bounds | {"limit": limit}).all()
        events = [_logged(row.id, row.transaction_id, row) for row in rows if row.id is not None]
        if to is not None and not events:
            return self.read(Position(to.cut(max(seen.xmax, last[0] + 1))), limit)
        now = Snapshot.parse(rows[0].snapshot)
        if len(events) == limit:
            return Batch(events, Position(seen, to or now, (events[-1].number, events[-1].id)), True, rows[0].time)
        newest = max(seen.xmax - 1, events[-1].number if events else last[0])
        return Batch(events, Position((to or now).cut(newest + 1)), to is not None, rows[0].time)

    def unfollowers_since(self, moment: float) -> set[int]:
        """The ids of users who unfollowed an account since `moment` (seconds since 1970)."""
        rows = self.connection.execute(_UNFOLLOWED, {"since": datetime.fromtimestamp(moment, UTC)})
        events = (_logged(0, 0, row).event for row in rows)
        return {event.follower_id for event in events if isinstance(event, Unfollowed)}

    def newest(self) -> tuple[int, int, int]:
        """(id, number, check) of the newest event; zeros if there is none."""
        row = self.connection.execute(_NEWEST).one_or_none()
        if row is None:
            return (0, 0, 0)
        return (row.id, row.transaction_id if self._postgresql else row.id, _check(row))

    def knows(self, event: tuple[int, int, int]) -> bool:
        """Whether the outbox contains the event (id, number, check); true for zeros, which stand for no event.

        False if the event was pruned, or the database was restored.
        """
        id_, number, check = event
        if not id_:
            return True
        row = self.connection.execute(_EVENT, {"id": id_}).one_or_none()
        if row is None or (self._postgresql and row.transaction_id != number):
            return False
        return _check(row) == check


def _logged(id_: int, number: int, row: Any) -> LoggedEvent:
    try:
        event: AnyEvent | None = _decode(row.payload)
    except msgspec.DecodeError:
        event = None
    return LoggedEvent(id_, number, row.date, event, row.request_id, _check(row))


def _check(row: Any) -> int:
    return crc32(f"{row.payload} {row.request_id}".encode())


_COLUMNS = "id, transaction_id, date, payload, request_id"
_ROWS: dict[str, Any] = {
    "id": BigInteger, "transaction_id": BigInteger, "date": UTCDateTime, "payload": OutboxEvent.payload.type,
    "request_id": OutboxEvent.request_id.type,
}  # fmt: skip
_POSITION = [
    bindparam("xmax", type_=BigInteger),
    bindparam("open", type_=ARRAY(BigInteger)),
    bindparam("number", type_=BigInteger),
    bindparam("id", type_=BigInteger),
    bindparam("limit", type_=Integer),
]


def _snapshots(bound: str) -> Any:
    """Two scans of one index: the transactions open in the old snapshot, and those after it.

    `statement_timestamp()` is earlier than the statement's snapshot, and `pg_current_snapshot()` is that snapshot.
    """
    part = f"(transaction_id, id) > (:number, :id) {bound} ORDER BY transaction_id, id LIMIT :limit"
    return text(  # the text contains no values
        f"""
        SELECT clock.snapshot, clock.time, events.*
        FROM (SELECT pg_current_snapshot()::text AS snapshot,
                     extract(epoch FROM statement_timestamp())::float8 AS time) AS clock
        LEFT JOIN (
            SELECT {_COLUMNS} FROM (
                (SELECT {_COLUMNS} FROM outbox WHERE transaction_id = ANY (:open) AND {part})
                UNION ALL
                (SELECT {_COLUMNS} FROM outbox WHERE transaction_id >= :xmax AND {part})
            ) AS parts ORDER BY transaction_id, id LIMIT :limit
        ) AS events ON true
        ORDER BY events.transaction_id, events.id
        """  # noqa: S608
    )


# Rows with a transaction id above the snapshot's came with a dump from another server.
_NEW = (
    _snapshots("AND transaction_id < pg_snapshot_xmax(pg_current_snapshot())::text::bigint")
    .bindparams(*_POSITION)
    .columns(**_ROWS)
)
_BETWEEN = (
    _snapshots("AND transaction_id < :to_xmax AND transaction_id <> ALL (:to_open)")
    .bindparams(*_POSITION, bindparam("to_xmax", type_=BigInteger), bindparam("to_open", type_=ARRAY(BigInteger)))
    .columns(**_ROWS)
)
_AFTER = text(f"SELECT {_COLUMNS} FROM outbox WHERE id > :after ORDER BY id LIMIT :limit").columns(  # noqa: S608
    **_ROWS
)
_END = {
    "postgresql": text(
        """
        SELECT pg_current_snapshot()::text AS snapshot, extract(epoch FROM statement_timestamp())::float8 AS time,
               coalesce(max(transaction_id), 0) AS newest FROM outbox
        """
    ),
    "sqlite": text("SELECT coalesce(max(id), 0) AS snapshot FROM outbox"),
}
_NEWEST = text(f"SELECT {_COLUMNS} FROM outbox ORDER BY id DESC LIMIT 1").columns(**_ROWS)  # noqa: S608
_UNFOLLOWED = (
    select(OutboxEvent.payload, OutboxEvent.date, OutboxEvent.request_id)
    .where(OutboxEvent.date > bindparam("since", type_=UTCDateTime))
    .where(OutboxEvent.payload.contains("Unfollowed"))
)
_EVENT = text(f"SELECT {_COLUMNS} FROM outbox WHERE id = :id").columns(**_ROWS)  # noqa: S608
