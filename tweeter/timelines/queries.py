"""The SQL of timelines: one predicate for each, whoever asks.

`sql` pages are this; what fills a cold timeline, what continues below its floor and what verifies it is this too, so
that no fall-back can answer a different question.
"""

from collections.abc import Iterable, Sequence
from typing import Any

from sqlalchemy import BigInteger, ColumnElement, CompoundSelect, Select, literal, select, union_all
from sqlalchemy.orm import Session, aliased

from tweeter.models import Relationship, Tweet, User
from tweeter.values import Cursor, Timeline, TweetView

_Parent = aliased(Tweet, name="parent")
_ParentAuthor = aliased(User, name="parent_author")

# SQLite takes 32,766 parameters in a statement, PostgreSQL 65,535.
IDS_PER_QUERY = 10_000


def read_page(session: Session, timeline: Timeline, cursor: Cursor) -> list[TweetView]:
    """The tweets of one page, and one more if there is one, newest first; in one statement."""
    newest = _of(timeline, select(Tweet.id)).where(Tweet.id < cursor.before, Tweet.id > cursor.after)
    return _views(session, newest.order_by(Tweet.id.desc()).limit(cursor.limit + 1))


def read_ids(session: Session, timeline: Timeline, limit: int) -> list[int]:
    """The newest `limit` ids, newest first."""
    query = _of(timeline, select(Tweet.id)).order_by(Tweet.id.desc())
    return list(session.scalars(query.limit(limit)))


def load_tweets(session: Session, ids: Iterable[int]) -> dict[int, TweetView]:
    """The tweets of these ids that exist, in one statement (for each 10,000)."""
    wanted = list(ids)
    found: dict[int, TweetView] = {}
    for start in range(0, len(wanted), IDS_PER_QUERY):
        chunk = wanted[start : start + IDS_PER_QUERY]
        found |= {view.id: view for view in _views(session, select(Tweet.id).where(Tweet.id.in_(chunk)))}
    return found


def tweet_ids(session: Session, user_id: int, after: int, limit: int) -> Sequence[int]:
    """The ids of the next `limit` tweets of an author, in ascending order; those greater than `after`."""
    return session.scalars(
        select(Tweet.id).where(Tweet.user_id == user_id, Tweet.id > after).order_by(Tweet.id).limit(limit)
    ).all()


def answer_ids(session: Session, ids: Iterable[int]) -> list[int]:
    """The ids of the answers to these tweets."""
    return list(session.scalars(select(Tweet.id).where(Tweet.parent_id.in_(list(ids)))))


def _of(timeline: Timeline, query: Select[Any]) -> Select[Any]:
    if timeline.kind == "home":
        # The talk's join.
        authors = sources(literal(timeline.user_id, BigInteger)).subquery("sources")
        return query.join(authors, authors.c.user_id == Tweet.user_id)
    if timeline.kind == "profile":
        return query.where(Tweet.user_id == timeline.user_id)
    return query


def sources(user_id: ColumnElement[int]) -> CompoundSelect[Any]:
    """Whose tweets are in a home timeline: those one follows and, as if one followed oneself, one's own."""
    return union_all(
        select(Relationship.to_user_id.label("user_id")).where(Relationship.from_user_id == user_id), select(user_id)
    )


def _views(session: Session, ids: Select[Any]) -> list[TweetView]:
    """TweetViews, newest first, of a query of ids; author and answered author come in the same statement."""
    page = ids.subquery("page")
    rows = session.execute(
        select(
            Tweet.id,
            Tweet.user_id,
            User.username,
            User.display_name,
            Tweet.message,
            Tweet.date,
            Tweet.parent_id,
            _ParentAuthor.username,
        )
        .select_from(page)
        .join(Tweet, Tweet.id == page.c.id)
        .join(User, User.id == Tweet.user_id)
        .outerjoin(_Parent, _Parent.id == Tweet.parent_id)
        .outerjoin(_ParentAuthor, _ParentAuthor.id == _Parent.user_id)
        .order_by(Tweet.id.desc())
    )
    return [
        TweetView(id_, user_id, username, name, message, round(date.timestamp() * 1000), parent_id, parent_username)
        for id_, user_id, username, name, message, date, parent_id, parent_username in rows
    ]
