"""The followers of an author as arrays of ids, 8 bytes each: a million of them are 8 MB, and compared in no time.

A row at a time they would cost a fan-out more than everything else it does. PostgreSQL packs a stretch of them into one
value, as big-endian integers.
"""

import sys
from array import array

from sqlalchemy import LargeBinary, Select, bindparam, func, literal, select
from sqlalchemy.orm import Session

from tweeter.models import Relationship

_rows = (
    select(Relationship.from_user_id)
    .where(Relationship.to_user_id == bindparam("user_id"))
    .order_by(Relationship.from_user_id)
)


def _packed(rows: Select[int]) -> Select[bytes]:
    # An aggregate over a sorted subquery takes the rows in its order; ORDER BY within it would sort once more.
    subquery = rows.subquery("rows")
    return select(func.string_agg(func.int8send(subquery.c.from_user_id), literal(b"", LargeBinary)))


# To put a statement together takes longer than to read a thousand ids: these are put together once.
_rows_after = _rows.where(Relationship.from_user_id > bindparam("last")).limit(bindparam("limit"))
_rows_between = _rows.where(Relationship.from_user_id.between(bindparam("first"), bindparam("last")))
_AFTER = (_rows_after, _packed(_rows_after))
_BETWEEN = (_rows_between, _packed(_rows_between))


def after(session: Session, user_id: int, last: int, limit: int) -> "array[int]":
    """The ids of the next `limit` followers, in ascending order; those greater than `last`."""
    return _read(session, *_AFTER, user_id=user_id, last=last, limit=limit)


def between(session: Session, user_id: int, first: int, last: int) -> "array[int]":
    """The ids of the followers in a range of ids, in ascending order."""
    return _read(session, *_BETWEEN, user_id=user_id, first=first, last=last)


def _read(session: Session, rows: Select[int], packed: Select[bytes], **values: int) -> "array[int]":
    if session.get_bind().dialect.name != "postgresql":
        return array("q", session.scalars(rows, values))
    ids = array("q", session.scalar(packed, values) or b"")
    if sys.byteorder == "little":
        ids.byteswap()
    return ids
