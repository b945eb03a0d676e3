"""Reads tweets and ids that belong to no timeline kind. Statements are built once: building one takes longer than
running most of them."""

from collections.abc import Iterable, Sequence
from typing import Any

from sqlalchemy import (
    ColumnElement,
    FromClause,
    Integer,
    Select,
    SQLColumnExpression,
    bindparam,
    func,
    literal_column,
    select,
    type_coerce,
    union_all,
)
from sqlalchemy.orm import Session, aliased

from tweeter.db.among import Among
from tweeter.models import CounterChange, Like, Tweet, User, closed_users
from tweeter.values import Page, TweetView

# SQLite takes 32,766 parameters in a statement, PostgreSQL 65,535.
IDS_PER_QUERY = 10_000


def load_tweets(session: Session, ids: Iterable[int]) -> dict[int, TweetView]:
    """The tweets of these ids that exist, in one statement per 10,000 ids."""
    wanted = list(ids)
    found: dict[int, TweetView] = {}
    for start in range(0, len(wanted), IDS_PER_QUERY):
        chunk = wanted[start : start + IDS_PER_QUERY]
        rows = session.execute(_TWEETS, {"ids": chunk}).all()  # faster than fetching them one by one
        found |= {view.id: view for view in map(view_of, rows)}
    return found


def references(session: Session, ids: Iterable[int]) -> dict[int, int]:
    """{id of a repost: id of the tweet}, for those ids that are reposts."""
    wanted = list(ids)
    found: dict[int, int] = {}
    for start in range(0, len(wanted), IDS_PER_QUERY):
        rows = session.execute(_REFERENCES, {"ids": wanted[start : start + IDS_PER_QUERY]})
        found |= {id_: of for id_, of in rows if of is not None}
    return found


def marks(session: Session, viewer_id: int, ids: Iterable[int]) -> tuple[frozenset[int], frozenset[int]]:
    """Those of these tweets that the viewer likes, and those that the viewer reposted. One statement."""
    rows = session.execute(_MARKS, {"viewer": viewer_id, "ids": list(ids)}).all()
    liked, reposted = (frozenset(id_ for id_, is_like in rows if is_like == kind) for kind in (1, 0))
    return liked, reposted


def marked(session: Session, page: Page, viewer_id: int) -> Page:
    """The page with the viewer's marks."""
    if not viewer_id or not page.tweets:
        return page
    liked, reposted = marks(session, viewer_id, [tweet.id for tweet in page.tweets])
    return page._replace(liked=liked, reposted=reposted)


def tweet_ids(session: Session, user_id: int, before: int, limit: int) -> Sequence[int]:
    """The ids of the newest `limit` tweets and reposts of an author below `before`; also of a closed account."""
    return session.scalars(
        select(Tweet.id).where(Tweet.user_id == user_id, Tweet.id < before).order_by(Tweet.id.desc()).limit(limit)
    ).all()


def some_reply_ids(session: Session, parent_ids: Iterable[int], limit: int) -> Sequence[int]:
    """The ids of at most `limit` replies to these tweets, in any order."""
    return session.scalars(select(Tweet.id).where(Tweet.parent_id.in_(list(parent_ids))).limit(limit)).all()


def reply_ids(session: Session, parent_id: int, after: int, limit: int) -> Sequence[int]:
    """The ids of the next `limit` replies to a tweet above `after`, in ascending order."""
    return session.scalars(
        select(Tweet.id).where(Tweet.parent_id == parent_id, Tweet.id > after).order_by(Tweet.id).limit(limit)
    ).all()


def view_of(row: Sequence[Any]) -> TweetView:
    """The tweet of a row with the columns of `with_views`."""
    id_, user_id, username, name, message, date, parent_id, of, replies, reposts, likes, repost_of = row
    milliseconds = round(date.timestamp() * 1000)
    return TweetView(
        id_, user_id, username, name, message, milliseconds, parent_id, of, replies, reposts, likes, repost_of
    )


def with_views(page: FromClause, tweet_id: ColumnElement[int]) -> "Select[*tuple[Any, ...]]":
    """The columns of TweetViews, in any order; one statement joins the author and the parent's author."""
    parent, parent_author = aliased(Tweet, name="parent"), aliased(User, name="parent_author")
    return (
        select(
            Tweet.id,
            Tweet.user_id,
            User.username,
            User.display_name,
            Tweet.message,
            Tweet.date,
            Tweet.parent_id,
            parent_author.username,
            Tweet.replies_count,
            Tweet.reposts_count + _changes(CounterChange.reposts),
            Tweet.likes_count + _changes(CounterChange.likes),
            Tweet.repost_of_id,
        )
        .select_from(page)
        .join(Tweet, Tweet.id == tweet_id)
        .join(User, User.id == Tweet.user_id)
        .outerjoin(parent, parent.id == Tweet.parent_id)
        .outerjoin(parent_author, (parent_author.id == parent.user_id) & ~parent_author.closed)
    )


def _changes(column: SQLColumnExpression[int]) -> ColumnElement[int]:
    """What is not yet counted in the row of the tweet."""
    found = select(func.coalesce(func.sum(column), 0)).where(CounterChange.tweet_id == Tweet.id)
    return type_coerce(found.correlate(Tweet).scalar_subquery(), Integer)


_THERE = select(Tweet.id).where(Among(Tweet.id), Tweet.user_id.not_in(closed_users)).subquery("page")
_TWEETS = with_views(_THERE, _THERE.c.id).order_by(Tweet.id.desc())
_MARKS: Any = union_all(
    select(Like.tweet_id, literal_column("1")).where(Like.user_id == bindparam("viewer"), Among(Like.tweet_id)),
    select(Tweet.repost_of_id, literal_column("0")).where(
        Tweet.user_id == bindparam("viewer"), Among(Tweet.repost_of_id)
    ),
)
_REFERENCES = select(Tweet.id, Tweet.repost_of_id).where(Among(Tweet.id), Tweet.repost_of_id.is_not(None))
