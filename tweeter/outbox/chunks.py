"""The chunks of large fan-outs that workers were given: one row each, which the worker deletes when it is done.

Messages of the broker may be lost, late or repeated. A worker begins a chunk only while its row is `GIVEN`, and the
holder of the lease learns from the rows what is done. Sessions are in autocommit.
"""

from collections.abc import Collection, Iterable
from datetime import datetime
from enum import IntEnum
from typing import NamedTuple

from sqlalchemy import Table, bindparam, delete, insert, select, update
from sqlalchemy.orm import Session

from tweeter.db.sessions import write
from tweeter.models import FanOutChunk

ATTEMPTS = 3  # workers that may begin a chunk


class State(IntEnum):
    GIVEN = 0  # to a worker, which may have begun it
    FAILED = 1  # the last worker reported an error
    DONE = 2  # by one of several workers that began it; by the only one: the row is deleted
    CANCELLED = 3  # taken back: no worker may begin it any more


class Row(NamedTuple):
    id: int
    attempts: int
    state: int
    date: datetime


def give(session: Session, store: str, ids: Iterable[int]) -> None:
    session.execute(_GIVE, [{"id": id_, "store": store} for id_ in ids])


def look(session: Session, store: str) -> dict[int, Row]:
    """All rows of a store, by id."""
    return {row.id: Row(*row) for row in session.execute(_LOOK, {"store": store})}


def begin(session: Session, id_: int) -> int | None:
    """A worker begins a chunk. Returns which attempt this is; None if the chunk is done, or must not be begun."""
    attempt: int | None = session.scalar(_BEGIN, {"id_": id_})
    return attempt


def finish(session: Session, id_: int) -> None:
    """The chunk is done. The row stays if another worker began it, too, which may have died after a write."""
    if not session.execute(_FINISH, {"id_": id_}).rowcount:  # type: ignore[attr-defined]
        session.execute(_MARK, {"id_": id_, "marked": State.DONE})


def fail(session: Session, id_: int) -> None:
    session.execute(_MARK, {"id_": id_, "marked": State.FAILED})


def give_again(session: Session, id_: int) -> None:
    write(session, update(FanOutChunk).where(FanOutChunk.id == id_).values(state=State.GIVEN))


def cancel(session: Session, store: str, ids: Collection[int] | None = None) -> list[Row]:
    """Cancels these chunks, or all of the store; returns their rows."""
    chosen = update(FanOutChunk).where(FanOutChunk.store == store).values(state=State.CANCELLED)
    if ids is not None:
        chosen = chosen.where(FanOutChunk.id.in_(ids))
    rows = session.execute(chosen.returning(*_COLUMNS), execution_options={"synchronize_session": False})
    return [Row(*row) for row in rows]


def forget(session: Session, ids: Collection[int]) -> None:
    write(session, delete(FanOutChunk).where(FanOutChunk.id.in_(ids)))


_COLUMNS = (FanOutChunk.id, FanOutChunk.attempts, FanOutChunk.state, FanOutChunk.date)
_GIVE = insert(FanOutChunk)
_LOOK = select(*_COLUMNS).where(FanOutChunk.store == bindparam("store"))
# Tables, because statements of the ORM take longer.
_TABLE: Table = FanOutChunk.__table__  # type: ignore[assignment]
_GIVEN = (_TABLE.c.id == bindparam("id_")) & (_TABLE.c.state == State.GIVEN)
_BEGIN = (
    update(_TABLE)
    .where(_GIVEN, _TABLE.c.attempts < ATTEMPTS)
    .values(attempts=_TABLE.c.attempts + 1)
    .returning(_TABLE.c.attempts)
)
_FINISH = delete(_TABLE).where(_GIVEN, _TABLE.c.attempts == 1)
_MARK = update(_TABLE).where(_GIVEN).values(state=bindparam("marked"))
