"""Actions between two users: follow, mute, block, and their undo. All are idempotent.

A mute hides one author from one viewer. A block hides each from the other, ends their follows, and removes each from
the other's lists. The table `hidden`
has what follows from all mutes and blocks, in one row per viewer and author.
"""

import secrets

from sqlalchemy import delete, exists, update

from tweeter import outbox
from tweeter.db.sessions import insert_new, write
from tweeter.errors import Refused
from tweeter.models import Block, Hidden, Mute, Notifies, Relationship, User
from tweeter.services.acting import blocked_between
from tweeter.services.lists import Lists
from tweeter.services.notifying import forget, notify
from tweeter.values import AuthorHidden, AuthorShown, Followed, Unfollowed


class Relationships(Lists):
    """The actions between two users."""

    def follow(self, user_id: int, username: str) -> None:
        """Follows a user. Refused if one of the two blocks the other."""
        followee = self._other(user_id, username, "follow")
        if self._follows(user_id, followee.id):
            return
        self._lock(user_id, followee.id)
        self._refuse_blocked(user_id, followee.id, f"You can't follow @{followee.username}")
        if insert_new(self._session, Relationship, from_user_id=user_id, to_user_id=followee.id):
            self._wrote(user_id, following_count=1)
            self._count(User.id == followee.id, followers_count=1)
            notify(self._session, Notifies.FOLLOW, user_id, [followee.id])
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
        """Ends a mute, also of a suspended user. A block still hides the author."""
        author = self.find(username, suspended=True)
        self._lock(*{user_id, author.id}, even=author.id)
        if self._remove(Mute, user_id, author.id):
            self._show(user_id, author.id)

    def block(self, user_id: int, username: str) -> None:
        """Blocks a user: each is hidden from the other, and neither follows or lists the other any more."""
        other = self._other(user_id, username, "block")
        self._lock(user_id, other.id)
        if insert_new(self._session, Block, from_user_id=user_id, to_user_id=other.id):
            for one, another in ((other.id, user_id), (user_id, other.id)):
                self._end_follow(one, another)
                self._leave_lists(one, another)
                self._hide(one, another)

    def unblock(self, user_id: int, username: str) -> None:
        """Ends a block, also of a suspended user.

        The follows that it ended do not return, and a mute or a block by the other remains.
        """
        other = self.find(username, suspended=True)
        self._lock(*{user_id, other.id}, even=other.id)
        if self._remove(Block, user_id, other.id):
            self._show(other.id, user_id)
            self._show(user_id, other.id)

    # the parts

    def _other(self, user_id: int, username: str, verb: str) -> User:
        user = self.find(username)
        if user.id == user_id:
            raise Refused(f"You can't {verb} yourself.")
        return user

    def _follows(self, user_id: int, followee_id: int) -> bool:
        return self._session.get(Relationship, (user_id, followee_id), populate_existing=True) is not None

    def _end_follow(self, follower_id: int, followee_id: int) -> None:
        pair = (Relationship.from_user_id == follower_id, Relationship.to_user_id == followee_id)
        if (counted := self._remove_counted(Relationship, *pair)) is not None:
            self._wrote(follower_id, following_count=-counted)
            self._count(User.id == followee_id, followers_count=-counted)
            forget(self._session, (Notifies.FOLLOW,), follower_id, user_id=followee_id)
            outbox.record(self._session, Unfollowed(follower_id, followee_id))
            self._session.flush()

    def _remove(self, model: type[Mute | Block], user_id: int, other_id: int) -> int:
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
            step = _step()
            if not self._wrote(viewer_id, hidden_version=step):  # suspended: processes may remember the old version
                stepped = {User.hidden_version: User.hidden_version + step}
                write(self._session, update(User).where(User.id == viewer_id).values(stepped))
            outbox.record(self._session, AuthorShown(viewer_id, author_id))
            self._session.flush()


def _step() -> int:
    """A step of a version. Random: a restored database must not repeat the versions that processes remember."""
    return secrets.randbelow(1000) + 1
