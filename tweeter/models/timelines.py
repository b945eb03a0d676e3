"""Materialized timelines in SQL, for the backend `table`; empty under every other backend.

The three tables are unlogged on PostgreSQL: they take no part in the write-ahead log, and a crash empties all of them.
None has a foreign key, because rows may vanish at any time.
"""

from sqlalchemy import BigInteger, Index, LargeBinary, String, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from tweeter.models.base import Base, BigId


class TimelineRun(Base):
    """One row: `id` is random, so a new row shows that a crash emptied the tables."""

    __tablename__ = "timeline_runs"

    id: Mapped[int] = mapped_column(BigInteger, primary_key=True, autoincrement=False)
    site: Mapped[str] = mapped_column(String(16), unique=True)
    # Timelines with another shelf do not count any more: one update makes every timeline cold.
    shelf: Mapped[int] = mapped_column(BigInteger)
    checkpoint: Mapped[bytes | None] = mapped_column(LargeBinary)


class StoredTimeline(Base):
    """A timeline that is in backfill (`token`) or warm. Entries below `floor` do not count."""

    __tablename__ = "timelines"

    id: Mapped[int] = mapped_column(BigId, primary_key=True)
    shelf: Mapped[int] = mapped_column(BigInteger)
    kind: Mapped[str] = mapped_column(String(30))
    owner: Mapped[int] = mapped_column(BigInteger)  # 0 if the kind has no owners
    floor: Mapped[int] = mapped_column(BigInteger)
    token: Mapped[str | None] = mapped_column(String(32))
    used: Mapped[int] = mapped_column(BigInteger)  # milliseconds since 1970: the backfill's begin, or a read

    __table_args__ = (
        UniqueConstraint("shelf", "kind", "owner"),
        Index(None, "used"),
        # A new timeline must not inherit the entries of a former one.
        {"sqlite_autoincrement": True},
    )


class TimelineEntry(Base):
    """An id in a timeline. `of_id` is the tweet that it refers to, NULL if it is the tweet's own."""

    __tablename__ = "timeline_entries"

    timeline_id: Mapped[int] = mapped_column(BigId, primary_key=True, autoincrement=False)
    tweet_id: Mapped[int] = mapped_column(BigId, primary_key=True, autoincrement=False)
    of_id: Mapped[int | None] = mapped_column(BigInteger)

    __table_args__ = ({"sqlite_with_rowid": False},)
