"""The checkpoint: what a store contains of the outbox, kept in the store beside the data it speaks of.

It is written after every reply of a batch was checked, so the data and the checkpoint of one server come from the same
moment, also after a crash, a failover or a restored dump. The row in `consumers` follows at most once a second; it
serves when the store has lost its own.
"""

import msgspec

from tweeter.delivery.position import Position
from tweeter.values import AnyEvent, ProfileChanged, TweetCreated

VERSION = 1
FRESH = 1.0  # seconds that a page from a store may lag behind the commits


class InFlight(msgspec.Struct, frozen=True, array_like=True):
    """An event that is still being applied: its followers (or tweets) up to `resume` have it."""

    id: int
    number: int
    event: AnyEvent
    resume: int = 0


class Checkpoint(msgspec.Struct, frozen=True, array_like=True):
    """Everything up to `position` is applied, but for the events in flight.

    `sequence` grows with each checkpoint of a store. `time` is the database's clock (seconds since 1970) at which the
    log was last read to its end. `last` is the event applied last, (id, number): an outbox that does not have it was
    restored from a backup, or pruned. `database` tells databases apart whose numbers begin anew. `holder` names the
    process that holds the lease; empty once it released it.
    """

    version: int
    database: str
    sequence: int
    time: float
    holder: str
    position: Position
    last: tuple[int, int]
    in_flight: tuple[InFlight, ...] = ()

    def lacks(self, number: int) -> bool:
        """Whether a write of this number (see `User.last_write`) may be missing."""
        return number > 0 and not self.position.contains(number)

    def renamed(self) -> frozenset[int]:
        """The authors whose cached tweets may still have an old name."""
        return frozenset(each.event.user_id for each in self.in_flight if isinstance(each.event, ProfileChanged))

    def age(self, now: float) -> float:
        """Seconds by which pages may lag; `now` is the database's clock."""
        return now - self.time


_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(Checkpoint).decode


def encode(checkpoint: Checkpoint) -> bytes:
    """Later checkpoints are greater as bytes, so that a store of several servers finds the least."""
    return checkpoint.sequence.to_bytes(8) + _encode(checkpoint)


def decode(data: bytes | None) -> Checkpoint | None:
    """The checkpoint; None where there is none, or none that this version can read."""
    if not data:
        return None
    try:
        found = _decode(data[8:])
    except (msgspec.DecodeError, UnicodeDecodeError):
        return None
    return found if found.version == VERSION else None


def tweets_in_flight(checkpoint: Checkpoint) -> list[TweetCreated]:
    """The posts whose fan-out is under way."""
    return [each.event for each in checkpoint.in_flight if isinstance(each.event, TweetCreated)]
