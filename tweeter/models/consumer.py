"""Who has delivered how much: a row for each store that several processes share."""

from datetime import datetime

from sqlalchemy import BigInteger, String, Text
from sqlalchemy.orm import Mapped, mapped_column

from tweeter.models.meta import Base, UTCDateTime


class Consumer(Base):
    """A shared store as a reader of the outbox.

    `position` and `seen` are how far the log was delivered to it (see `outbox.LogReader`). `incarnation` tells which
    run of the store's server that is true of: a server that comes back may come back with what it had saved an hour
    ago. Empty: nothing in it is trusted. One process at a time delivers: the `holder`, until `held_until` if it should
    die meanwhile.
    """

    __tablename__ = "consumers"

    name: Mapped[str] = mapped_column(String(200), primary_key=True)
    position: Mapped[int] = mapped_column(BigInteger)
    seen: Mapped[str] = mapped_column(Text)
    incarnation: Mapped[str] = mapped_column(Text, default="")
    holder: Mapped[str] = mapped_column(String(40), default="")
    held_until: Mapped[datetime] = mapped_column(UTCDateTime)
    date: Mapped[datetime] = mapped_column(UTCDateTime)  # when it was last known that nothing was missed
