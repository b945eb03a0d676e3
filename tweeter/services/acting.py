"""What all actions share: the session, and how they lock and count accounts."""

from collections.abc import Mapping
from functools import cache
from typing import Any

from sqlalchemy import ColumnElement, Select, bindparam, delete, exists, or_, select, update
from sqlalchemy.orm import Session

from tweeter import outbox, text
from tweeter.db.sessions import UNSYNCHRONIZED, write
from tweeter.errors import Missing, Refused
from tweeter.models import Block, Like, Relationship, Tweet, User
from tweeter.services.passwords import Passwords
from tweeter.services.people import SUSPENDED, find_user


def _between(one: Any, other: Any) -> ColumnElement[bool]:
    """The condition on Block that one of two users blocks the other. A user and themselves have no such row."""
    return or_(
        (Block.from_user_id == one) & (Block.to_user_id == other),
        (Block.from_user_id == other) & (Block.to_user_id == one),
    )


def blocked_between(one: Any, other: Any) -> ColumnElement[bool]:
    """The condition that one of two users blocks the other."""
    return exists().where(_between(one, other))


# These statements are built once: SQLAlchemy needs longer to build one than to run it.
_BLOCKERS = select(Block.from_user_id).where(_between(bindparam("one"), bindparam("other")))


@cache
def _locking(gone: ColumnElement[bool]) -> Select[Any]:
    there = ~gone | ((User.id == bindparam("even")) & User.suspended)
    found = User.id.in_(bindparam("ids", expanding=True)) & there
    return select(User.id).where(found).order_by(User.id).with_for_update(key_share=True)


class Acting:
    """Actions within the session's transaction. They take ids and return rows.

    They find no account that is `_gone`, and nothing of it.
    """

    _gone: ColumnElement[bool] = User.closed.expression

    def __init__(self, session: Session, passwords: Passwords, message_limit: int) -> None:
        self._session = session
        self._passwords = passwords
        self._message_limit = message_limit

    def find(self, username: str, suspended: bool = False) -> User:
        """The user with that username, case-insensitive. Suspended ones are found with `suspended` only."""
        user = find_user(self._session, username, suspended=True)
        if user is None:
            name = text.clean_line(username)[:20]
            raise Missing(f"There is no user called {name}." if name else "A username is missing.")
        return user if suspended and user.suspended else self._there(user)

    def _user(self, user_id: int, lock: bool = False) -> User:
        user = self._session.get(User, user_id, with_for_update=lock or None)
        if user is None:
            raise Missing("This account is closed.")
        return self._there(user)

    def _there(self, user: User) -> User:
        """The user. Raises Missing for an account that is gone."""
        if user.closed:
            raise Missing(SUSPENDED if user.suspended else "This account is closed.")
        return user

    def _lock(self, *user_ids: int, even: int = 0) -> None:
        """Locks the accounts, in the order of their ids, so that two users who follow each other cannot deadlock.

        It also serializes a request that was sent twice at once. The account `even` may be suspended.
        """
        if len(self._session.scalars(_locking(self._gone), {"ids": user_ids, "even": even}).all()) < len(user_ids):
            raise Missing("This account is closed.")

    def _wrote(self, user_id: int, **steps: int) -> int:
        """Updates counters, and stores the number of the next recorded event as the account's last write."""
        number = outbox.NUMBER[self._session.get_bind().dialect.name]
        return self._count(User.id == user_id, {"last_write": number}, **steps)

    def _count(self, who: Any, values: Mapping[str, Any] = {}, **steps: int) -> int:
        counted = {name: getattr(User, name) + step for name, step in steps.items()}
        return write(self._session, update(User).where(who, ~self._gone).values({**values, **counted}))

    def _remove_counted(self, model: type[Relationship | Like | Tweet], *row: ColumnElement[bool]) -> int | None:
        """Deletes a row. Returns whether counters contained it: 1, or 0 in a suspension; None if there is no row."""
        # Not `uncounted IS NULL`: SQLite 3.40 finds that false in RETURNING.
        removed = delete(model).where(*row).returning(model.uncounted)
        found = self._session.execute(removed, execution_options=UNSYNCHRONIZED).first()
        return None if found is None else int(not found[0])

    def _refuse_blocked(self, user_id: int, other_id: int, message: str) -> None:
        """Raises Refused, with the reason, if one of the two blocks the other. The user is locked, as by a block."""
        by = self._session.scalars(_BLOCKERS, {"one": user_id, "other": other_id}).all()
        if by:
            reason = "you blocked them" if user_id in by else "they blocked you"
            raise Refused(f"{message}: {reason}.")
