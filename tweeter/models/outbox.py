"""The outbox: what happened, committed with what it is about.

A message sent to a queue beside the transaction can be lost, or tell of something that was rolled back. A row
in the same transaction can't. (The pattern is known as the transactional outbox.) It is read as a log: every process
that keeps timelines of its own reads it from where it last was.
"""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any, NamedTuple

import msgspec
from sqlalchemy import BigInteger, FetchedValue, Index, Text, delete, func, literal_column, select
from sqlalchemy.orm import Mapped, Session, mapped_column

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

    __table_args__ = (
        Index(None, "transaction_id"),
        Index(None, "date"),
        # An id that is used twice would be an event that is never read.
        {"sqlite_autoincrement": True},
    )


class LoggedEvent(NamedTuple):
    id: int
    event: Event


class Log(NamedTuple):
    """What a reader of the log gets: events, oldest first, and from where to read on."""

    events: list[LoggedEvent]
    position: int


def record(session: Session, event: Event) -> None:
    """Adds an event to the session's transaction."""
    session.add(OutboxEvent(payload=_encoder.encode(event).decode()))


def head(session: Session) -> int:
    """The position of a reader that needs nothing of what was committed until now."""
    if session.get_bind().dialect.name == "postgresql":
        return session.scalars(select(_horizon)).one()
    return session.scalars(select(func.coalesce(func.max(OutboxEvent.id), 0))).one()


def read(session: Session, position: int, limit: int) -> Log:
    """At most `limit` events from `position` on.

    The position is such that no event before it can appear any more. On SQLite, where transactions that write come one
    after another, that is the last id. On PostgreSQL it is the oldest transaction still running: events of younger ones
    that are committed already come with each read again until it ends, so the reader has to remember them.
    """
    rows: Sequence[Any]
    if session.get_bind().dialect.name == "postgresql":
        rows = session.execute(
            select(OutboxEvent.id, OutboxEvent.payload, _horizon)
            .where(OutboxEvent.transaction_id >= position)
            .order_by(OutboxEvent.id)
            .limit(limit)
        ).all()
        next_position = rows[0][2] if rows and len(rows) < limit else position
    else:
        rows = session.execute(
            select(OutboxEvent.id, OutboxEvent.payload)
            .where(OutboxEvent.id > position)
            .order_by(OutboxEvent.id)
            .limit(limit)
        ).all()
        next_position = rows[-1][0] if rows else position
    return Log([LoggedEvent(row[0], _decoder.decode(row[1])) for row in rows], next_position)


def prune(session: Session, older_than: timedelta) -> int:
    """Deletes events that are older; returns how many. The newest stays, whatever its age."""
    newest = select(func.max(OutboxEvent.id)).scalar_subquery()
    result = session.execute(
        delete(OutboxEvent).where(OutboxEvent.date < now() - older_than, OutboxEvent.id < newest),
        execution_options={"synchronize_session": False},
    )
    return int(result.rowcount)  # type: ignore[attr-defined]


_horizon = literal_column("pg_snapshot_xmin(pg_current_snapshot())::text::bigint", BigInteger)
