"""Tweets: posting, deleting, reposting and liking them."""

from functools import cache
from typing import Any

from sqlalchemy import ColumnElement, Select, bindparam, func, select, update
from sqlalchemy.orm import aliased, make_transient_to_detached

from tweeter import ids, outbox, text
from tweeter.db.sessions import insert_new, write
from tweeter.errors import Missing, NotYours
from tweeter.models import CounterChange, Hashtag, Like, Mention, Notifies, Tweet, User
from tweeter.services.acting import Acting, blocked_between
from tweeter.services.checks import check_message
from tweeter.services.closing import forget_tweets, lock_tweets
from tweeter.services.notifying import forget, notify
from tweeter.services.tags import name_tags
from tweeter.values import TweetCreated, TweetLiked, TweetsDeleted, TweetUnliked

ID_TRIES = 5

# These statements are built once: SQLAlchemy needs longer to build one than to run it.
_LOCKING = select(Tweet.id).where(Tweet.id == bindparam("tweet_id")).with_for_update(read=True, key_share=True)


@cache
def _original(gone: ColumnElement[bool]) -> "Select[*tuple[Any, ...]]":
    original = aliased(Tweet)
    found = original.id == func.coalesce(Tweet.repost_of_id, Tweet.id)
    open_ = original.user_id.not_in(select(User.id).where(gone))
    row = select(Tweet.repost_of_id, original.user_id).outerjoin(original, found & open_)
    return row.where(Tweet.id == bindparam("tweet_id"))


class Tweets(Acting):
    """The actions on tweets."""

    def post(self, user_id: int, message: str, parent_id: int | None = None) -> Tweet:
        """Posts a tweet; a reply if a parent is given."""
        session = self._session
        message = check_message(message, self._message_limit)
        author_id = None
        if parent_id is not None:
            parent_id, author_id = self._original(parent_id)
            if author_id is None:
                raise Missing("The tweet you reply to was deleted.", "parent_id")
            if author_id != user_id:
                self._lock(user_id)
                self._refuse_blocked(user_id, author_id, "You can't reply to this tweet")
        if not self._wrote(user_id, tweets_count=1):
            raise Missing("This account is closed.")
        tweet = self._insert_tweet(user_id, message, parent_id)
        mentioned = self._index(tweet)
        if author_id is not None and parent_id is not None and self._count_replies(parent_id, 1):
            notify(session, Notifies.REPLY, user_id, [author_id], tweet.id, tweet.id)
            mentioned.discard(author_id)
        notify(session, Notifies.MENTION, user_id, mentioned, tweet.id, tweet.id)
        outbox.record(session, TweetCreated(tweet.id, user_id, parent_id))
        session.flush()
        return tweet

    def delete(self, user_id: int, tweet_id: int) -> None:
        """Deletes a tweet of the user, or undoes the user's repost if the id is its own. Replies to a tweet stay."""
        original_id, author_id = self._original(tweet_id)
        if original_id != tweet_id:
            if self._session.scalar(select(Tweet.user_id).where(Tweet.id == tweet_id)) != user_id:
                raise NotYours("This repost belongs to another user.")
            self.undo_repost(user_id, original_id)
            return
        if author_id is None:
            raise Missing("This tweet was deleted.")
        if author_id != user_id:
            raise NotYours("This tweet belongs to another user.")
        self._lock(user_id)
        parent_id = self._session.scalar(select(Tweet.parent_id).where(Tweet.id == tweet_id))
        parent_ids = () if parent_id is None else (parent_id,)
        lock_tweets(self._session, [tweet_id, *parent_ids])
        counted = self._remove_counted(Tweet, Tweet.id == tweet_id)
        if counted is None:
            raise Missing("This tweet was deleted.")
        if parent_id is not None and counted:
            self._count_replies(parent_id, -1)
        self._wrote(user_id, tweets_count=-1)
        reposted = forget_tweets(self._session, [tweet_id])
        forget(self._session, (Notifies.REPLY, Notifies.MENTION), user_id, tweet_id)
        outbox.record(self._session, TweetsDeleted((tweet_id,), user_id, parent_ids, reposted=reposted))
        self._session.flush()

    def repost(self, user_id: int, tweet_id: int) -> Tweet:
        """Reposts a tweet; a repost of it counts as the tweet. Idempotent; returns the row of the repost."""
        tweet_id, author_id = self._original(tweet_id)
        if author_id is None:
            raise Missing("This tweet was deleted.")
        self._lock(user_id)
        self._refuse_blocked(user_id, author_id, "You can't repost this tweet")
        if (repost := self._repost(user_id, tweet_id)) is not None:
            return repost
        self._lock_target(tweet_id)
        self._wrote(user_id)
        repost = self._insert_tweet(user_id, "", None, of=tweet_id)
        self._session.add(CounterChange(tweet_id=tweet_id, reposts=1))
        notify(self._session, Notifies.REPOST, user_id, [author_id], tweet_id, repost.id)
        outbox.record(self._session, TweetCreated(repost.id, user_id, of=tweet_id))
        self._session.flush()
        return repost

    def undo_repost(self, user_id: int, tweet_id: int) -> None:
        """Removes the user's repost of a tweet. Idempotent."""
        tweet_id, _ = self._original(tweet_id)
        self._lock(user_id)
        if (repost := self._repost(user_id, tweet_id)) is None:
            return
        if self._remove_counted(Tweet, Tweet.id == repost.id):
            self._session.add(CounterChange(tweet_id=tweet_id, reposts=-1))
        self._wrote(user_id)
        forget(self._session, (Notifies.REPOST,), user_id, tweet_id)
        outbox.record(self._session, TweetsDeleted((repost.id,), user_id, (tweet_id,), of=tweet_id))
        self._session.flush()

    def like(self, user_id: int, tweet_id: int) -> None:
        """Likes a tweet; a repost of it counts as the tweet. Idempotent."""
        tweet_id, author_id = self._original(tweet_id)
        if author_id is None:
            raise Missing("This tweet was deleted.")
        self._lock(user_id)
        self._refuse_blocked(user_id, author_id, "You can't like this tweet")
        self._lock_target(tweet_id)
        like_id = ids.generate_id(tweet_id)
        if insert_new(self._session, Like, user_id=user_id, tweet_id=tweet_id, id=like_id):
            self._wrote(user_id)
            self._session.add(CounterChange(tweet_id=tweet_id, likes=1))
            notify(self._session, Notifies.LIKE, user_id, [author_id], tweet_id, like_id)
            outbox.record(self._session, TweetLiked(like_id, user_id, tweet_id))
            self._session.flush()

    def unlike(self, user_id: int, tweet_id: int) -> None:
        """Takes back a like. Idempotent."""
        tweet_id, _ = self._original(tweet_id)
        self._lock(user_id)
        counted = self._remove_counted(Like, Like.user_id == user_id, Like.tweet_id == tweet_id)
        if counted is not None:
            self._wrote(user_id)
            if counted:
                self._session.add(CounterChange(tweet_id=tweet_id, likes=-1))
            forget(self._session, (Notifies.LIKE,), user_id, tweet_id)
            outbox.record(self._session, TweetUnliked(user_id, tweet_id))
            self._session.flush()

    def _original(self, tweet_id: int) -> tuple[int, int | None]:
        """The id of the tweet, or of the tweet that it reposts, and its author; None if the tweet is deleted."""
        row = self._session.execute(_original(self._gone), {"tweet_id": tweet_id}).one_or_none()
        of, author_id = row or (None, None)
        return tweet_id if of is None else of, author_id

    def _lock_target(self, tweet_id: int) -> None:
        """Locks a tweet: one that is being deleted either still exists at the commit, or is not found here."""
        if self._session.scalar(_LOCKING, {"tweet_id": tweet_id}) is None:
            raise Missing("This tweet was deleted.")

    def _repost(self, user_id: int, tweet_id: int) -> Tweet | None:
        return self._session.scalar(select(Tweet).where(Tweet.user_id == user_id, Tweet.repost_of_id == tweet_id))

    def _count_replies(self, parent_id: int, step: int) -> int:
        """Counts a reply, and locks the parent. Returns 0 if it was deleted."""
        counted = {"replies_count": Tweet.replies_count + step}
        return write(self._session, update(Tweet).where(Tweet.id == parent_id).values(counted))

    def _insert_tweet(self, user_id: int, message: str, parent_id: int | None, of: int | None = None) -> Tweet:
        values: dict[str, Any] = {"user_id": user_id, "message": message, "parent_id": parent_id, "repost_of_id": of}
        for _ in range(ID_TRIES):
            values["id"] = ids.generate_id(parent_id or of or 0)
            values["date"] = ids.date_of(values["id"])
            tweet = Tweet(**values)
            # False if another process took this id within the same millisecond.
            if insert_new(self._session, Tweet, **values):
                make_transient_to_detached(tweet)
                break
        self._session.add(tweet)  # raises IntegrityError when it is flushed if no id was free
        return tweet

    def _index(self, tweet: Tweet) -> set[int]:
        """Records the tweet's mentions and hashtags. Returns the ids of the mentioned users."""
        names, tags = text.entities(tweet.message)
        if tags:
            name_tags(self._session, tags)
            self._session.add_all(Hashtag(tag=tag, tweet_id=tweet.id) for tag in sorted(tags))
        mentioned = set()
        if names:
            # Locked, so that an account that is being closed either still exists at the commit or is not found here.
            # A block locks the author's row, as `_wrote` did.
            named = (User.username_key.in_(sorted(names)), ~blocked_between(tweet.user_id, User.id))
            users = select(User.id).where(*named).order_by(User.id)
            mentioned = set(self._session.scalars(users.with_for_update(read=True, key_share=True)))
            self._session.add_all(Mention(user_id=user_id, tweet_id=tweet.id) for user_id in sorted(mentioned))
        return mentioned
