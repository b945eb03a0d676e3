"""The sessions of signed-in users."""

from datetime import datetime

from sqlalchemy import ForeignKey, LargeBinary
from sqlalchemy.orm import Mapped, mapped_column

from tweeter.models.base import Base, UTCDateTime, now


class LoginSession(Base):
    """The session of a signed-in browser.

    The browser has the token; the table has its hash, so that a copy of the database does not allow signing in. The
    session is valid until `expires`, as long as the user's `auth_version` equals the session's.
    """

    __tablename__ = "sessions"

    token_hash: Mapped[bytes] = mapped_column(LargeBinary(32), primary_key=True)
    user_id: Mapped[int] = mapped_column(ForeignKey("users.id", ondelete="CASCADE"), index=True)
    auth_version: Mapped[int]
    date: Mapped[datetime] = mapped_column(UTCDateTime, default=now)
    expires: Mapped[datetime] = mapped_column(UTCDateTime, index=True)

    __table_args__ = ({"sqlite_with_rowid": False},)
