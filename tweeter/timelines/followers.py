"""Reads the followers of an author as arrays of ids, 8 bytes each: a million take 8 MB and are compared as memory.

Row by row, reading followers would cost a fan-out more than all its other work. PostgreSQL packs a stretch of them into
one value, as big-endian integers.
"""

import json
import sys
from array import array
from collections.abc import Sequence

from sqlalchemy import ARRAY, BigInteger, LargeBinary, Select, bindparam, func, literal, select, text
from sqlalchemy.orm import Session

from tweeter.models import Relationship

_rows = (
    select(Relationship.from_user_id)
    .where(Relationship.to_user_id == bindparam("user_id"))
    .order_by(Relationship.from_user_id)
)


def _packed(rows: Select[int]) -> Select[bytes]:
    # An aggregate over a sorted subquery keeps its order; ORDER BY inside the aggregate would sort a second time.
    subquery = rows.subquery("rows")
    return select(func.string_agg(func.int8send(subquery.c.from_user_id), literal(b"", LargeBinary)))


# Built once: building a statement takes longer than reading a thousand ids.
_rows_after = _rows.where(Relationship.from_user_id > bindparam("last")).limit(bindparam("limit"))
_rows_between = _rows.where(Relationship.from_user_id.between(bindparam("first"), bindparam("last")))
_AFTER = (_rows_after, _packed(_rows_after))
_BETWEEN = (_rows_between, _packed(_rows_between))
_NTH = _rows.where(Relationship.from_user_id > bindparam("last")).offset(bindparam("count")).limit(1)
_authors = select(func.unnest(bindparam("user_ids", type_=ARRAY(BigInteger))).label("id")).subquery("authors")
_rows_of_each = (
    select(Relationship.from_user_id)
    .where(Relationship.to_user_id == _authors.c.id)
    .order_by(Relationship.from_user_id)
    .limit(bindparam("limit"))
    .correlate(_authors)
)
_OF_EACH = select(_authors.c.id, _packed(_rows_of_each).scalar_subquery())
_OF_EACH_AS_TEXT = text(
    """
    SELECT authors.value, (
        SELECT group_concat(from_user_id) FROM (
            SELECT from_user_id FROM relationships WHERE to_user_id = authors.value ORDER BY from_user_id LIMIT :limit
        )
    ) FROM json_each(:user_ids) AS authors
    """
)


def after(session: Session, user_id: int, last: int, limit: int) -> "array[int]":
    """The ids of the next `limit` followers above `last`, in ascending order."""
    return _read(session, *_AFTER, user_id=user_id, last=last, limit=limit)


def nth(session: Session, user_id: int, last: int, count: int) -> int | None:
    """The id of the follower behind the next `count` above `last`; None if there are no more than that."""
    found: int | None = session.scalar(_NTH, {"user_id": user_id, "last": last, "count": count})
    return found


def between(session: Session, user_id: int, first: int, last: int) -> "array[int]":
    """The ids of the followers in a range of ids, in ascending order."""
    return _read(session, *_BETWEEN, user_id=user_id, first=first, last=last)


def of_each(session: Session, user_ids: Sequence[int], limit: int) -> "dict[int, array[int]]":
    """The ids of the first `limit` followers of each author, in ascending order; in one statement."""
    if session.get_bind().dialect.name != "postgresql":
        texts = session.execute(_OF_EACH_AS_TEXT, {"user_ids": json.dumps(list(user_ids)), "limit": limit})
        return {user_id: array("q", map(int, joined.split(",") if joined else ())) for user_id, joined in texts}
    rows = session.execute(_OF_EACH, {"user_ids": list(user_ids), "limit": limit})
    return {user_id: _unpacked(packed) for user_id, packed in rows}


def _read(session: Session, rows: Select[int], packed: Select[bytes], **values: int) -> "array[int]":
    if session.get_bind().dialect.name != "postgresql":
        return array("q", session.scalars(rows, values))
    return _unpacked(session.scalar(packed, values))


def _unpacked(packed: bytes | None) -> "array[int]":
    ids = array("q", packed or b"")
    if sys.byteorder == "little":
        ids.byteswap()
    return ids
