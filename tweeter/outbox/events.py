"""The outbox: events, committed in the transaction of the changes they describe (transactional outbox).

A message to a queue outside the transaction may be lost, or describe a change that was rolled back. A row in the same
transaction cannot. The relays read the outbox as a log: each reads the events beyond its store's position.
"""

from collections.abc import Collection
from datetime import timedelta

import msgspec
from sqlalchemy import BigInteger, Integer, delete, func, literal_column, select
from sqlalchemy.orm import Session

from tweeter import measure
from tweeter.db.sessions import write
from tweeter.models import OutboxEvent
from tweeter.models.base import now
from tweeter.values import Event

COUNTED = 10_000  # rows that are counted one by one
RECORDED = "events recorded"


def encode(event: Event) -> str:
    """The payload of an event."""
    return msgspec.json.encode(event).decode()


def record(session: Session, event: Event) -> None:
    """Adds an event to the session's transaction, and sets RECORDED in the session's info."""
    # Outside of requests it has an id of its own: a restored database may repeat the payload under the same number.
    request_id = (measure.current() or measure.Meter()).request_id
    session.info[RECORDED] = True
    session.add(OutboxEvent(payload=encode(event), request_id=request_id))


# The number of the event that this transaction records next, by dialect (see `tweeter.outbox.log`), in the
# restore epoch of the site (see `tweeter.outbox.checkpoint`).
_EPOCH = f"(SELECT coalesce(max(epoch), 0) * {2**48} FROM site)"  # noqa: S608
_NEXT_ID = "(SELECT coalesce(max(seq), 0) + 1 FROM sqlite_sequence WHERE name = 'outbox')"
NUMBER = {
    "postgresql": literal_column(f"{_EPOCH} + pg_current_xact_id()::text::bigint", BigInteger),
    "sqlite": literal_column(f"{_EPOCH} + {_NEXT_ID}", Integer),
}


def size(session: Session, kept: Collection[int] = ()) -> tuple[int, float]:
    """The number of rows, and the age of the oldest in seconds; zeros if there are none.

    Beyond `COUNTED` rows the span of their ids is their number. Rows with the ids `kept` do not count.
    """
    others = OutboxEvent.id.not_in(kept)
    count = session.scalar(
        select(func.count()).select_from(select(OutboxEvent.id).where(others).limit(COUNTED + 1).subquery())
    )
    first = session.execute(
        select(OutboxEvent.id, OutboxEvent.date).where(others).order_by(OutboxEvent.id).limit(1)
    ).first()
    if not count or first is None:
        return 0, 0.0
    if count > COUNTED:
        count = (session.scalar(select(func.max(OutboxEvent.id))) or 0) - first.id + 1
    return count, max(0.0, (now() - first.date).total_seconds())


def prune(
    session: Session,
    older_than: timedelta,
    needed: int | None = None,
    kept: Collection[int] = (),
    limit: int = 1000,
) -> int:
    """Deletes up to `limit` events that are older than `older_than`; returns their number.

    It keeps events whose number (see `NUMBER`) is `needed` or greater, the newest event, and those with the ids `kept`,
    whatever their age.
    """
    newest = select(func.max(OutboxEvent.id)).scalar_subquery()
    old = select(OutboxEvent.id).where(
        OutboxEvent.date < now() - older_than, OutboxEvent.id < newest, OutboxEvent.id.not_in(kept)
    )
    old = old.limit(limit)
    if needed is not None:
        sqlite = session.get_bind().dialect.name == "sqlite"
        old = old.where((OutboxEvent.id if sqlite else OutboxEvent.transaction_id) < needed)
    return write(session, delete(OutboxEvent).where(OutboxEvent.id.in_(old)))
