"""Users and their follows."""

from datetime import datetime
from typing import Any

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    ColumnElement,
    Computed,
    ForeignKey,
    Index,
    Select,
    SmallInteger,
    String,
    Text,
    false,
    select,
    text,
)
from sqlalchemy.orm import Mapped, declared_attr, mapped_column

from tweeter.models.base import Base, BigId, Uncounted, UTCDateTime, folded, now
from tweeter.models.notification import Notifies

EVERY = sum(Notifies)


class User(Base):
    """An account.

    The counters are updated by `UPDATE … SET n = n + 1` in the transaction that changes what they count. A new
    `auth_version` ends all sessions. `password_hash` is empty for users loaded from a file: signing in as one of them
    is impossible until a password is set.

    No page shows a `closed` account, its tweets or its follows; `closing.remove_some` removes its rows, unless it is
    `suspended`, too: then it may return.
    """

    __tablename__ = "users"

    id: Mapped[int] = mapped_column(BigId, primary_key=True)
    username: Mapped[str] = mapped_column(String(20))
    username_key: Mapped[str] = mapped_column(String(20), unique=True)  # lower case: usernames are case-insensitive
    display_name: Mapped[str] = mapped_column(String(200))
    bio: Mapped[str] = mapped_column(Text, default="")
    password_hash: Mapped[str] = mapped_column(String(200), default="")
    auth_version: Mapped[int] = mapped_column(default=0)
    tweets_count: Mapped[int] = mapped_column(default=0)
    followers_count: Mapped[int] = mapped_column(default=0)
    following_count: Mapped[int] = mapped_column(default=0)
    date: Mapped[datetime] = mapped_column(UTCDateTime, default=now)
    # Read by search.
    folded_name: Mapped[str] = mapped_column(Text, default=folded("display_name"), server_default="", deferred=True)
    closed: Mapped[bool] = mapped_column(default=False, server_default=false())
    # The number of this account's last write (see `outbox.NUMBER`): the viewer's pages must contain it.
    last_write: Mapped[int] = mapped_column(BigInteger, default=0, server_default="0")
    # Grows with each change of the authors that are hidden from this user; 0 if there never were any.
    hidden_version: Mapped[int] = mapped_column(default=0, server_default="0")
    suspended: Mapped[bool] = mapped_column(default=False, server_default=false())  # and always closed, too
    # The newest notification that the user has seen, and what notifies them: a sum of Notifies.
    notifications_read_id: Mapped[int] = mapped_column(BigInteger, default=0, server_default="0")
    notifies: Mapped[int] = mapped_column(SmallInteger, default=EVERY, server_default=str(EVERY))
    # Search reads the accounts with the most followers. An index on the count itself would make each follow slower.
    followers_digits: Mapped[int | None] = mapped_column(
        Computed("length(CAST(followers_count AS text))", persisted=True), deferred=True
    )
    # Counters of others leave out what this account did, as far as `tweeter.services.recounting` has got.
    uncounted: Mapped[bool] = mapped_column(default=False, server_default=false())

    # Without AUTOINCREMENT SQLite could give the id of a closed account to the next new one.
    __table_args__ = (
        CheckConstraint("tweets_count >= 0", "tweets_count"),
        CheckConstraint("followers_count >= 0", "followers_count"),
        CheckConstraint("following_count >= 0", "following_count"),
        # Every page excludes closed accounts, and mostly there are none.
        Index("ix_users_closed", "id", sqlite_where=text("closed = 1"), postgresql_where=text("closed")),
        Index(None, "followers_digits", "id"),
        {"sqlite_autoincrement": True},
    )


class Celebrity(Base):
    """An author whose tweets were merged at read at some time: see `tweeter.timelines.celebrities`. Never removed."""

    __tablename__ = "celebrities"

    user_id: Mapped[int] = mapped_column(ForeignKey("users.id", ondelete="CASCADE"), primary_key=True)


class Recount(Base):
    """An account whose rows `tweeter.services.recounting` must look at, and how far it has got."""

    __tablename__ = "recounts"

    user_id: Mapped[int] = mapped_column(ForeignKey("users.id", ondelete="CASCADE"), primary_key=True)
    step: Mapped[int] = mapped_column(SmallInteger, default=0)
    last_key: Mapped[int] = mapped_column(BigInteger, default=0)
    beginnings: Mapped[int] = mapped_column(default=0)  # how often it began anew


closed_users = select(User.id).where(User.closed)  # for `not_in`
removed_users = User.closed & ~User.suspended  # the condition of those who never return


class _Pair:
    """What one user did about another. Each has one row, and nobody has one about themselves."""

    from_user_id: Mapped[int] = mapped_column(ForeignKey("users.id", ondelete="CASCADE"), primary_key=True)
    to_user_id: Mapped[int] = mapped_column(ForeignKey("users.id", ondelete="CASCADE"), primary_key=True)

    @declared_attr.directive
    def __table_args__(cls) -> tuple[Any, ...]:
        return (
            # Covers reads in the other direction: fan-out reads an author's followers in chunks by id.
            Index(None, "to_user_id", "from_user_id", unique=True),
            CheckConstraint("from_user_id <> to_user_id", "not_oneself"),
            {"sqlite_with_rowid": False},
        )


class Relationship(_Pair, Base):
    """`from_user` follows `to_user`."""

    __tablename__ = "relationships"

    uncounted: Mapped[Uncounted]


class Mute(_Pair, Base):
    """`from_user` does not want to see `to_user`, who is not informed."""

    __tablename__ = "mutes"


class Block(_Pair, Base):
    """`from_user` blocks `to_user`: neither sees, follows, mentions, reposts, likes or replies to the other."""

    __tablename__ = "blocks"


class Hidden(Base):
    """The viewer's timelines do not contain the author's tweets: one row for all mutes and blocks between the two."""

    __tablename__ = "hidden"

    viewer_id: Mapped[int] = mapped_column(ForeignKey("users.id", ondelete="CASCADE"), primary_key=True)
    author_id: Mapped[int] = mapped_column(ForeignKey("users.id", ondelete="CASCADE"), primary_key=True)

    __table_args__ = (
        # Fan-out reads an author's followers without these.
        Index(None, "author_id", "viewer_id", unique=True),
        {"sqlite_with_rowid": False},
    )


def hidden_from(viewer: ColumnElement[int]) -> Select[Any]:
    """The ids of the authors hidden from a viewer, for `not_in`. A parameter, not a column of the statement around."""
    return select(Hidden.author_id).where(Hidden.viewer_id == viewer)
