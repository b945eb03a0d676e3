"""Reads the timelines of many authors from PostgreSQL in a few milliseconds: home timelines and lists.

PostgreSQL has no statistics about a user's followees. So it plans the talk's join in one of two slow ways: it scans
the newest tweets of all users, which takes half a second for ten quiet followees, or reads all tweets of the followees.
The same is true of a list's members. Two plans, tried in this order, are fast for all authors, and read the same ids:

recent  Filters the newest tweets of all users by author: 0.1 µs per tweet scanned, for any number of authors. It
        finds nothing of people who tweet once a month: a sample, the newest tenth, predicts whether it will succeed.
        It takes 3 to 5 ms at most.
heads   Reads the newest tweet of each author (the heads), finds the k-th newest head, and reads only tweets not older
        than that: 3 to 5 µs per author, however rarely they tweet, and as much for each of the k.

A backfill may be partial: the timeline is complete down to the last id read, which becomes its floor. So a backfill
takes the ids that the plans find in time. `tweeter bench fill` measures it.
"""

import sys
from collections.abc import Callable
from functools import cached_property
from typing import Any

from sqlalchemy import ColumnElement, Integer, Select, bindparam, case, func, literal_column, or_, select, true
from sqlalchemy.orm import Session

from tweeter.models import Tweet
from tweeter.timelines.kind import LIMIT, OWNER, within
from tweeter.timelines.queries import references
from tweeter.timelines.reposts import RepostingKind
from tweeter.values import NOBODY, Cursor, Entry, Slice, Viewer

FEW = 50  # authors; up to this many, a backfill reads up to the capacity
MANY = 700  # authors; beyond this, reading every head takes too long
RECENT, RECENT_OF_MANY = 30, 30_000  # tweets that `recent` scans: per author; beyond MANY authors, in all
SAMPLE, MARGIN = 10, 1.5  # the sample is a tenth of them; it must predict 1.5 times the ids needed
HEADS = 250  # authors whose tweets are read for a backfill, at most
LEAST = 21  # ids that suffice for a backfill beyond MANY authors: a page, and one id that shows that another follows


class PlannedKind(RepostingKind):
    """A kind whose timelines may have thousands of authors. SQLite's planner chooses the better plan by itself."""

    @cached_property
    def plans(self) -> "Plans":
        return Plans(self.authors)

    def read_page_quickly(self, session: Session, owner: int, cursor: Cursor, viewer: Viewer = NOBODY) -> list[Entry]:
        if session.get_bind().dialect.name != "postgresql":
            return self.read_page(session, owner, cursor, viewer)
        need, before = cursor.limit + 1, cursor.before
        entries: list[Entry] = []
        while len(entries) < need:
            ids = self.plans.newest(session, owner, cursor._replace(before=before, limit=need))
            entries += self.shown_among(session, owner, ids, viewer)
            if len(ids) < need:
                break
            before = ids[-1]
        return entries[:need]

    def backfill(self, session: Session, owner: int, capacity: int) -> Slice:
        if session.get_bind().dialect.name == "postgresql":
            return self.plans.backfill(session, owner, capacity)
        return super().backfill(session, owner, capacity)


class Plans:
    """The plans for timelines whose authors `authors(owner)` selects."""

    def __init__(self, authors: Callable[[ColumnElement[int]], Any]) -> None:
        # Built once, with literal limits that the planner sees, as in `queries`.
        self._count_authors = select(func.count()).select_from(authors(OWNER).limit(MANY + 1).subquery())
        self._recent, self._heads = _recent(authors(OWNER)), _heads(authors(OWNER))

    def backfill(self, session: Session, owner: int, capacity: int) -> Slice:
        """The newest ids to backfill a cold timeline with, and the floor down to which they are complete."""
        count = self.count(session, owner)
        least = min(capacity + 1, _enough(count))
        ids = self._newest(session, owner, count, Cursor(limit=capacity + 1), least)
        floor = 0 if len(ids) < least else ids[:capacity][-1]
        kept = ids[:capacity] if floor else ids
        return Slice(kept, floor, of=references(session, kept))

    def newest(self, session: Session, owner: int, cursor: Cursor) -> list[int]:
        """The ids of the newest entries of a part of a timeline, of reposts that are not shown, too."""
        return self._newest(session, owner, self.count(session, owner), cursor, cursor.limit)

    def count(self, session: Session, owner: int) -> int:
        """The number of authors, counted up to MANY + 1."""
        return session.scalar(self._count_authors, {"owner": owner}) or 0

    def recent(self, session: Session, owner: int, cursor: Cursor, looked_at: int) -> list[int]:
        """The ids of a timeline among the newest `looked_at` tweets of all users."""
        return list(session.scalars(self._recent, {"owner": owner, "looked_at": looked_at} | cursor._asdict()))

    def heads(self, session: Session, owner: int, cursor: Cursor, least: int) -> list[int]:
        """The newest `least` ids of a timeline, and others found with them, up to the cursor's limit."""
        return list(session.scalars(self._heads, {"owner": owner, "least": least} | cursor._asdict()))

    def _newest(self, session: Session, owner: int, count: int, cursor: Cursor, least: int) -> list[int]:
        """At least the newest `least` ids of a part of a timeline, or all; at most the cursor's limit."""
        looked_at = RECENT_OF_MANY if count > MANY else RECENT * count
        if count > FEW and self._tweet_enough(session, owner, cursor, looked_at, least):
            ids = self.recent(session, owner, cursor, looked_at)
            if len(ids) >= least:
                return ids
        return self.heads(session, owner, cursor, least)

    def _tweet_enough(self, session: Session, owner: int, cursor: Cursor, looked_at: int, least: int) -> bool:
        """Whether `recent` is likely to find `least` ids, estimated from a sample of the newest tweets."""
        return len(self.recent(session, owner, cursor, looked_at // SAMPLE)) * SAMPLE >= least * MARGIN


def _enough(count: int) -> int:
    """How many ids suffice to backfill a timeline of `count` authors."""
    if count <= FEW:
        return sys.maxsize  # all of it
    # The quietest quarter of the authors must not decide how far back the tweets of all others are read.
    return min(count * 3 // 4, HEADS) if count <= MANY else LEAST


_looked_at = bindparam("looked_at", type_=Integer, literal_execute=True)
_least = bindparam("least", type_=Integer, literal_execute=True)


def _recent(authors: Any) -> Select[int]:
    tweets = (
        select(Tweet.id, Tweet.user_id)
        .where(within(Tweet.id))
        .order_by(Tweet.id.desc())
        .limit(_looked_at)
        .subquery("tweets")
    )
    # The OR, which is never true, prevents a join, for which the planner would choose a slow plan. So the authors are
    # hashed once, and the index scan ends at the limit.
    theirs = or_(tweets.c.user_id.in_(authors), tweets.c.user_id == literal_column("0"))
    return select(tweets.c.id).where(theirs).order_by(tweets.c.id.desc()).limit(LIMIT)


def _heads(authors: Any) -> Select[int]:
    author = authors.subquery("authors").c[0]
    newest = _of(author).limit(literal_column("1")).lateral("newest")
    found = select(author.label("user_id"), newest.c.id).join(newest, true()).subquery("found")
    first = select(found).order_by(found.c.id.desc()).limit(_least).cte("first")
    # With fewer heads there is no bound.
    bound = select(case((func.count() < _least, 0), else_=func.min(first.c.id))).scalar_subquery()
    tweets = _of(first.c.user_id).where(Tweet.id >= bound).limit(LIMIT).lateral("tweets")
    return select(tweets.c.id).select_from(first).join(tweets, true()).order_by(tweets.c.id.desc()).limit(LIMIT)


def _of(user_id: ColumnElement[int]) -> Select[int]:
    """The tweets of one author."""
    return select(Tweet.id).where(Tweet.user_id == user_id, within(Tweet.id)).order_by(Tweet.id.desc())
