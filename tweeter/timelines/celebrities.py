"""Celebrities: authors with so many followers that their tweets are merged at read instead of pushed.

    tweeter.celebrity_followers = 100000    # followers from which an author is a celebrity

A store then has two more sorts of timelines, materialized, trimmed, evicted and backfilled as all others:

    _celebrities      the tweets of all celebrities
    _celebrities:42   the celebrities whom user 42 follows: each as an id, `mark`; dropped together with `home:42`

A home timeline lacks what was not pushed. A page reads all three at once and adds the tweets of `_celebrities` whose
authors the reader follows (`tweeter.timelines.merge`). Three rules make this right at any moment:

* Pushing is always right, because a page shows a tweet once. So is a celebrity too many in `_celebrities:42`, as long
  as 42 follows them.
* An author who was a celebrity once has a row in `celebrities` for ever, and both backfills take all of these. So an
  author who loses followers is pushed again, and nothing else changes.
* A tweet is left unpushed only after the fan-out of one of the author's tweets has also added their mark to the
  celebrities of every follower. The row was committed before, so a later backfill contains the author, too.

A relay remembers for which authors that was done, until it loses its lease or the store is cleared.
"""

from collections.abc import Iterable
from typing import Any

from sqlalchemy import Select, literal_column, select, true
from sqlalchemy.orm import Session

from tweeter.db.among import Among
from tweeter.db.sessions import SessionFactory, insert_new
from tweeter.ids import MAX_ID
from tweeter.models import Celebrity, Relationship, Tweet, User, closed_users, hidden_from
from tweeter.timelines.kind import LIMIT, OWNER
from tweeter.timelines.queries import references
from tweeter.values import Slice

HYSTERESIS = 2  # a celebrity is pushed again with fewer than this part of the followers


def mark(user_id: int) -> int:
    """The id that stands for a user in a store. High, because truncation removes ids below that of a tweet."""
    return MAX_ID - user_id


class Celebrities:
    """Decides which authors' tweets are not pushed to one store. `followers` is the setting; 0: none."""

    def __init__(self, sessions: SessionFactory, followers: int) -> None:
        self._sessions = sessions
        self._followers = followers
        self._merged: set[int] = set()  # their marks are in the store

    def sort(self, authors: Iterable[int]) -> tuple[set[int], set[int]]:
        """The celebrities among the authors: those to be merged, and those to be pushed once more, with their marks."""
        if not self._followers:
            return set(), set()
        with self._sessions() as session:
            rows = session.execute(_AUTHORS, {"ids": list(authors)}).all()
            found = {id_ for id_, count, row in rows if count * (HYSTERESIS if row else 1) >= self._followers}
            for id_, _, row in rows:
                if id_ in found and row is None:
                    insert_new(session, Celebrity, user_id=id_)
            session.commit()
        merged = found & self._merged
        return merged, found - merged

    def marked(self, user_id: int) -> None:
        """All followers' celebrities contain the author now."""
        self._merged.add(user_id)

    def forget(self) -> None:
        """The store may lack marks: it was cleared, or is another."""
        self._merged.clear()


def newest(session: Session, capacity: int) -> Slice:
    """The newest tweets and reposts of all celebrities, to backfill with."""
    statement = _NEWEST_OF_EACH if session.get_bind().dialect.name == "postgresql" else _NEWEST
    found = _slice(session.scalars(statement, {"limit": capacity + 1}).all(), capacity)
    return found._replace(of=references(session, found.ids))


def followed(session: Session, owner: int, capacity: int) -> Slice:
    """The marks of the celebrities whom a user follows and who are not hidden from them, to backfill with."""
    ids = session.scalars(_FOLLOWED, {"owner": owner, "limit": capacity + 1})
    return _slice([mark(id_) for id_ in ids], capacity)


def _slice(ids: Any, capacity: int) -> Slice:
    return Slice(list(ids[:capacity]), ids[capacity - 1] if len(ids) > capacity else 0)


def _newest(user_id: Any) -> Select[int]:
    return select(Tweet.id).where(user_id).order_by(Tweet.id.desc()).limit(LIMIT)


def _newest_of_each() -> Select[int]:
    """An index scan for each celebrity. PostgreSQL would scan the newest tweets of all users for a quiet one."""
    tweets = _newest(Tweet.user_id == Celebrity.user_id).correlate(Celebrity).lateral("tweets")
    each = select(tweets.c.id).select_from(Celebrity).join(tweets, true())
    return each.where(Celebrity.user_id.not_in(closed_users)).order_by(literal_column("1").desc()).limit(LIMIT)


_AUTHORS = (
    select(User.id, User.followers_count, Celebrity.user_id)
    .outerjoin(Celebrity, Celebrity.user_id == User.id)
    .where(Among(User.id), ~User.closed)
)
_FOLLOWED = (
    select(Celebrity.user_id)
    .join(Relationship, Relationship.to_user_id == Celebrity.user_id)
    .where(Relationship.from_user_id == OWNER, Celebrity.user_id.not_in(hidden_from(OWNER)))
    .order_by(Celebrity.user_id)
    .limit(LIMIT)
)
_NEWEST = _newest(Tweet.user_id.in_(select(Celebrity.user_id).where(Celebrity.user_id.not_in(closed_users))))
_NEWEST_OF_EACH = _newest_of_each()
