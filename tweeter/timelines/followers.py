"""The followers of an author as arrays of ids, 8 bytes each: a million of them are 8 MB, and compared in no time.

A row at a time they would cost a fan-out more than everything else it does. PostgreSQL packs a stretch of them into one
value, as big-endian integers.
"""

import sys
from array import array

from sqlalchemy import LargeBinary, Select, func, literal, select
from sqlalchemy.orm import Session

from tweeter.models import Relationship


def after(session: Session, user_id: int, last: int, limit: int) -> "array[int]":
    """The ids of the next `limit` followers, in ascending order; those greater than `last`."""
    return _read(session, _followers(user_id).where(Relationship.from_user_id > last).limit(limit))


def between(session: Session, user_id: int, first: int, last: int) -> "array[int]":
    """The ids of the followers in a range of ids, in ascending order."""
    return _read(session, _followers(user_id).where(Relationship.from_user_id.between(first, last)))


def _followers(user_id: int) -> Select[int]:
    return (
        select(Relationship.from_user_id).where(Relationship.to_user_id == user_id).order_by(Relationship.from_user_id)
    )


def _read(session: Session, query: Select[int]) -> "array[int]":
    if session.get_bind().dialect.name != "postgresql":
        return array("q", session.scalars(query))
    rows = query.subquery("rows")
    # An aggregate over a sorted subquery takes the rows in its order; ORDER BY within it would sort once more.
    packed = session.scalar(select(func.string_agg(func.int8send(rows.c.from_user_id), literal(b"", LargeBinary))))
    ids = array("q", packed or b"")
    if sys.byteorder == "little":
        ids.byteswap()
    return ids
