"""How far each shared store has been delivered to: a row for each."""

from datetime import datetime

from sqlalchemy import LargeBinary, String, Text
from sqlalchemy.orm import Mapped, mapped_column

from tweeter.models.meta import Base, UTCDateTime


class Consumer(Base):
    """A shared store as a reader of the outbox.

    `checkpoint` is what the store itself has, a second later at most (see `tweeter.delivery.checkpoint`).
    `incarnation` tells which run of the store's servers that is true of. `holder` and `held_until` are the row lease;
    only behind a transaction pooler they are used.
    """

    __tablename__ = "consumers"

    name: Mapped[str] = mapped_column(String(200), primary_key=True)
    checkpoint: Mapped[bytes] = mapped_column(LargeBinary)
    incarnation: Mapped[str] = mapped_column(Text, default="", server_default="")
    holder: Mapped[str] = mapped_column(String(40), default="", server_default="")
    held_until: Mapped[datetime] = mapped_column(UTCDateTime)
    date: Mapped[datetime] = mapped_column(UTCDateTime)  # of the checkpoint
