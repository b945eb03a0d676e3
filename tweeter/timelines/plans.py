"""Reads home timelines from PostgreSQL in a few milliseconds, for any followees. The same ids as the talk's join.

PostgreSQL's statistics tell nothing about a user's followees. So it plans the join in one of two slow ways: it scans
the newest tweets of everybody, which takes half a second for ten quiet followees, or reads all tweets of the followees.
Two plans, tried in this order, are fast for every user:

recent  Filters the newest tweets of everybody by followee: 0.1 µs per tweet scanned, for any number of followees. It
        finds nothing of people who tweet once a month: a sample, the newest tenth, predicts whether it will succeed.
        It takes 3 to 5 ms at most.
heads   Reads the newest tweet of each followee (the heads), finds the k-th newest head, and reads only tweets not older
        than that: 3 to 5 µs per followee, however rarely they tweet, and as much for each of the k.

A backfill may be partial: the timeline is complete down to the last id read, which becomes its floor. So a backfill
takes the ids that the plans find in time. `tweeter bench fill` measures it.
"""

import sys

from sqlalchemy import (
    ColumnElement,
    Integer,
    Select,
    bindparam,
    case,
    func,
    literal_column,
    or_,
    select,
    true,
)
from sqlalchemy.orm import Session

from tweeter.models import Relationship, Tweet, closed_users
from tweeter.timelines import queries
from tweeter.timelines.queries import LIMIT, PART, USER_ID
from tweeter.values import Cursor, Timeline, TweetView

FEW = 50  # followees; up to this many, a backfill reads up to the capacity
MANY = 700  # followees; beyond this, reading every head takes too long
RECENT, RECENT_OF_MANY = 30, 30_000  # tweets that `recent` scans: per followee; beyond MANY followees, in all
SAMPLE, MARGIN = 10, 1.5  # the sample is a tenth of them; it must predict 1.5 times the ids needed
HEADS = 250  # followees whose tweets are read for a backfill, at most
LEAST = 21  # ids that suffice for a backfill beyond MANY followees: a page, and one id that shows that another follows


def fill(session: Session, timeline: Timeline, capacity: int) -> tuple[list[int], int]:
    """The newest ids to backfill a cold timeline with, newest first, and the floor down to which they are complete."""
    if not _planned(session, timeline):
        ids = queries.read_ids(session, timeline, capacity + 1)
        least = capacity + 1
    else:
        count = _count(session, timeline.user_id)
        least = min(capacity + 1, _enough(count))
        ids = _newest(session, timeline.user_id, count, Cursor(limit=capacity + 1), least)
    if len(ids) < least:
        return ids, 0
    return ids[:capacity], ids[:capacity][-1]


def read_page(session: Session, timeline: Timeline, cursor: Cursor) -> list[TweetView]:
    """Like `queries.read_page`."""
    if not _planned(session, timeline):
        return queries.read_page(session, timeline, cursor)
    count = _count(session, timeline.user_id)
    need = cursor.limit + 1
    while True:
        ids = _newest(session, timeline.user_id, count, cursor._replace(limit=need), need)
        tweets = queries.load_tweets(session, ids)
        if len(tweets) == len(ids):  # else one was deleted between the statements, and a short page would end paging
            return [tweets[id_] for id_ in ids]


def _planned(session: Session, timeline: Timeline) -> bool:
    """SQLite's planner chooses the better plan by itself; the other timelines are index scans."""
    return timeline.kind == "home" and session.get_bind().dialect.name == "postgresql"


def _count(session: Session, user_id: int) -> int:
    """The number of followees, counted up to MANY + 1."""
    return session.scalar(_COUNT, {"user_id": user_id}) or 0


def _enough(count: int) -> int:
    """How many ids suffice to backfill the timeline of a user with `count` followees."""
    if count <= FEW:
        return sys.maxsize  # all of it
    # The quietest quarter of the followees must not decide how far back the tweets of all others are read.
    return min(count * 3 // 4, HEADS) if count <= MANY else LEAST


def _newest(session: Session, user_id: int, count: int, cursor: Cursor, least: int) -> list[int]:
    """At least the newest `least` ids of a part of a home timeline, or all; at most the cursor's limit."""
    looked_at = RECENT_OF_MANY if count > MANY else RECENT * count
    if count > FEW and _tweet_enough(session, user_id, cursor, looked_at, least):
        ids = recent(session, user_id, cursor, looked_at)
        if len(ids) >= least:
            return ids
    return heads(session, user_id, cursor, least)


def _tweet_enough(session: Session, user_id: int, cursor: Cursor, looked_at: int, least: int) -> bool:
    """Whether `recent` is likely to find `least` ids, estimated from a sample of the newest tweets."""
    return len(recent(session, user_id, cursor, looked_at // SAMPLE)) * SAMPLE >= least * MARGIN


def recent(session: Session, user_id: int, cursor: Cursor, looked_at: int) -> list[int]:
    """The ids of a home timeline among the newest `looked_at` tweets of everybody."""
    return list(session.scalars(_RECENT, {"user_id": user_id, "looked_at": looked_at} | cursor._asdict()))


def heads(session: Session, user_id: int, cursor: Cursor, least: int) -> list[int]:
    """The newest `least` ids of a home timeline, and others found with them, up to the cursor's limit."""
    return list(session.scalars(_HEADS, {"user_id": user_id, "least": least} | cursor._asdict()))


# Built once, with literal limits that the planner sees, as in `queries`.
_looked_at = bindparam("looked_at", type_=Integer, literal_execute=True)
_least = bindparam("least", type_=Integer, literal_execute=True)
_followees = select(Relationship.to_user_id).where(
    Relationship.from_user_id == USER_ID, Relationship.to_user_id.not_in(closed_users)
)

_COUNT = select(func.count()).select_from(_followees.limit(MANY + 1).subquery())


def _recent() -> Select[int]:
    tweets = select(Tweet.id, Tweet.user_id).where(PART).order_by(Tweet.id.desc()).limit(_looked_at).subquery("tweets")
    # The OR prevents a join, for which the planner would choose a slow plan. So the followees are hashed once, and the
    # index scan ends at the limit.
    theirs = or_(tweets.c.user_id.in_(_followees), tweets.c.user_id == USER_ID)
    return select(tweets.c.id).where(theirs).order_by(tweets.c.id.desc()).limit(LIMIT)


def _heads() -> Select[int]:
    sources = queries.sources(USER_ID).subquery("sources")
    newest = _of(sources.c.user_id).limit(literal_column("1")).lateral("newest")
    found = select(sources.c.user_id, newest.c.id).join(newest, true()).subquery("found")
    first = select(found).order_by(found.c.id.desc()).limit(_least).cte("first")
    # With fewer heads there is no bound.
    bound = select(case((func.count() < _least, 0), else_=func.min(first.c.id))).scalar_subquery()
    tweets = _of(first.c.user_id).where(Tweet.id >= bound).limit(LIMIT).lateral("tweets")
    return select(tweets.c.id).select_from(first).join(tweets, true()).order_by(tweets.c.id.desc()).limit(LIMIT)


def _of(user_id: ColumnElement[int]) -> Select[int]:
    """The tweets of one followee."""
    return select(Tweet.id).where(Tweet.user_id == user_id, PART).order_by(Tweet.id.desc())


_RECENT, _HEADS = _recent(), _heads()
