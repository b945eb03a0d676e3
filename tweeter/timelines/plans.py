"""Home timelines out of PostgreSQL in a few milliseconds, whomever one follows. The same ids as the talk's join.

PostgreSQL plans the join by numbers that tell nothing of those whom one follows: it reads the tweets of everybody from
the newest on, which takes half a second where ten quiet people are followed, or all that the followees ever wrote. Two
plans, tried in this order, are good for all:

recent  The newest tweets of everybody, those of the followees picked out: 0.1 µs for each tweet looked at, however many
        one follows. It finds nothing of people who tweet once a month: the newest tenth tells whether it is worth its
        time, 3 to 5 ms at most.
heads   The newest tweet of each followee, the k-th newest of these heads, and then only what is at or after that:
        3 to 5 µs for each followee, however rarely they tweet, and as much for each of the k.

What fills a timeline need not be all that fits in: it is complete down to the last id that is read, and that becomes
its floor. So a fill takes what the plans find in time. `tweeter bench fill` measures it.
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

FEW = 50  # followees, of whom everything that may be needed is read
MANY = 700  # followees, of whom it takes too long to look for every head
RECENT, RECENT_OF_MANY = 30, 30_000  # tweets that are looked at: for each followee, or where one follows many
SAMPLE, MARGIN = 10, 1.5  # the part of them that tells how many followees' there are; times as many as are needed
HEADS = 250  # followees whose tweets are read for a fill, at most
LEAST = 21  # ids that will do for a fill where one follows many: a page, and one that tells of the next


def fill(session: Session, timeline: Timeline, capacity: int) -> tuple[list[int], int]:
    """What a cold timeline begins with: its newest ids, newest first, and the floor down to which they are complete."""
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
    """As `queries.read_page`."""
    if not _planned(session, timeline):
        return queries.read_page(session, timeline, cursor)
    count = _count(session, timeline.user_id)
    need = cursor.limit + 1
    while True:
        ids = _newest(session, timeline.user_id, count, cursor._replace(limit=need), need)
        tweets = queries.load_tweets(session, ids)
        if len(tweets) == len(ids):  # none was deleted between the statements: a short page would be the last one
            return [tweets[id_] for id_ in ids]


def _planned(session: Session, timeline: Timeline) -> bool:
    """SQLite's planner takes the better plan by itself; the other timelines are walks along an index."""
    return timeline.kind == "home" and session.get_bind().dialect.name == "postgresql"


def _count(session: Session, user_id: int) -> int:
    """The number of followees, which is not counted beyond MANY."""
    return session.scalar(_COUNT, {"user_id": user_id}) or 0


def _enough(count: int) -> int:
    """How many ids will do to fill the timeline of somebody who follows so many."""
    if count <= FEW:
        return sys.maxsize  # all of it
    # The quietest quarter must not decide how far back the tweets of all the others are read.
    return min(count * 3 // 4, HEADS) if count <= MANY else LEAST


def _newest(session: Session, user_id: int, count: int, cursor: Cursor, least: int) -> list[int]:
    """The newest `least` ids of a part of a home timeline, or all; perhaps more, up to the cursor's limit."""
    looked_at = RECENT_OF_MANY if count > MANY else RECENT * count
    if count > FEW and _tweet_enough(session, user_id, cursor, looked_at, least):
        ids = recent(session, user_id, cursor, looked_at)
        if len(ids) >= least:
            return ids
    return heads(session, user_id, cursor, least)


def _tweet_enough(session: Session, user_id: int, cursor: Cursor, looked_at: int, least: int) -> bool:
    """Whether `recent` is likely to find that many: a sample of the newest tells."""
    return len(recent(session, user_id, cursor, looked_at // SAMPLE)) * SAMPLE >= least * MARGIN


def recent(session: Session, user_id: int, cursor: Cursor, looked_at: int) -> list[int]:
    """Those of a home timeline that are among the newest `looked_at` tweets of everybody."""
    return list(session.scalars(_RECENT, {"user_id": user_id, "looked_at": looked_at} | cursor._asdict()))


def heads(session: Session, user_id: int, cursor: Cursor, least: int) -> list[int]:
    """The newest `least` ids of a home timeline, and what comes to light with them, up to the cursor's limit."""
    return list(session.scalars(_HEADS, {"user_id": user_id, "least": least} | cursor._asdict()))


# Put together once, with limits that the planner sees, as in `queries`.
_looked_at = bindparam("looked_at", type_=Integer, literal_execute=True)
_least = bindparam("least", type_=Integer, literal_execute=True)
_followees = select(Relationship.to_user_id).where(
    Relationship.from_user_id == USER_ID, Relationship.to_user_id.not_in(closed_users)
)

_COUNT = select(func.count()).select_from(_followees.limit(MANY + 1).subquery())


def _recent() -> Select[int]:
    tweets = select(Tweet.id, Tweet.user_id).where(PART).order_by(Tweet.id.desc()).limit(_looked_at).subquery("tweets")
    # Because of the OR it can't be planned as a join, of which the planner takes a slow one: the followees are hashed
    # once, and the walk along the index ends with the last id that is wanted.
    theirs = or_(tweets.c.user_id.in_(_followees), tweets.c.user_id == USER_ID)
    return select(tweets.c.id).where(theirs).order_by(tweets.c.id.desc()).limit(LIMIT)


def _heads() -> Select[int]:
    sources = queries.sources(USER_ID).subquery("sources")
    newest = _of(sources.c.user_id).limit(literal_column("1")).lateral("newest")
    found = select(sources.c.user_id, newest.c.id).join(newest, true()).subquery("found")
    first = select(found).order_by(found.c.id.desc()).limit(_least).cte("first")
    # Where there are fewer heads, all tweets count.
    bound = select(case((func.count() < _least, 0), else_=func.min(first.c.id))).scalar_subquery()
    tweets = _of(first.c.user_id).where(Tweet.id >= bound).limit(LIMIT).lateral("tweets")
    return select(tweets.c.id).select_from(first).join(tweets, true()).order_by(tweets.c.id.desc()).limit(LIMIT)


def _of(user_id: ColumnElement[int]) -> Select[int]:
    """The tweets of one followee."""
    return select(Tweet.id).where(Tweet.user_id == user_id, PART).order_by(Tweet.id.desc())


_RECENT, _HEADS = _recent(), _heads()
