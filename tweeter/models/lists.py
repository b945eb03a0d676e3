"""Lists of people: each has a timeline."""

from datetime import datetime

from sqlalchemy import ForeignKey, Index, String, false
from sqlalchemy.orm import Mapped, mapped_column

from tweeter.models.base import Base, BigId, UTCDateTime, now


class List(Base):
    """A list of people that a user made. Only the user sees a `private` one."""

    __tablename__ = "lists"

    id: Mapped[int] = mapped_column(BigId, primary_key=True)
    user_id: Mapped[int] = mapped_column(ForeignKey("users.id", ondelete="CASCADE"))
    name: Mapped[str] = mapped_column(String(200))
    private: Mapped[bool] = mapped_column(default=False, server_default=false())
    date: Mapped[datetime] = mapped_column(UTCDateTime, default=now)

    __table_args__ = (
        # The lists of a user.
        Index(None, "user_id", "id"),
        # Without AUTOINCREMENT SQLite could give an id to another list later.
        {"sqlite_autoincrement": True},
    )


class ListMember(Base):
    """The list contains the tweets and reposts of the user."""

    __tablename__ = "list_members"

    list_id: Mapped[int] = mapped_column(ForeignKey("lists.id", ondelete="CASCADE"), primary_key=True)
    user_id: Mapped[int] = mapped_column(ForeignKey("users.id", ondelete="CASCADE"), primary_key=True)

    __table_args__ = (
        # The lists that an author's tweets belong to.
        Index(None, "user_id", "list_id", unique=True),
        {"sqlite_with_rowid": False},
    )
