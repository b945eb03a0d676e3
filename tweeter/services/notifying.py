"""Records notifications, in the transaction of the action that they are about, and removes them with its undo."""

from collections.abc import Iterable
from typing import Any

from sqlalchemy import BigInteger, ColumnElement, SmallInteger, and_, bindparam, delete, exists, or_, select, tuple_
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.orm import Session

from tweeter import ids
from tweeter.db.among import Among
from tweeter.db.sessions import write
from tweeter.models import Hidden, Notification, Notifies, Relationship, User

ID_TRIES = 5


def wanted(user: Any, kind: Any, actor_id: Any) -> ColumnElement[bool]:
    """The condition that a user wants notifications of this kind by the actor, who is not hidden from them.

    `user` is User or an alias of it.
    """
    hidden = exists().where(Hidden.viewer_id == user.id, Hidden.author_id == actor_id).correlate_except(Hidden)
    follow = (Relationship.from_user_id == user.id) & (Relationship.to_user_id == actor_id)
    followed = exists().where(follow).correlate_except(Relationship)
    strangers = user.notifies.bitwise_and(int(Notifies.STRANGERS)) != 0
    return and_(user.notifies.bitwise_and(kind) != 0, or_(strangers, followed), ~hidden)


_ID, _KIND = bindparam("new_id", type_=BigInteger), bindparam("of_kind", type_=SmallInteger)
_ACTOR, _TWEET = bindparam("actor", type_=BigInteger), bindparam("tweet", type_=BigInteger)
_ROWS = select(User.id, _ID, _KIND, _ACTOR, _TWEET).where(Among(User.id, "users"), wanted(User, _KIND, _ACTOR))
_INSERT: dict[str, Any] = {
    dialect: insert(Notification.metadata.tables[Notification.__tablename__])
    .from_select(["user_id", "id", "kind", "actor_id", "tweet_id"], _ROWS)
    .on_conflict_do_nothing()
    .returning(Notification.user_id)
    for dialect, insert in (("postgresql", postgresql.insert), ("sqlite", sqlite.insert))
}
_TAKEN = select(Notification.user_id).where(Among(Notification.user_id, "users"), Notification.id == _ID)


def notify(
    session: Session, kind: Notifies, actor_id: int, user_ids: Iterable[int], tweet_id: int = 0, id_: int = 0
) -> None:
    """Notifies those of the users who want it, but never the actor. Idempotent.

    `id_` is that of the tweet, the repost or the like; a follow has none. The caller has locked the tweet or the users.
    """
    users, insert = set(user_ids) - {actor_id}, _INSERT[session.get_bind().dialect.name]
    id_ = id_ or ids.generate_id()
    for _ in range(ID_TRIES):
        if not users:
            return
        values = {"users": sorted(users), "new_id": id_, "of_kind": int(kind), "actor": actor_id, "tweet": tweet_id}
        users -= set(session.scalars(insert, values))
        # The others do not want it, or have another row with this id, made within the same millisecond.
        if users:
            users = set(session.scalars(_TAKEN, {"users": sorted(users), "new_id": id_}))
            id_ = ids.generate_id(id_)


def forget(session: Session, kinds: Iterable[Notifies], actor_id: int, tweet_id: int = 0, user_id: int = 0) -> None:
    """Removes the notifications of what the actor did about a tweet, or about a user."""
    rows = delete(Notification).where(
        Notification.actor_id == actor_id,
        Notification.kind.in_([int(kind) for kind in kinds]),
        Notification.tweet_id == tweet_id,
    )
    write(session, rows.where(Notification.user_id == user_id) if user_id else rows)


def remove_some(session: Session, where: ColumnElement[bool], limit: int) -> int:
    """Removes a chunk of rows of Notification; returns their number, 0 if there are none."""
    rows = select(Notification.user_id, Notification.id).where(where).limit(limit).with_for_update()
    keys = [tuple(row) for row in session.execute(rows)]
    if not keys:
        return 0
    return write(session, delete(Notification).where(tuple_(Notification.user_id, Notification.id).in_(keys)))
