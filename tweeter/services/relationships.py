"""Actions between two users: follow, mute, block, and their undo. All are idempotent.

A mute hides one author from one viewer. A block hides each from the other and ends their follows. The table `hidden`
has what follows from all mutes and blocks, in one row per viewer and author.
"""

import secrets
from collections.abc import Mapping
from typing import Any

from sqlalchemy import ColumnElement, delete, exists, or_, select, update
from sqlalchemy.orm import Session

from tweeter import outbox, text
from tweeter.db.sessions import insert_new, write
from tweeter.errors import Missing, Refused
from tweeter.models import Block, Hidden, Mute, Relationship, User
from tweeter.services.people import find_user
from tweeter.values import AuthorHidden, AuthorShown, Followed, Unfollowed


def blocked_between(one: Any, other: Any) -> ColumnElement[bool]:
    """The condition that one of two users blocks the other."""
    return exists().where(
        or_(
            (Block.from_user_id == one) & (Block.to_user_id == other),
            (Block.from_user_id == other) & (Block.to_user_id == one),
        )
    )


class Relationships:
    """The actions between two users, within the session's transaction."""

    def __init__(self, session: Session) -> None:
        self._session = session

    def follow(self, user_id: int, username: str) -> None:
        """Follows a user. Refused if one of the two blocks the other."""
        followee = self._other(user_id, username, "follow")
        if self._follows(user_id, followee.id):
            return
        self._lock(user_id, followee.id)
        self._refuse_blocked(user_id, followee, f"You can't follow @{followee.username}")
        if insert_new(self._session, Relationship, from_user_id=user_id, to_user_id=followee.id):
            self._wrote(user_id, following_count=1)
            self._count(User.id == followee.id, followers_count=1)
            outbox.record(self._session, Followed(user_id, followee.id))
            self._session.flush()

    def unfollow(self, user_id: int, username: str) -> None:
        """Unfollows a user."""
        followee = self.find(username)
        if self._follows(user_id, followee.id):
            self._lock(user_id, followee.id)
            self._end_follow(user_id, followee.id)

    def mute(self, user_id: int, username: str) -> None:
        """Hides a user's tweets from the timelines of `user_id`."""
        author = self._other(user_id, username, "mute")
        self._lock(user_id, author.id)
        if insert_new(self._session, Mute, from_user_id=user_id, to_user_id=author.id):
            self._hide(user_id, author.id)

    def unmute(self, user_id: int, username: str) -> None:
        """Ends a mute. A block still hides the author."""
        author = self.find(username)
        self._lock(*{user_id, author.id})
        if self._remove(Mute, user_id, author.id):
            self._show(user_id, author.id)

    def block(self, user_id: int, username: str) -> None:
        """Blocks a user: each is hidden from the other, and neither follows the other any more."""
        other = self._other(user_id, username, "block")
        self._lock(user_id, other.id)
        if insert_new(self._session, Block, from_user_id=user_id, to_user_id=other.id):
            for one, another in ((other.id, user_id), (user_id, other.id)):
                self._end_follow(one, another)
                self._hide(one, another)

    def unblock(self, user_id: int, username: str) -> None:
        """Ends a block. The follows that it ended do not return, and a mute or a block by the other remains."""
        other = self.find(username)
        self._lock(*{user_id, other.id})
        if self._remove(Block, user_id, other.id):
            self._show(other.id, user_id)
            self._show(user_id, other.id)

    def find(self, username: str) -> User:
        """The user with that username, case-insensitive."""
        user = find_user(self._session, username)
        if user is None:
            raise Missing(f"There is no user called {text.clean_line(username)[:20]}.")
        return user

    # the parts

    def _other(self, user_id: int, username: str, verb: str) -> User:
        user = self.find(username)
        if user.id == user_id:
            raise Refused(f"You can't {verb} yourself.")
        return user

    def _refuse_blocked(self, user_id: int, other: User, message: str) -> None:
        """Raises Refused, with the reason, if one of the two blocks the other. Their accounts are locked."""
        blocks = or_(Block.from_user_id == user_id, Block.to_user_id == user_id)
        both = or_(Block.from_user_id == other.id, Block.to_user_id == other.id)
        by = self._session.scalars(select(Block.from_user_id).where(blocks, both)).all()
        if by:
            reason = "you blocked them" if user_id in by else "they blocked you"
            raise Refused(f"{message}: {reason}.")

    def _follows(self, user_id: int, followee_id: int) -> bool:
        return self._session.get(Relationship, (user_id, followee_id), populate_existing=True) is not None

    def _end_follow(self, follower_id: int, followee_id: int) -> None:
        if self._remove(Relationship, follower_id, followee_id):
            self._wrote(follower_id, following_count=-1)
            self._count(User.id == followee_id, followers_count=-1)
            outbox.record(self._session, Unfollowed(follower_id, followee_id))
            self._session.flush()

    def _remove(self, model: type[Relationship | Mute | Block], user_id: int, other_id: int) -> int:
        return write(self._session, delete(model).where(model.from_user_id == user_id, model.to_user_id == other_id))

    def _hide(self, viewer_id: int, author_id: int) -> None:
        """Hides the author from the viewer, unless it is so already."""
        if insert_new(self._session, Hidden, viewer_id=viewer_id, author_id=author_id):
            self._wrote(viewer_id, hidden_version=_step())
            outbox.record(self._session, AuthorHidden(viewer_id, author_id))
            self._session.flush()

    def _show(self, viewer_id: int, author_id: int) -> None:
        """Shows the author to the viewer again, unless another mute or block hides them."""
        hidden = (Hidden.viewer_id == viewer_id) & (Hidden.author_id == author_id)
        muted = exists().where(Mute.from_user_id == viewer_id, Mute.to_user_id == author_id)
        if write(self._session, delete(Hidden).where(hidden, ~muted, ~blocked_between(viewer_id, author_id))):
            self._wrote(viewer_id, hidden_version=_step())
            outbox.record(self._session, AuthorShown(viewer_id, author_id))
            self._session.flush()

    def _lock(self, *user_ids: int) -> None:
        """Locks the accounts, in the order of their ids, so that two users who follow each other cannot deadlock.

        It also serializes a request that was sent twice at once.
        """
        found = User.id.in_(user_ids) & ~User.closed
        rows = select(User.id).where(found).order_by(User.id).with_for_update(key_share=True)
        if len(self._session.scalars(rows).all()) < len(user_ids):
            raise Missing("This account is closed.")

    def _wrote(self, user_id: int, **steps: int) -> int:
        """Updates counters, and stores the number of the next recorded event as the account's last write."""
        number = outbox.NUMBER[self._session.get_bind().dialect.name]
        return self._count(User.id == user_id, {"last_write": number}, **steps)

    def _count(self, who: Any, values: Mapping[str, Any] = {}, **steps: int) -> int:
        counted = {name: getattr(User, name) + step for name, step in steps.items()}
        return write(self._session, update(User).where(who, ~User.closed).values({**values, **counted}))


def _step() -> int:
    """A step of a version. Random: a restored database must not repeat the versions that processes remember."""
    return secrets.randbelow(1000) + 1
