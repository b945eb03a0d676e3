"""Who is signed in where."""

from datetime import datetime

from sqlalchemy import ForeignKey, LargeBinary
from sqlalchemy.orm import Mapped, mapped_column

from tweeter.models.meta import Base, UTCDateTime, now


class LoginSession(Base):
    """A browser that is signed in.

    The browser has the token; the table has its hash, so that a copy of the database signs nobody in. The session is
    valid until `expires`, as long as the user's `auth_version` is the one that it began with.
    """

    __tablename__ = "sessions"

    token_hash: Mapped[bytes] = mapped_column(LargeBinary(32), primary_key=True)
    user_id: Mapped[int] = mapped_column(ForeignKey("users.id", ondelete="CASCADE"), index=True)
    auth_version: Mapped[int]
    date: Mapped[datetime] = mapped_column(UTCDateTime, default=now)
    expires: Mapped[datetime] = mapped_column(UTCDateTime, index=True)

    __table_args__ = ({"sqlite_with_rowid": False},)
