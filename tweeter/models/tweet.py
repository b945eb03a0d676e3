"""Tweets and reposts; the mentions and hashtags in tweets; likes."""

from datetime import datetime

from sqlalchemy import ForeignKey, Index, String, Text, text
from sqlalchemy.orm import Mapped, mapped_column

from tweeter.models.base import Base, BigId, Uncounted, UTCDateTime, folded
from tweeter.text import LONGEST_HASHTAG


class Tweet(Base):
    """A tweet, or a repost: a row without a message that refers to a tweet by `repost_of_id`.

    The id contains the time (`tweeter.ids`), so newer tweets have greater ids. A repost's id is its place in timelines.

    `replies_count` is updated by `UPDATE … SET n = n + 1` in the transaction that adds or removes the replies. The
    other two counters grow by the rows of CounterChange.
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
    # No foreign key: the reposts of a deleted tweet are removed later. No page shows them.
    repost_of_id: Mapped[int | None] = mapped_column(BigId)
    reposts_count: Mapped[int] = mapped_column(default=0, server_default="0")
    likes_count: Mapped[int] = mapped_column(default=0, server_default="0")
    uncounted: Mapped[Uncounted]  # of a reply or a repost

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
        # The reposts of a tweet; who reposted it.
        Index(
            "ix_tweets_repost_of_id_id",
            "repost_of_id",
            "id",
            sqlite_where=text("repost_of_id IS NOT NULL"),
            postgresql_where=text("repost_of_id IS NOT NULL"),
        ),
        # A user reposts a tweet once.
        Index(
            "ix_tweets_user_id_repost_of_id",
            "user_id",
            "repost_of_id",
            unique=True,
            sqlite_where=text("repost_of_id IS NOT NULL"),
            postgresql_where=text("repost_of_id IS NOT NULL"),
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


class Tag(Base):
    """A hashtag that a tweet contains or contained. Its id owns a timeline, and never changes."""

    __tablename__ = "tags"

    id: Mapped[int] = mapped_column(BigId, primary_key=True)
    tag: Mapped[str] = mapped_column(String(LONGEST_HASHTAG), unique=True)

    # Without AUTOINCREMENT SQLite could give an id to another tag later.
    __table_args__ = ({"sqlite_autoincrement": True},)


class Like(Base):
    """The user likes the tweet. `id` contains the time, like a tweet's id: it is the like's place in a timeline."""

    __tablename__ = "likes"

    user_id: Mapped[int] = mapped_column(ForeignKey("users.id", ondelete="CASCADE"), primary_key=True)
    # No foreign key: the likes of a deleted tweet are removed later.
    tweet_id: Mapped[int] = mapped_column(BigId, primary_key=True, autoincrement=False)
    id: Mapped[int] = mapped_column(BigId)
    uncounted: Mapped[Uncounted]

    __table_args__ = (
        # One's own likes.
        Index(None, "user_id", "id", unique=True),
        # Who likes a tweet.
        Index(None, "tweet_id", "id"),
        {"sqlite_with_rowid": False},
    )


class CounterChange(Base):
    """A like or a repost, or its undo, that is not yet counted in the tweet's row.

    A thousand transactions a second that update one row would wait for each other. So each adds a row here, and
    `tweeter.services.counters` adds them to the tweet, many at once. A count is the tweet's column plus these rows.
    """

    __tablename__ = "counter_changes"

    id: Mapped[int] = mapped_column(BigId, primary_key=True)
    tweet_id: Mapped[int] = mapped_column(BigId, index=True)
    likes: Mapped[int] = mapped_column(default=0)
    reposts: Mapped[int] = mapped_column(default=0)


class DeletedTweet(Base):
    """A deleted tweet that still has rows of likes or reposts: `tweeter.services.closing` removes them."""

    __tablename__ = "deleted_tweets"

    id: Mapped[int] = mapped_column(BigId, primary_key=True, autoincrement=False)
