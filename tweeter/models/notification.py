"""What users are notified of."""

from enum import IntFlag

from sqlalchemy import BigInteger, ForeignKey, Index, SmallInteger
from sqlalchemy.orm import Mapped, mapped_column

from tweeter.models.base import Base, BigId


class Notifies(IntFlag):
    """The kind of a notification is one of the first five. `users.notifies` has the sum of what a user wants.

    Without STRANGERS only those whom the user follows notify.
    """

    REPLY = 1
    MENTION = 2
    LIKE = 4
    REPOST = 8
    FOLLOW = 16
    STRANGERS = 32


class Notification(Base):
    """The actor replied to the user, or mentioned, liked, reposted or followed them.

    `tweet_id` is the reply or the tweet with the mention; of a like or a repost, the user's own tweet; 0 of a follow.
    `id` contains the time: it is that of the tweet, the repost or the like. No row is ever updated, so a thousand likes
    a second of one tweet do not wait for each other.
    """

    __tablename__ = "notifications"

    # No foreign key: each like would lock the row of the tweet's author. Those who insert have locked the tweet or the
    # user, so no row appears after those of a closed account were removed.
    user_id: Mapped[int] = mapped_column(BigId, primary_key=True, autoincrement=False)
    id: Mapped[int] = mapped_column(BigId, primary_key=True, autoincrement=False)
    kind: Mapped[int] = mapped_column(SmallInteger)
    actor_id: Mapped[int] = mapped_column(ForeignKey("users.id", ondelete="CASCADE"))
    # No foreign key: the rows about a deleted tweet are removed later. No page shows them.
    tweet_id: Mapped[int] = mapped_column(BigInteger)

    __table_args__ = (
        # Finds what an undo or a closed account removes.
        Index(None, "actor_id", "kind", "tweet_id", "user_id", unique=True),
        # The other rows of a group. With the actor, so that it has all columns: SQLite then prefers it to the key.
        Index(None, "user_id", "kind", "tweet_id", "id", "actor_id"),
        # Old rows.
        Index(None, "id"),
        {"sqlite_with_rowid": False},
    )
