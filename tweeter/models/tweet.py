"""Tweets, and the mentions and hashtags in them."""

from datetime import datetime

from sqlalchemy import ForeignKey, Index, String, Text, text
from sqlalchemy.orm import Mapped, mapped_column

from tweeter.models.base import Base, BigId, UTCDateTime, folded
from tweeter.text import LONGEST_HASHTAG


class Tweet(Base):
    """A tweet. Its id contains its time (`tweeter.ids`), so newer tweets have greater ids.

    `replies_count` is updated by `UPDATE … SET n = n + 1` in the transaction that adds or removes the replies.
    """

    __tablename__ = "tweets"

    id: Mapped[int] = mapped_column(BigId, primary_key=True, autoincrement=False)
    user_id: Mapped[int] = mapped_column(ForeignKey("users.id", ondelete="CASCADE"))
    message: Mapped[str] = mapped_column(Text)
    date: Mapped[datetime] = mapped_column(UTCDateTime)
    # No foreign key: a reply stays when its parent is deleted, and remains a reply.
    parent_id: Mapped[int | None] = mapped_column(BigId)
    # Read by search.
    folded: Mapped[str] = mapped_column(Text, default=folded("message"), server_default="", deferred=True)
    replies_count: Mapped[int] = mapped_column(default=0, server_default="0")

    __table_args__ = (
        # The profile timeline; the home timeline, one followee at a time.
        Index(None, "user_id", "id"),
        # The replies to a tweet. Partial, because most tweets are not replies.
        Index(
            "ix_tweets_parent_id_id",
            "parent_id",
            "id",
            sqlite_where=text("parent_id IS NOT NULL"),
            postgresql_where=text("parent_id IS NOT NULL"),
        ),
    )


class Mention(Base):
    """The tweet contains `@username` of the user."""

    __tablename__ = "mentions"

    user_id: Mapped[int] = mapped_column(ForeignKey("users.id", ondelete="CASCADE"), primary_key=True)
    tweet_id: Mapped[int] = mapped_column(
        ForeignKey("tweets.id", ondelete="CASCADE"), primary_key=True, autoincrement=False, index=True
    )

    __table_args__ = ({"sqlite_with_rowid": False},)


class Hashtag(Base):
    """The tweet contains `#tag`; `tag` is folded."""

    __tablename__ = "hashtags"

    tag: Mapped[str] = mapped_column(String(LONGEST_HASHTAG), primary_key=True)
    tweet_id: Mapped[int] = mapped_column(
        ForeignKey("tweets.id", ondelete="CASCADE"), primary_key=True, autoincrement=False, index=True
    )

    __table_args__ = ({"sqlite_with_rowid": False},)
