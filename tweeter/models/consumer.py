"""How far each shared store was delivered to: one row per store."""

from datetime import datetime

from sqlalchemy import LargeBinary, String, Text
from sqlalchemy.orm import Mapped, mapped_column

from tweeter.models.base import Base, UTCDateTime


class Consumer(Base):
    """A shared store as a reader of the outbox.

    `checkpoint` is a copy of the store's own, at most a second old (see `tweeter.outbox.checkpoint`).
    `incarnation` is the run of the store's servers to which it applies. `holder` and `held_until` are the row lease,
    used only behind a transaction pooler.
    """

    __tablename__ = "consumers"

    name: Mapped[str] = mapped_column(String(200), primary_key=True)
    checkpoint: Mapped[bytes] = mapped_column(LargeBinary)
    incarnation: Mapped[str] = mapped_column(Text, default="", server_default="")
    holder: Mapped[str] = mapped_column(String(40), default="", server_default="")
    held_until: Mapped[datetime] = mapped_column(UTCDateTime)
    date: Mapped[datetime] = mapped_column(UTCDateTime)  # of the checkpoint
