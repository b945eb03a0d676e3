"""Reads notifications: pages of groups, single ones, and how many are unread.

Likes and reposts of one tweet, and follows, are grouped if they are of one kind and of the same twelve hours. A group
is one entry, at its newest notification: a row is shown unless its group has a newer one. All statements read a
bounded number of rows, however many people like a tweet.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

from sqlalchemy import (
    BigInteger,
    ColumnElement,
    Integer,
    Select,
    SmallInteger,
    and_,
    bindparam,
    delete,
    exists,
    func,
    literal,
    or_,
    select,
    type_coerce,
    update,
)
from sqlalchemy.orm import Session, aliased

from tweeter import ids
from tweeter.db.chunks import CHUNK
from tweeter.db.sessions import write
from tweeter.models import Notification, Notifies, Tweet, User
from tweeter.services.notifying import remove_some, wanted
from tweeter.timelines.kind import LIMIT, OWNER, within
from tweeter.values import Cursor

SCANNED = 10_000  # rows that a page reads, at most
MOST_UNREAD = 100  # that are counted
LATEST, MANY = 5000, 50  # a group that has that many of the latest rows may have too many
UNREAD_SCANNED = 1000  # rows, most of which are shown
MOST_OTHERS = 1000  # of a group that are counted; housekeeping removes further ones
WINDOW = 12 * 60 * 60 * 1000 << ids.SEQUENCE_BITS  # of a group: twelve hours, in ids


class Notice(NamedTuple):
    """A notification, or the newest of a group with the number of its other ones, counted up to MOST_OTHERS."""

    id: int
    kind: Notifies
    tweet_id: int
    actor_id: int
    username: str
    display_name: str
    others: int = 0


def shown(row: Any, user: Any) -> ColumnElement[bool]:
    """The condition that the user's pages show this row of Notification: what it is about exists, and they want it."""
    actor, tweet = aliased(User, name="acting"), aliased(Tweet, name="about")
    there = exists().where(tweet.id == row.tweet_id).correlate_except(tweet)
    return and_(
        wanted(user, row.kind, row.actor_id),
        exists().where(actor.id == row.actor_id, ~actor.closed).correlate_except(actor),
        or_(row.tweet_id == 0, there),
    )


def _unread() -> ColumnElement[int]:
    new = (Notification.user_id == User.id) & (Notification.id > User.notifications_read_id)
    rows = select(Notification).where(new).order_by(Notification.id.desc()).limit(UNREAD_SCANNED)
    newest = rows.correlate(User).subquery("newest")
    found = select(literal(1)).select_from(newest).where(shown(newest.c, User)).limit(MOST_UNREAD)
    counted = select(func.count()).select_from(found.correlate(User).subquery("unread"))
    return type_coerce(counted.correlate(User).scalar_subquery(), Integer)


UNREAD = _unread()  # a column of `users`: how many notifications are unread, counted up to MOST_UNREAD


def read_groups(session: Session, user_id: int, cursor: Cursor) -> tuple[list[Notice], int | None]:
    """A page of groups, newest first, and the cursor of the next page: its `before`, None at the end.

    It is not full if there are too many rows in between: then the next page continues below these.
    """
    found = _read(session, _GROUPS, user_id, cursor)
    if len(found) > cursor.limit:
        return found[: cursor.limit], found[cursor.limit - 1].id
    return found, session.scalar(_LAST_SCANNED, {"owner": user_id, **cursor._asdict()})


def read_notices(
    session: Session, user_id: int, cursor: Cursor, kinds: int = sum(Notifies), actor: int = 0
) -> list[Notice]:
    """A page of single notifications, newest first, and one more if there is one.

    They are those of these kinds, about what this user did; 0 is everyone.
    """
    return _read(session, _SINGLE, user_id, cursor, kinds, actor)


def mark_read(session: Session, user_id: int, newest_id: int) -> None:
    """Marks the notifications up to this one as read."""
    older = (User.id == user_id) & (User.notifications_read_id < newest_id)
    write(session, update(User).where(older).values(notifications_read_id=newest_id))


def remove_notices(session: Session, user_id: int, id_: int | None = None) -> int:
    """Removes one notification of the user, or all. Returns their number."""
    own = Notification.user_id == user_id
    return write(session, delete(Notification).where(own if id_ is None else own & (Notification.id == id_)))


def overfull_groups(session: Session) -> Sequence[Any]:
    """The groups with more rows than are counted, among those that got many of the latest rows."""
    return session.execute(_OVERFULL).all()


def remove_old(session: Session, before_id: int, limit: int = CHUNK) -> int:
    """Removes a chunk of the notifications below an id; returns their number, 0 if there are none."""
    return remove_some(session, Notification.id < before_id, limit)


def remove_surplus(session: Session, group: Any, limit: int = CHUNK) -> int:
    """Removes a chunk of the oldest rows of a group that has too many; returns their number, 0 if there are none."""
    own = _same_group(Notification, group, (_from_begin(Notification, group), _to_end(Notification, group)))
    last = select(Notification.id).where(own).order_by(Notification.id.desc()).offset(MOST_OTHERS + 1).limit(1)
    surplus = session.scalar(last)
    return 0 if surplus is None else remove_some(session, own & (Notification.id <= surplus), limit)


def _read(
    session: Session, statement: Any, user_id: int, cursor: Cursor, kinds: int = sum(Notifies), actor: int = 0
) -> list[Notice]:
    values = {"owner": user_id, **cursor._asdict(), "limit": cursor.limit + 1, "kinds": kinds, "actor": actor}
    return [Notice(id_, Notifies(kind), *row) for id_, kind, *row in session.execute(statement, values)]


def _page(*conditions: Any) -> Select[Any]:
    """The rows of a page that meet further conditions, and its user."""
    return (
        select(_RECENT, _ME.id.label("me"))
        .join(_ME, _ME.id == _RECENT.c.user_id)
        .where(_RECENT.c.kind.bitwise_and(_KINDS) != 0, shown(_RECENT.c, _ME), *conditions)
        .where(or_(_ACTOR == 0, _RECENT.c.actor_id == _ACTOR))
        .order_by(_RECENT.c.id.desc())
        .limit(LIMIT)
    )


def _same_group(other: Any, row: Any, bounds: Any) -> ColumnElement[bool]:
    """SQLite reads an index between two bounds, not three: so each is given only once."""
    return and_(other.user_id == row.user_id, other.kind == row.kind, other.tweet_id == row.tweet_id, *bounds)


def _from_begin(other: Any, row: Any) -> ColumnElement[bool]:
    return other.id >= row.id // WINDOW * WINDOW


def _to_end(other: Any, row: Any) -> ColumnElement[bool]:
    return other.id < (row.id // WINDOW + 1) * WINDOW


def _with_actors(page: Any, *columns: Any) -> Select[Any]:
    """The columns of Notices, newest first."""
    return (
        select(page.c.id, page.c.kind, page.c.tweet_id, User.id, User.username, User.display_name, *columns)
        .join(page, page.c.actor_id == User.id)
        .order_by(page.c.id.desc())
    )


def _groups() -> Select[Any]:
    newer = aliased(Notification, name="newer")
    later = _same_group(newer, _RECENT.c, (newer.id > _RECENT.c.id, _to_end(newer, _RECENT.c)))
    page = _page(~exists().where(later, shown(newer, _ME))).subquery("page")
    other, me = aliased(Notification, name="other"), aliased(User, name="reader")
    older = _same_group(other, page.c, (_from_begin(other, page.c), other.id < page.c.id))
    found = (
        select(literal(1))
        .where(older, me.id == page.c.me, shown(other, me))
        .limit(MOST_OTHERS)
        .correlate(page)
        .subquery("others")
    )
    others = select(func.count()).select_from(found).correlate(page).scalar_subquery()
    return _with_actors(page, others)


_ME = aliased(User, name="me")
_KINDS, _ACTOR = bindparam("kinds", type_=SmallInteger), bindparam("actor", type_=BigInteger)
_RECENT = (
    select(Notification)
    .where(Notification.user_id == OWNER, within(Notification.id))
    .order_by(Notification.id.desc())
    .limit(SCANNED)
    .subquery("recent")
)
_GROUPS = _groups()
_SINGLE = _with_actors(_page().subquery("page"))
_LAST_SCANNED = (
    select(Notification.id)
    .where(Notification.user_id == OWNER, within(Notification.id))
    .order_by(Notification.id.desc())
    .offset(SCANNED - 1)
    .limit(1)
)
_LATEST = select(Notification).order_by(Notification.id.desc()).limit(LATEST).subquery("latest")
_GROUP = (_LATEST.c.user_id, _LATEST.c.kind, _LATEST.c.tweet_id)
_MANY = (
    select(*_GROUP, func.max(_LATEST.c.id).label("id"))
    .group_by(*_GROUP, _LATEST.c.id // WINDOW)
    .having(func.count() >= MANY)
    .subquery("many")
)
_WHOLE = (_from_begin(Notification, _MANY.c), _to_end(Notification, _MANY.c))
_SURPLUS = select(literal(1)).where(_same_group(Notification, _MANY.c, _WHOLE)).offset(MOST_OTHERS + 1).limit(1)
_OVERFULL = select(_MANY).where(exists(_SURPLUS.correlate(_MANY)))
