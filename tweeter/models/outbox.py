"""The outbox table, how far each shared store was delivered to, and the chunks that workers were given."""

from datetime import datetime

from sqlalchemy import BigInteger, FetchedValue, Index, LargeBinary, String, Text
from sqlalchemy.orm import Mapped, mapped_column

from tweeter.models.base import Base, BigId, UTCDateTime, now


class OutboxEvent(Base):
    """One event. `payload` is the Event as JSON: `{"type":"TweetCreated","tweet_id":42,"user_id":7}`."""

    __tablename__ = "outbox"

    id: Mapped[int] = mapped_column(BigId, primary_key=True)
    # PostgreSQL assigns ids in the order of inserts, but transactions commit in another order: only the transaction
    # id tells below which point no event can appear any more. Set by a server default there, empty in SQLite.
    transaction_id: Mapped[int | None] = mapped_column(BigInteger, FetchedValue())
    payload: Mapped[str] = mapped_column(Text)
    date: Mapped[datetime] = mapped_column(UTCDateTime, default=now)
    request_id: Mapped[str | None] = mapped_column(String(32))  # of the request that recorded it

    __table_args__ = (
        Index(None, "transaction_id", "id"),
        Index(None, "date"),
        # An event with a reused id would never be read.
        {"sqlite_autoincrement": True},
    )


class Consumer(Base):
    """A shared store as a reader of the outbox.

    `checkpoint` is a copy of the store's own, at most a second old (see `tweeter.outbox.checkpoint`).
    `run_id` is the run of the store's servers to which it applies. `holder` and `held_until` are the row lease,
    used only behind a transaction pooler.
    """

    __tablename__ = "consumers"

    name: Mapped[str] = mapped_column(String(200), primary_key=True)
    checkpoint: Mapped[bytes] = mapped_column(LargeBinary)
    run_id: Mapped[str] = mapped_column("incarnation", Text, default="", server_default="")
    holder: Mapped[str] = mapped_column(String(40), default="", server_default="")
    held_until: Mapped[datetime] = mapped_column(UTCDateTime)
    date: Mapped[datetime] = mapped_column(UTCDateTime)  # of the checkpoint


class FanOutChunk(Base):
    """A part of a large fan-out that a worker was given (see `tweeter.delivery.chunks`); deleted when it is done.

    `state` is one of `tweeter.delivery.chunks.State`. `attempts` counts the workers that began it.
    """

    __tablename__ = "fan_out_chunks"

    id: Mapped[int] = mapped_column(BigInteger, primary_key=True, autoincrement=False)  # random
    store: Mapped[str] = mapped_column(String(200))  # as in `consumers`
    attempts: Mapped[int] = mapped_column(default=0)
    state: Mapped[int] = mapped_column(default=0)
    date: Mapped[datetime] = mapped_column(UTCDateTime, default=now)
