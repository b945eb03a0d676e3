"""The actions of users: rows and outbox event in one transaction; the relay delivers the event after the commit.

The caller owns the transaction. All business rules are here, so they apply equally to forms, commands and tests. An
action that they do not allow raises Refused, with a message for the user.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from pyramid.config import Configurator
from pyramid.registry import Registry
from pyramid.request import Request
from sqlalchemy import delete, select, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session, make_transient_to_detached

from tweeter import ids, outbox, text
from tweeter.db.sessions import insert_new, write
from tweeter.errors import Missing, NotYours, Refused
from tweeter.interfaces import IDelivery
from tweeter.models import Hashtag, Mention, Tweet, User, closed_users
from tweeter.services.checks import check_bio, check_display_name, check_message, check_password
from tweeter.services.closing import lock_tweets
from tweeter.services.passwords import Passwords
from tweeter.services.relationships import Relationships, blocked_between
from tweeter.values import AccountClosed, ProfileChanged, TweetCreated, TweetsDeleted

ID_TRIES = 5


class Actions(Relationships):
    """The actions, within the session's transaction. They take ids and return rows."""

    def __init__(self, session: Session, passwords: Passwords, message_limit: int) -> None:
        super().__init__(session)
        self._passwords = passwords
        self._message_limit = message_limit

    # accounts

    def sign_up(self, username: str, password: str, display_name: str = "", bio: str = "") -> User:
        """Opens an account."""
        if not text.USERNAME.fullmatch(username):
            raise Refused("A username has 1 to 20 letters, digits or underscores.", "username")
        check_password(password)
        user = User(
            username=username,
            username_key=username.lower(),
            display_name=check_display_name(display_name) or username,
            bio=check_bio(bio),
            password_hash=self._passwords.hash(password),  # slow, so before anything is locked
        )
        try:
            with self._session.begin_nested():
                self._session.add(user)
        except IntegrityError:
            raise Refused("This username is taken.", "username") from None
        return user

    def change_profile(self, user_id: int, display_name: str, bio: str) -> None:
        """Changes name and bio. An empty name becomes the username."""
        user = self._user(user_id, lock=True)
        name = check_display_name(display_name) or user.username
        user.bio = check_bio(bio)
        if user.display_name != name:
            user.display_name, user.folded_name = name, text.fold(name)
            self._wrote(user_id)
            outbox.record(self._session, ProfileChanged(user_id))
        self._session.flush()

    def set_password(self, user_id: int, password: str) -> User:
        """Sets a new password, and ends every session that began with the old one."""
        check_password(password)
        password_hash = self._passwords.hash(password)  # slow, so before anything is locked
        user = self._user(user_id, lock=True)
        user.password_hash = password_hash
        user.auth_version = user.auth_version + 1
        self._session.flush()
        return user

    def sign_out_everywhere(self, user_id: int) -> None:
        """Ends every session of the account."""
        self._count(User.id == user_id, auth_version=1)

    def close_account(self, user_id: int) -> None:
        """Closes the account: no page shows it, its tweets or its follows from now on, and its username is free again.

        `tweeter.services.closing` removes the rows later: there may be millions, which would lock others too long.
        """
        user = self._user(user_id, lock=True)
        user.closed = True
        user.username_key = f"!{user_id}"  # not a valid username
        user.display_name = user.bio = user.password_hash = ""
        user.auth_version = user.auth_version + 1
        outbox.record(self._session, AccountClosed(user_id))
        self._session.flush()

    # tweets

    def post(self, user_id: int, message: str, parent_id: int | None = None) -> Tweet:
        """Posts a tweet; a reply if a parent is given."""
        session = self._session
        message = check_message(message, self._message_limit)
        if parent_id is not None:
            self._check_parent(user_id, parent_id)
        if not self._wrote(user_id, tweets_count=1):
            raise Missing("This account is closed.")
        tweet = self._insert_tweet(user_id, message, parent_id)
        self._index(tweet)
        if parent_id is not None:
            self._count_replies(parent_id, 1)
        outbox.record(session, TweetCreated(tweet.id, user_id, parent_id))
        session.flush()
        return tweet

    def delete(self, user_id: int, tweet_id: int) -> None:
        """Deletes a tweet of the user. Replies to it stay."""
        author_id = self._author(tweet_id)
        if author_id is None:
            raise Missing("This tweet was deleted.")
        if author_id != user_id:
            raise NotYours("This tweet belongs to another user.")
        self._lock(user_id)
        parent_id = self._session.scalar(select(Tweet.parent_id).where(Tweet.id == tweet_id))
        parent_ids = () if parent_id is None else (parent_id,)
        lock_tweets(self._session, [tweet_id, *parent_ids])
        if not write(self._session, delete(Tweet).where(Tweet.id == tweet_id)):
            raise Missing("This tweet was deleted.")
        if parent_id is not None:
            self._count_replies(parent_id, -1)
        self._wrote(user_id, tweets_count=-1)
        outbox.record(self._session, TweetsDeleted((tweet_id,), user_id, parent_ids))
        self._session.flush()

    # the parts

    def _user(self, user_id: int, lock: bool = False) -> User:
        user = self._session.get(User, user_id, with_for_update=lock or None)
        if user is None or user.closed:
            raise Missing("This account is closed.")
        return user

    def _check_parent(self, user_id: int, parent_id: int) -> None:
        """Raises Missing if the parent is deleted, Refused if its author and the user block each other."""
        author_id = self._author(parent_id)
        if author_id is None:
            raise Missing("The tweet you reply to was deleted.", "parent_id")
        if author_id != user_id:
            self._lock(user_id)  # a block locks it, too
            self._refuse_blocked(user_id, self._user(author_id), "You can't reply to this tweet")

    def _author(self, tweet_id: int) -> int | None:
        """The id of the tweet's author; None if the tweet is deleted."""
        open_ = Tweet.user_id.not_in(closed_users)
        return self._session.scalar(select(Tweet.user_id).where(Tweet.id == tweet_id, open_))

    def _count_replies(self, parent_id: int, step: int) -> None:
        counted = {"replies_count": Tweet.replies_count + step}
        write(self._session, update(Tweet).where(Tweet.id == parent_id).values(counted))

    def _insert_tweet(self, user_id: int, message: str, parent_id: int | None) -> Tweet:
        values: dict[str, Any] = {"user_id": user_id, "message": message, "parent_id": parent_id}
        for _ in range(ID_TRIES):
            values["id"] = ids.generate_id() if parent_id is None else ids.generate_id(parent_id)
            values["date"] = ids.date_of(values["id"])
            tweet = Tweet(**values)
            # False if another process took this id within the same millisecond.
            if insert_new(self._session, Tweet, **values):
                make_transient_to_detached(tweet)
                break
        self._session.add(tweet)  # raises IntegrityError when it is flushed if no id was free
        return tweet

    def _index(self, tweet: Tweet) -> None:
        """Records the tweet's mentions and hashtags."""
        names, tags = text.entities(tweet.message)
        self._session.add_all(Hashtag(tag=tag, tweet_id=tweet.id) for tag in sorted(tags))
        if names:
            # Locked, so that an account that is being closed either still exists at the commit or is not found here.
            # A block locks the author's row, as `_wrote` did.
            named = (User.username_key.in_(sorted(names)), ~blocked_between(tweet.user_id, User.id))
            mentioned = select(User.id).where(*named).order_by(User.id)
            for user_id in self._session.scalars(mentioned.with_for_update(read=True, key_share=True)):
                self._session.add(Mention(user_id=user_id, tweet_id=tweet.id))


def actions_of(registry: Registry, session: Session) -> Actions:
    """The actions of a site, within the session's transaction."""
    return Actions(session, registry["passwords"], registry.settings["tweeter.message_limit"])


@contextmanager
def acting(registry: Registry) -> Iterator[Actions]:
    """The actions in a transaction of their own, committed at the end of the block. Does not wake the delivery."""
    with registry.database.writing_sessions.begin() as session:
        yield actions_of(registry, session)


def _request_actions(request: Request) -> Actions:
    """The Actions of the request's transaction. Its commit wakes the relays."""
    session, wake = request.dbsession, request.registry.getUtility(IDelivery).wake
    request.tm.get().addAfterCommitHook(
        lambda committed: wake() if committed and outbox.RECORDED in session.info else None
    )
    return actions_of(request.registry, session)


def includeme(config: Configurator) -> None:
    """Adds `request.actions`: the actions within the request's transaction. A commit with an event wakes the relay."""
    config.registry["passwords"] = Passwords.of(config.get_settings())
    config.add_request_method(_request_actions, "actions", reify=True)
