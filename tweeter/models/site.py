"""The site: a table with one row."""

from datetime import datetime

from sqlalchemy import CheckConstraint, String
from sqlalchemy.orm import Mapped, mapped_column

from tweeter.models.base import Base, UTCDateTime


class Site(Base):
    """`id` is random and part of every key in shared stores, so that sites can share a server and its settings.

    The first read of the id creates the row, not the migration: so databases copied from one migrated template get
    different ids.
    """

    __tablename__ = "site"

    number: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    id: Mapped[str] = mapped_column(String(16))
    # Set while a bulk load has written rows without events. One event follows when the load ends, or after this moment,
    # when the load counts as dead.
    loading_until: Mapped[datetime | None] = mapped_column(UTCDateTime)
    # The restore epoch counts the moves of the database to another server, where transaction ids begin anew; `server`
    # identifies the current one.
    epoch: Mapped[int] = mapped_column(default=0, server_default="0")
    server: Mapped[str] = mapped_column(String(40), default="", server_default="")

    __table_args__ = (CheckConstraint("number = 1", "one_row"),)
