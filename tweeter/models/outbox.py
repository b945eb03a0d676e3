"""The outbox: what happened, committed with what it is about.

A message sent to a queue beside the transaction can be lost, or tell of something that was rolled back. A row
in the same transaction can't. (The pattern is known as the transactional outbox.) It is read as a log: every process
that keeps timelines of its own reads it from where it last was.
"""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any, NamedTuple

import msgspec
from sqlalchemy import (
    ARRAY,
    BigInteger,
    FetchedValue,
    Index,
    Integer,
    String,
    Text,
    all_,
    bindparam,
    delete,
    func,
    literal_column,
    select,
)
from sqlalchemy.orm import Mapped, Session, mapped_column

from tweeter import measure
from tweeter.models.meta import Base, BigId, UTCDateTime, now
from tweeter.values import AnyEvent, Event

_encoder = msgspec.json.Encoder()
_decoder: msgspec.json.Decoder[AnyEvent] = msgspec.json.Decoder(AnyEvent)


class OutboxEvent(Base):
    """One event. `payload` is the Event as JSON: `{"type":"TweetCreated","tweet_id":42,"user_id":7}`."""

    __tablename__ = "outbox"

    id: Mapped[int] = mapped_column(BigId, primary_key=True)
    # PostgreSQL hands out ids in the order of inserts, and transactions commit in another: only its transaction
    # number tells below which point no event can appear any more. Set by a default there, empty in SQLite.
    transaction_id: Mapped[int | None] = mapped_column(BigInteger, FetchedValue())
    payload: Mapped[str] = mapped_column(Text)
    date: Mapped[datetime] = mapped_column(UTCDateTime, default=now)
    request_id: Mapped[str | None] = mapped_column(String(32))  # of the request that recorded it

    __table_args__ = (
        Index(None, "transaction_id"),
        Index(None, "date"),
        # An id that is used twice would be an event that is never read.
        {"sqlite_autoincrement": True},
    )


class LoggedEvent(NamedTuple):
    id: int
    transaction_id: int  # 0 in SQLite
    date: datetime
    event: Event
    request_id: str | None


class Log(NamedTuple):
    """What a reader of the log finds new: events, oldest first, and from where to read on once they are applied."""

    events: list[LoggedEvent]
    position: int


def record(session: Session, event: Event) -> None:
    """Adds an event to the session's transaction."""
    meter = measure.current()
    session.add(OutboxEvent(payload=_encoder.encode(event).decode(), request_id=meter.request_id if meter else None))


_horizon = literal_column("pg_snapshot_xmin(pg_current_snapshot())::text::bigint", BigInteger)

COUNTED_BITS = 14  # of events seen beyond the position; with a position of 39 bits the mark is no longer than an id

# The position of who begins to read now, by dialect.
END = {
    "postgresql": _horizon,
    "sqlite": select(func.coalesce(func.max(OutboxEvent.id), 0)).scalar_subquery(),
}

# Put together once: every request that reads timelines from this process's memory asks.
_NEW = (
    select(OutboxEvent.id, OutboxEvent.date, OutboxEvent.payload, OutboxEvent.request_id)
    .order_by(OutboxEvent.id)
    .limit(bindparam("limit", type_=Integer))
)
_AFTER = _NEW.where(OutboxEvent.id > bindparam("position", type_=BigInteger))
_BEYOND = _NEW.add_columns(OutboxEvent.transaction_id, _horizon).where(
    OutboxEvent.transaction_id >= bindparam("position", type_=BigInteger),
    OutboxEvent.id != all_(bindparam("seen", type_=ARRAY(BigInteger))),
)


class LogReader:
    """Reads the log from a position such that no event before it can appear any more.

    On SQLite, where transactions that write come one after another, that is the last id. On PostgreSQL it is the oldest
    transaction still running. Younger ones that are committed already are beyond it, so the reader remembers which of
    their events it has seen.
    """

    def __init__(self, position: int = 0, seen: str = "{}") -> None:
        self.position = position
        self._seen: dict[int, int] = msgspec.json.decode(seen, type=dict[int, int])  # id: transaction_id

    @property
    def seen(self) -> str:
        """What was seen beyond the position, for another reader to go on from there."""
        return msgspec.json.encode(self._seen).decode()

    @property
    def mark(self) -> int:
        """A number that grows with what was read: also while an open transaction keeps the position where it is."""
        return self.position << COUNTED_BITS | min(len(self._seen), (1 << COUNTED_BITS) - 1)

    def begin(self, session: Session) -> None:
        """Skips all that is committed."""
        self.position = session.scalars(select(END[session.get_bind().dialect.name])).one()
        if _is_postgresql(session):
            beyond = select(OutboxEvent.id, OutboxEvent.transaction_id).where(
                OutboxEvent.transaction_id >= self.position
            )
            self._seen = {id_: transaction_id or 0 for id_, transaction_id in session.execute(beyond)}

    def read(self, session: Session, limit: int) -> Log:
        """At most `limit` events that `advance` has not been told of. Nothing changes before it is."""
        asked = {"position": self.position, "limit": limit}
        if not _is_postgresql(session):
            rows = session.execute(_AFTER, asked).all()
            return Log(
                [LoggedEvent(row.id, 0, row.date, _decoder.decode(row.payload), row.request_id) for row in rows],
                _last(rows, self.position),
            )
        found = session.execute(_BEYOND, asked | {"seen": list(self._seen)}).all()
        events = [
            LoggedEvent(row.id, row.transaction_id, row.date, _decoder.decode(row.payload), row.request_id)
            for row in found
        ]
        return Log(events, found[0][5] if 0 < len(found) < limit else self.position)

    def advance(self, log: Log) -> None:
        """What was read is applied."""
        self.position = log.position
        self._seen |= {logged.id: logged.transaction_id for logged in log.events if logged.transaction_id}
        self._seen = {id_: transaction for id_, transaction in self._seen.items() if transaction >= self.position}


def _is_postgresql(session: Session) -> bool:
    return session.get_bind().dialect.name == "postgresql"


def _last(rows: Sequence[Any], otherwise: int) -> int:
    return int(rows[-1][0]) if rows else otherwise


def prune(session: Session, older_than: timedelta, limit: int = 1000) -> int:
    """Deletes some events that are older; returns how many. The newest stays, whatever its age."""
    newest = select(func.max(OutboxEvent.id)).scalar_subquery()
    old = select(OutboxEvent.id).where(OutboxEvent.date < now() - older_than, OutboxEvent.id < newest).limit(limit)
    result = session.execute(
        delete(OutboxEvent).where(OutboxEvent.id.in_(old)), execution_options={"synchronize_session": False}
    )
    return int(result.rowcount)  # type: ignore[attr-defined]
