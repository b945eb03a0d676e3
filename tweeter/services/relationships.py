"""Relationships between accounts: following."""

from sqlalchemy import delete

from tweeter import outbox
from tweeter.db.sessions import insert_new, write
from tweeter.errors import Refused
from tweeter.models import Relationship, User
from tweeter.services.acting import Acting
from tweeter.values import Followed, Unfollowed


class Relationships(Acting):
    """The actions on relationships."""

    def follow(self, user_id: int, username: str) -> None:
        """Follows a user. Idempotent."""
        followee = self.find(username)
        if followee.id == user_id:
            raise Refused("You can't follow yourself.")
        if self._follows(user_id, followee.id):
            return
        self._lock(user_id, followee.id)
        if insert_new(self._session, Relationship, from_user_id=user_id, to_user_id=followee.id):
            self._wrote(user_id, following_count=1)
            self._count(User.id == followee.id, followers_count=1)
            outbox.record(self._session, Followed(user_id, followee.id))
            self._session.flush()

    def unfollow(self, user_id: int, username: str) -> None:
        """Unfollows a user. Idempotent."""
        followee = self.find(username)
        if not self._follows(user_id, followee.id):
            return
        self._lock(user_id, followee.id)
        gone = delete(Relationship).where(Relationship.from_user_id == user_id, Relationship.to_user_id == followee.id)
        if write(self._session, gone):
            self._wrote(user_id, following_count=-1)
            self._count(User.id == followee.id, followers_count=-1)
            outbox.record(self._session, Unfollowed(user_id, followee.id))
            self._session.flush()

    def _follows(self, user_id: int, followee_id: int) -> bool:
        return self._session.get(Relationship, (user_id, followee_id), populate_existing=True) is not None
