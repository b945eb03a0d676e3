"""The outbox: what happened, committed with what it is about.

A message sent to a queue beside the transaction can be lost, or tell of something that was rolled back. A row
in the same transaction can't. (The pattern is known as the transactional outbox.) It is read as a log: every process
that keeps timelines of its own reads it from where it last was.
"""

from datetime import datetime, timedelta

import msgspec
from sqlalchemy import (
    BigInteger,
    FetchedValue,
    Index,
    Integer,
    String,
    Text,
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
        Index(None, "transaction_id", "id"),
        Index(None, "date"),
        # An id that is used twice would be an event that is never read.
        {"sqlite_autoincrement": True},
    )


def record(session: Session, event: Event) -> None:
    """Adds an event to the session's transaction."""
    meter = measure.current()
    session.add(OutboxEvent(payload=_encoder.encode(event).decode(), request_id=meter.request_id if meter else None))


# The number of the event that this transaction records next, by dialect: see `tweeter.delivery.position`.
NUMBER = {
    "postgresql": literal_column("pg_current_xact_id()::text::bigint", BigInteger),
    "sqlite": literal_column("(SELECT coalesce(max(seq), 0) + 1 FROM sqlite_sequence WHERE name = 'outbox')", Integer),
}


def prune(session: Session, older_than: timedelta) -> int:
    """Deletes events that are older; returns how many. The newest stays, whatever its age."""
    newest = select(func.max(OutboxEvent.id)).scalar_subquery()
    result = session.execute(
        delete(OutboxEvent).where(OutboxEvent.date < now() - older_than, OutboxEvent.id < newest),
        execution_options={"synchronize_session": False},
    )
    return int(result.rowcount)  # type: ignore[attr-defined]
