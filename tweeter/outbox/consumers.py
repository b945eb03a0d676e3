"""The row of each shared store in SQL: a copy of its checkpoint, a second old at most, in case the store loses it."""

import hashlib
from datetime import timedelta
from typing import NamedTuple

from sqlalchemy import Connection, bindparam, select, update
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.orm import Session

from tweeter.models import Consumer
from tweeter.models.base import now
from tweeter.outbox import events
from tweeter.outbox.checkpoint import decode

LONGEST_NAME = 200  # as the column has it


class Row(NamedTuple):
    """The checkpoint, and the run of the store's servers to which it applies."""

    checkpoint: bytes
    run: str


def name_of(identity: str) -> str:
    """The name of a store's row; long identities are hashed."""
    return identity if len(identity) <= LONGEST_NAME else hashlib.sha256(identity.encode()).hexdigest()


def read(connection: Connection, name: str) -> Row | None:
    row = connection.execute(_READ, {"name": name}).one_or_none()
    return None if row is None else Row(*row)  # the column of run_id has another name


def write(connection: Connection, name: str, checkpoint: bytes, run: str) -> None:
    """Updates or inserts the row. The connection must be in autocommit."""
    insert = postgresql.insert if connection.dialect.name == "postgresql" else sqlite.insert
    moment = now()
    values = {Consumer.checkpoint: checkpoint, Consumer.run_id: run, Consumer.date: moment}
    if not connection.execute(update(Consumer).where(Consumer.name == name).values(values)).rowcount:
        row = insert(Consumer).values({Consumer.name: name, Consumer.holder: "", Consumer.held_until: moment, **values})
        connection.execute(row.on_conflict_do_update(index_elements=["name"], set_=values))


def lowest_needed(session: Session, keep: timedelta) -> int | None:
    """The least number of an event that a shared store may still lack; None if no store needs events.

    Stores without a delivery for longer than `keep` start cold, so they need no events.
    """
    lowest = []
    for data in session.scalars(select(Consumer.checkpoint).where(Consumer.date > now() - keep)):
        checkpoint = decode(data)
        if checkpoint is not None:
            lowest.append(checkpoint.position.seen.xmin)
        elif data:
            return 0  # a checkpoint of another version: keep all events
    return min(lowest, default=None)


def applied_last(session: Session) -> set[int]:
    """The ids of the events that shared stores applied last: they prove that a store follows this database's log."""
    found = map(decode, session.scalars(select(Consumer.checkpoint)))
    return {checkpoint.last[0] for checkpoint in found if checkpoint is not None}


def prune(session: Session, keep: timedelta) -> int:
    """Deletes a chunk of events that are older than `keep` and that no shared store needs; returns their number."""
    return events.prune(session, keep, lowest_needed(session, keep), applied_last(session))


_READ = select(Consumer.checkpoint, Consumer.run_id).where(Consumer.name == bindparam("name"))
