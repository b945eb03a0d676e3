"""Applications that use the API: their registrations, codes and tokens, and what they store for a user."""

from datetime import datetime

from sqlalchemy import BigInteger, ForeignKey, LargeBinary, String, Text
from sqlalchemy.orm import Mapped, mapped_column

from tweeter.models.base import Base, BigId, UTCDateTime, now


class Application(Base):
    """An application that registered itself. It has the secret; the table has its hash."""

    __tablename__ = "applications"

    id: Mapped[int] = mapped_column(BigId, primary_key=True)
    client_id: Mapped[str] = mapped_column(String(43), unique=True)
    secret_hash: Mapped[bytes] = mapped_column(LargeBinary(32))
    name: Mapped[str] = mapped_column(String(200))
    website: Mapped[str] = mapped_column(Text, default="")
    redirect_uris: Mapped[str] = mapped_column(Text)  # one on each line
    scopes: Mapped[str] = mapped_column(Text)  # separated by spaces
    date: Mapped[datetime] = mapped_column(UTCDateTime, default=now, index=True)

    __table_args__ = ({"sqlite_autoincrement": True},)


class AuthorizationCode(Base):
    """A user's consent, until the application exchanges its code for a token."""

    __tablename__ = "authorization_codes"

    code_hash: Mapped[bytes] = mapped_column(LargeBinary(32), primary_key=True)
    application_id: Mapped[int] = mapped_column(ForeignKey("applications.id", ondelete="CASCADE"), index=True)
    user_id: Mapped[int] = mapped_column(ForeignKey("users.id", ondelete="CASCADE"), index=True)
    auth_version: Mapped[int]
    redirect_uri: Mapped[str] = mapped_column(Text)
    scopes: Mapped[str] = mapped_column(Text)
    challenge: Mapped[str] = mapped_column(String(128), default="")  # of PKCE; empty: none
    challenge_method: Mapped[str] = mapped_column(String(5), default="")
    expires: Mapped[datetime] = mapped_column(UTCDateTime, index=True)

    __table_args__ = ({"sqlite_with_rowid": False},)


class AccessToken(Base):
    """An application's access to a user's account; without a user, to what everyone may read.

    It is valid as long as the user's `auth_version` equals the token's.
    """

    __tablename__ = "access_tokens"

    id: Mapped[int] = mapped_column(BigId, primary_key=True)
    token_hash: Mapped[bytes] = mapped_column(LargeBinary(32), unique=True)
    application_id: Mapped[int] = mapped_column(ForeignKey("applications.id", ondelete="CASCADE"), index=True)
    user_id: Mapped[int | None] = mapped_column(ForeignKey("users.id", ondelete="CASCADE"), index=True)
    auth_version: Mapped[int] = mapped_column(default=0)
    scopes: Mapped[str] = mapped_column(Text)
    date: Mapped[datetime] = mapped_column(UTCDateTime, default=now)


class PostedKey(Base):
    """The Idempotency-Key of a post: a repeated request gets the same tweet."""

    __tablename__ = "posted_keys"

    user_id: Mapped[int] = mapped_column(ForeignKey("users.id", ondelete="CASCADE"), primary_key=True)
    key_hash: Mapped[bytes] = mapped_column(LargeBinary(32), primary_key=True)
    tweet_id: Mapped[int] = mapped_column(BigInteger, default=0)
    date: Mapped[datetime] = mapped_column(UTCDateTime, default=now, index=True)

    __table_args__ = ({"sqlite_with_rowid": False},)


class Marker(Base):
    """How far a user has read a timeline; their applications share it."""

    __tablename__ = "markers"

    user_id: Mapped[int] = mapped_column(ForeignKey("users.id", ondelete="CASCADE"), primary_key=True)
    timeline: Mapped[str] = mapped_column(String(20), primary_key=True)
    last_read_id: Mapped[str] = mapped_column(String(20))
    version: Mapped[int] = mapped_column(default=0)
    date: Mapped[datetime] = mapped_column(UTCDateTime, default=now)

    __table_args__ = ({"sqlite_with_rowid": False},)
