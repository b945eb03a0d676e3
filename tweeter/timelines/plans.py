"""Reads home timelines from PostgreSQL in a few milliseconds, for any followees. The same ids as the talk's join.

PostgreSQL has no statistics about a user's followees. So it plans the join in one of two slow ways: it scans
the newest tweets of all users, which takes half a second for ten quiet followees, or reads all tweets of the followees.
Two plans, tried in this order, are fast for every user:

recent  Filters the newest tweets of all users by followee: 0.1 µs per tweet scanned, for any number of followees. It
        finds nothing of people who tweet once a month: a sample, the newest tenth, predicts whether it will succeed.
        It takes 3 to 5 ms at most.
heads   Reads the newest tweet of each followee (the heads), finds the k-th newest head, and reads only tweets not older
        than that: 3 to 5 µs per followee, however rarely they tweet, and as much for each of the k.

A backfill may be partial: the timeline is complete down to the last id read, which becomes its floor. So a backfill
takes the ids that the plans find in time. `tweeter bench fill` measures it.
"""

import sys
from typing import Any

from sqlalchemy import (
    ColumnElement,
    CompoundSelect,
    Integer,
    Select,
    bindparam,
    case,
    func,
    literal_column,
    or_,
    select,
    true,
    union_all,
)
from sqlalchemy.orm import Session

from tweeter.models import Relationship, Tweet, closed_users, hidden_from
from tweeter.timelines.kind import LIMIT, OWNER, within
from tweeter.timelines.queries import references
from tweeter.values import Cursor, Slice

FEW = 50  # followees; up to this many, a backfill reads up to the capacity
MANY = 700  # followees; beyond this, reading every head takes too long
RECENT, RECENT_OF_MANY = 30, 30_000  # tweets that `recent` scans: per followee; beyond MANY followees, in all
SAMPLE, MARGIN = 10, 1.5  # the sample is a tenth of them; it must predict 1.5 times the ids needed
HEADS = 250  # followees whose tweets are read for a backfill, at most
LEAST = 21  # ids that suffice for a backfill beyond MANY followees: a page, and one id that shows that another follows


def backfill(session: Session, owner: int, capacity: int) -> Slice:
    """The newest ids to backfill a cold timeline with, and the floor down to which they are complete."""
    count = _count(session, owner)
    least = min(capacity + 1, _enough(count))
    ids = _newest(session, owner, count, Cursor(limit=capacity + 1), least)
    floor = 0 if len(ids) < least else ids[:capacity][-1]
    kept = ids[:capacity] if floor else ids
    return Slice(kept, floor, of=references(session, kept))


def newest(session: Session, owner: int, cursor: Cursor) -> list[int]:
    """The ids of the newest entries of a part of a home timeline, of reposts that are not shown, too."""
    return _newest(session, owner, _count(session, owner), cursor, cursor.limit)


def sources(owner: ColumnElement[int]) -> CompoundSelect[Any]:
    """The ids of the authors of a home timeline: the user, and those followees who are not hidden from the user."""
    return union_all(_followees(owner), select(owner))


def _followees(owner: ColumnElement[int]) -> Select[Any]:
    return select(Relationship.to_user_id.label("user_id")).where(
        Relationship.from_user_id == owner,
        Relationship.to_user_id.not_in(closed_users),
        Relationship.to_user_id.not_in(hidden_from(owner)),
    )


def _count(session: Session, owner: int) -> int:
    """The number of followees, counted up to MANY + 1."""
    return session.scalar(_COUNT, {"owner": owner}) or 0


def _enough(count: int) -> int:
    """How many ids suffice to backfill the timeline of a user with `count` followees."""
    if count <= FEW:
        return sys.maxsize  # all of it
    # The quietest quarter of the followees must not decide how far back the tweets of all others are read.
    return min(count * 3 // 4, HEADS) if count <= MANY else LEAST


def _newest(session: Session, owner: int, count: int, cursor: Cursor, least: int) -> list[int]:
    """At least the newest `least` ids of a part of a home timeline, or all; at most the cursor's limit."""
    looked_at = RECENT_OF_MANY if count > MANY else RECENT * count
    if count > FEW and _tweet_enough(session, owner, cursor, looked_at, least):
        ids = recent(session, owner, cursor, looked_at)
        if len(ids) >= least:
            return ids
    return heads(session, owner, cursor, least)


def _tweet_enough(session: Session, owner: int, cursor: Cursor, looked_at: int, least: int) -> bool:
    """Whether `recent` is likely to find `least` ids, estimated from a sample of the newest tweets."""
    return len(recent(session, owner, cursor, looked_at // SAMPLE)) * SAMPLE >= least * MARGIN


def recent(session: Session, owner: int, cursor: Cursor, looked_at: int) -> list[int]:
    """The ids of a home timeline among the newest `looked_at` tweets of all users."""
    return list(session.scalars(_RECENT, {"owner": owner, "looked_at": looked_at} | cursor._asdict()))


def heads(session: Session, owner: int, cursor: Cursor, least: int) -> list[int]:
    """The newest `least` ids of a home timeline, and others found with them, up to the cursor's limit."""
    return list(session.scalars(_HEADS, {"owner": owner, "least": least} | cursor._asdict()))


# Built once, with literal limits that the planner sees, as in `queries`.
_looked_at = bindparam("looked_at", type_=Integer, literal_execute=True)
_least = bindparam("least", type_=Integer, literal_execute=True)

_COUNT = select(func.count()).select_from(_followees(OWNER).limit(MANY + 1).subquery())


def _recent() -> Select[int]:
    tweets = (
        select(Tweet.id, Tweet.user_id)
        .where(within(Tweet.id))
        .order_by(Tweet.id.desc())
        .limit(_looked_at)
        .subquery("tweets")
    )
    # The OR prevents a join, for which the planner would choose a slow plan. So the followees are hashed once, and the
    # index scan ends at the limit.
    theirs = or_(tweets.c.user_id.in_(_followees(OWNER)), tweets.c.user_id == OWNER)
    return select(tweets.c.id).where(theirs).order_by(tweets.c.id.desc()).limit(LIMIT)


def _heads() -> Select[int]:
    authors = sources(OWNER).subquery("sources")
    newest = _of(authors.c.user_id).limit(literal_column("1")).lateral("newest")
    found = select(authors.c.user_id, newest.c.id).join(newest, true()).subquery("found")
    first = select(found).order_by(found.c.id.desc()).limit(_least).cte("first")
    # With fewer heads there is no bound.
    bound = select(case((func.count() < _least, 0), else_=func.min(first.c.id))).scalar_subquery()
    tweets = _of(first.c.user_id).where(Tweet.id >= bound).limit(LIMIT).lateral("tweets")
    return select(tweets.c.id).select_from(first).join(tweets, true()).order_by(tweets.c.id.desc()).limit(LIMIT)


def _of(user_id: ColumnElement[int]) -> Select[int]:
    """The tweets of one followee."""
    return select(Tweet.id).where(Tweet.user_id == user_id, within(Tweet.id)).order_by(Tweet.id.desc())


_RECENT, _HEADS = _recent(), _heads()
