"""The ids that loaded tweets had in their files."""

from sqlalchemy import ForeignKey, String
from sqlalchemy.orm import Mapped, mapped_column

from tweeter.models.base import Base


class Imported(Base):
    """Lets a later file reply to a tweet by its id in an earlier file. The latest use of an id counts."""

    __tablename__ = "imported"

    source_id: Mapped[str] = mapped_column(String(100), primary_key=True)
    tweet_id: Mapped[int] = mapped_column(ForeignKey("tweets.id", ondelete="CASCADE"), index=True)

    __table_args__ = ({"sqlite_with_rowid": False},)


class Unlinked(Base):
    """A reply that was loaded before its parent, and the parent's id in the file."""

    __tablename__ = "unlinked"

    tweet_id: Mapped[int] = mapped_column(
        ForeignKey("tweets.id", ondelete="CASCADE"), primary_key=True, autoincrement=False
    )
    parent: Mapped[str] = mapped_column(String(100))

    __table_args__ = ({"sqlite_with_rowid": False},)
