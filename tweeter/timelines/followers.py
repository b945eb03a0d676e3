"""Reads the followers of an author as arrays of ids, 8 bytes each: a million take 8 MB and are compared as memory.

Followers from whom the author is hidden are left out: nothing is fanned out to them.

Row by row, reading followers would cost a fan-out more than all its other work. PostgreSQL packs a stretch of them into
one value, as big-endian integers.
"""

import json
import sys
from array import array
from collections.abc import Callable, Sequence
from typing import Any

from sqlalchemy import (
    ARRAY,
    BigInteger,
    ColumnElement,
    LargeBinary,
    Select,
    bindparam,
    func,
    literal,
    literal_column,
    or_,
    select,
    text,
)
from sqlalchemy.orm import Session

from tweeter.models import Hidden, Relationship


def _followers(author: ColumnElement[int], *part: Callable[[Any], ColumnElement[bool]]) -> Select[int]:
    """The followers in a part of the ids.

    Most authors are hidden from nobody: one look-up shows it, and no follower is checked. As a plain anti-join,
    PostgreSQL may merge with the primary key of `hidden`, which is a scan of everybody's. ORDER BY: without it, it may
    scan the table for a row of an author who is hidden from many.
    """
    hidden = select(Hidden.viewer_id).where(Hidden.author_id == author, *(within(Hidden.viewer_id) for within in part))
    hidden = hidden.correlate_except(Hidden)
    from_nobody = hidden.order_by(Hidden.viewer_id).limit(literal_column("1")).scalar_subquery().is_(None)
    sees = or_(from_nobody, ~hidden.where(Hidden.viewer_id == Relationship.from_user_id).exists())
    of_author = (Relationship.to_user_id == author, *(within(Relationship.from_user_id) for within in part))
    return select(Relationship.from_user_id).where(*of_author, sees).order_by(Relationship.from_user_id)


def _packed(rows: Select[int]) -> Select[bytes]:
    # An aggregate over a sorted subquery keeps its order; ORDER BY inside the aggregate would sort a second time.
    subquery = rows.subquery("rows")
    return select(func.string_agg(func.int8send(subquery.c.from_user_id), literal(b"", LargeBinary)))


# Built once: building a statement takes longer than reading a thousand ids.
_author = bindparam("user_id", type_=BigInteger)
_rows_after = _followers(_author, lambda id_: id_ > bindparam("last"))
_rows_between = _followers(_author, lambda id_: id_.between(bindparam("first"), bindparam("last")))
_AFTER = (limited := _rows_after.limit(bindparam("limit")), _packed(limited))
_BETWEEN = (_rows_between, _packed(_rows_between))
_NTH = _rows_after.offset(bindparam("count")).limit(1)
_authors = select(func.unnest(bindparam("user_ids", type_=ARRAY(BigInteger))).label("id")).subquery("authors")
_rows_of_each = _followers(_authors.c.id).limit(bindparam("limit")).correlate(_authors)
_OF_EACH = select(_authors.c.id, _packed(_rows_of_each).scalar_subquery())
_OF_EACH_AS_TEXT = text(
    """
    SELECT authors.value, (
        SELECT group_concat(from_user_id) FROM (
            SELECT from_user_id FROM relationships
            WHERE to_user_id = authors.value AND NOT EXISTS (
                SELECT 1 FROM hidden WHERE author_id = authors.value AND viewer_id = from_user_id
            )
            ORDER BY from_user_id LIMIT :limit
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
