"""The SQL of timelines: one predicate per timeline kind.

Pages of `sql`, backfill, pages below the floor and `tweeter verify` all use it, so that a fallback cannot return
different tweets.

The statements are built once, at the end of this module: building one takes longer than running most of them.
"""

from collections.abc import Iterable, Sequence
from typing import Any

from sqlalchemy import BigInteger, ColumnElement, CompoundSelect, Integer, Select, and_, bindparam, select, union_all
from sqlalchemy.orm import Session, aliased

from tweeter.errors import Missing
from tweeter.models import Relationship, Tweet, User, closed_users
from tweeter.values import Cursor, Kind, Timeline, TweetView

# SQLite takes 32,766 parameters in a statement, PostgreSQL 65,535.
IDS_PER_QUERY = 10_000


def read_page(session: Session, timeline: Timeline, cursor: Cursor) -> list[TweetView]:
    """The tweets of one page, and one more if there is one, newest first; in one statement."""
    asked = {"user_id": timeline.user_id} | cursor._asdict() | {"limit": cursor.limit + 1}
    return _read(session, _PAGES[timeline.kind], asked)


def read_ids(session: Session, timeline: Timeline, limit: int) -> list[int]:
    """The newest `limit` ids, newest first."""
    asked = {"user_id": timeline.user_id} | Cursor()._asdict() | {"limit": limit}
    return list(session.scalars(_IDS[timeline.kind], asked).all())


def check_user(session: Session, timeline: Timeline) -> None:
    """Raises Missing if the timeline's user does not exist; called for empty timelines."""
    if timeline.user_id and session.scalar(_USER, {"user_id": timeline.user_id}) is None:
        raise Missing("There is no such user.")


def load_tweets(session: Session, ids: Iterable[int]) -> dict[int, TweetView]:
    """The tweets of these ids that exist, in one statement per 10,000 ids."""
    wanted = list(ids)
    found: dict[int, TweetView] = {}
    for start in range(0, len(wanted), IDS_PER_QUERY):
        chunk = wanted[start : start + IDS_PER_QUERY]
        found |= {view.id: view for view in _read(session, _TWEETS, {"ids": chunk})}
    return found


def tweet_ids(session: Session, user_id: int, before: int, limit: int) -> Sequence[int]:
    """The ids of the newest `limit` tweets of an author below `before`, newest first; also of a closed account."""
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


def sources(user_id: ColumnElement[int]) -> CompoundSelect[Any]:
    """The ids of the authors of a home timeline: the user's followees and the user."""
    return union_all(
        select(Relationship.to_user_id.label("user_id")).where(
            Relationship.from_user_id == user_id, Relationship.to_user_id.not_in(closed_users)
        ),
        select(user_id),
    )


def _read(session: Session, statement: "Select[*tuple[Any, ...]]", asked: dict[str, Any]) -> list[TweetView]:
    rows = session.execute(statement, asked).all()  # faster than fetching them one by one
    return [
        TweetView(id_, user_id, username, name, message, round(date.timestamp() * 1000), parent_id, parent_username)
        for id_, user_id, username, name, message, date, parent_id, parent_username in rows
    ]


def _ids(kind: Kind) -> Select[Any]:
    """The ids of a part of a timeline, newest first."""
    query = select(Tweet.id)
    if kind == "home":
        # The talk's join.
        authors = sources(USER_ID).subquery("sources")
        query = query.join(authors, authors.c.user_id == Tweet.user_id)
    if kind == "profile":
        query = query.where(Tweet.user_id == USER_ID, USER_ID.not_in(closed_users))
    if kind == "public":
        query = query.where(Tweet.user_id.not_in(closed_users))
    return query.where(PART).order_by(Tweet.id.desc()).limit(LIMIT)


def _views(ids: Select[Any]) -> "Select[*tuple[Any, ...]]":
    """The columns of TweetViews, newest first; one statement joins the author and the parent's author."""
    page = ids.subquery("page")
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
        )
        .select_from(page)
        .join(Tweet, Tweet.id == page.c.id)
        .join(User, User.id == Tweet.user_id)
        .outerjoin(parent, parent.id == Tweet.parent_id)
        .outerjoin(parent_author, (parent_author.id == parent.user_id) & ~parent_author.closed)
        .order_by(Tweet.id.desc())
    )


USER_ID = bindparam("user_id", type_=BigInteger)
PART = and_(Tweet.id < bindparam("before"), Tweet.id > bindparam("after"))
# A literal in the statement's text: the planner must see the limit, even if the driver prepares the statement.
LIMIT = bindparam("limit", type_=Integer, literal_execute=True)

_USER = select(User.id).where(User.id == USER_ID, ~User.closed)
_KINDS: tuple[Kind, ...] = ("public", "home", "profile")
_IDS = {kind: _ids(kind) for kind in _KINDS}
_PAGES = {kind: _views(query) for kind, query in _IDS.items()}
_TWEETS = _views(
    select(Tweet.id).where(Tweet.id.in_(bindparam("ids", expanding=True)), Tweet.user_id.not_in(closed_users))
)
