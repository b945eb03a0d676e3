"""What the operators of a site do with its accounts and tweets, by `tweeter user` and `tweeter tweet`.

A suspended account is `closed`, too: so every page, also of kinds and views of other packages, excludes it as it
excludes closed ones, by the same conditions and query plans. Its rows remain, so it can return.
"""

from typing import NamedTuple

from sqlalchemy import select
from sqlalchemy.orm import aliased

from tweeter import outbox
from tweeter.errors import Missing
from tweeter.models import Tweet, User, removed_users
from tweeter.services.actions import Actions
from tweeter.services.recounting import begin
from tweeter.values import AccountClosed


class Deleted(NamedTuple):
    """What was deleted: a tweet of `username`, or the repost of a tweet by its author `of`, if that still exists."""

    username: str
    message: str
    repost: bool = False
    of: str | None = None


class Moderation(Actions):
    """The actions for operators: on any account, also a suspended one, and on anybody's tweets."""

    _gone = removed_users

    def _there(self, user: User) -> User:
        return user if user.suspended else super()._there(user)

    def suspend(self, user_id: int) -> bool:
        """Suspends an account; returns False if it is suspended already.

        No page shows it, its tweets, follows, likes or reposts, and nobody can sign in to it. Its username stays taken.
        `tweeter.services.recounting` leaves it out of the counters of others.
        """
        user = self._user(user_id, lock=True)
        if user.uncounted:
            return False
        user.closed = user.suspended = user.uncounted = True
        user.auth_version = user.auth_version + 1
        outbox.record(self._session, AccountClosed(user_id))
        self._recount(user_id)
        return True

    def unsuspend(self, user_id: int) -> bool:
        """Ends a suspension; returns False if there is none. All is as before, but sessions and tokens remain ended.

        The account returns when `tweeter.services.recounting` has counted its rows. Its return makes every timeline of
        the site cold. Read repair has removed the account's tweets, and reposts and likes of them, from timelines of
        any user and any kind; timelines that were backfilled meanwhile never had them. The site has no list of
        these timelines, so it makes all cold.
        """
        user = self._user(user_id, lock=True)
        if not user.suspended:
            return False
        user.uncounted = False
        self._recount(user_id)
        return True

    def _recount(self, user_id: int) -> None:
        self._session.flush()
        self._session.execute(begin(self._session.get_bind().dialect.name, user_id))

    def delete_any(self, tweet_id: int) -> Deleted:
        """Deletes a tweet as its author does, or undoes the repost of that id."""
        original, author = aliased(Tweet), aliased(User)
        row = self._session.execute(
            select(Tweet.user_id, User.username, Tweet.message, Tweet.repost_of_id, original.message, author.username)
            .join(User, User.id == Tweet.user_id)
            .outerjoin(original, original.id == Tweet.repost_of_id)
            .outerjoin(author, author.id == original.user_id)
            .where(Tweet.id == tweet_id, ~self._gone)
        ).one_or_none()
        if row is None:
            raise Missing(f"There is no tweet {tweet_id}.")
        user_id, username, message, repost_of_id, reposted, of = row
        self.delete(user_id, tweet_id)
        return Deleted(username, message) if repost_of_id is None else Deleted(username, reposted or "", True, of)
