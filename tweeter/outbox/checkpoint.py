"""The checkpoint: how far a store was delivered to. The store keeps it beside the data.

It is written after every reply of a batch was checked, so the data and the checkpoint of one server come from the same
moment, also after a crash, a failover or a restored dump. The row in `consumers` follows at most once a second; it
replaces a checkpoint that the store has lost.
"""

from collections.abc import Callable

import msgspec

from tweeter.outbox.log import Position
from tweeter.values import (
    AccountClosed,
    AnyEvent,
    ProfileChanged,
    TweetCreated,
    TweetLiked,
    TweetsCounted,
    TweetsDeleted,
    TweetUnliked,
    TweetView,
)

VERSION = 2
COLD = b"\0"  # replaces the checkpoint while a store is cleared: its data must not be read, even if SQL has a row
EPOCH = 2**48  # a write's number is below it; its restore epoch is multiplied by it
FRESH = 1.0  # seconds that a page from a store may lag behind the commits


class InFlight(msgspec.Struct, frozen=True, array_like=True):
    """An event that is still being applied: its followers (or tweets) up to the id `resume` are done."""

    id: int
    number: int
    event: AnyEvent
    resume: int = 0


class Checkpoint(msgspec.Struct, frozen=True, array_like=True):
    """All events up to `position` are applied, except those in flight.

    `site` is the id of the site, `epoch` its restore epoch (see `tweeter.outbox.site`).

    `sequence` grows with each checkpoint of a store. `time` is the database's clock (seconds since 1970) at which the
    log was last read to its end. `last` is the event applied last, (id, number, check): an outbox without that event
    was restored from a backup, or pruned. `holder` names the process that holds the lease; it is empty after release.
    `kinds` are the timeline kinds that the holder delivers to.
    """

    version: int
    site: str
    epoch: int
    sequence: int
    time: float
    holder: str
    position: Position
    last: tuple[int, int, int]
    in_flight: tuple[InFlight, ...] = ()
    kinds: tuple[str, ...] = ()

    def lacks(self, written: int) -> bool:
        """Whether a write (see `User.last_write`) may be missing. Numbers of an earlier epoch are meaningless."""
        epoch, number = divmod(written, EPOCH)
        return epoch > self.epoch or (epoch == self.epoch and number > 0 and not self.position.contains(number))

    def outdated(self) -> Callable[[TweetView], bool] | None:
        """A predicate for cached tweets that an event in flight may have changed; None if there are no such events."""
        authors: set[int] = set()
        deleted: set[int] = set()
        parents: set[int] = set()  # their number of replies, reposts or likes changes
        closing = False
        for each in self.in_flight:
            match each.event:
                case ProfileChanged(user_id):
                    authors.add(user_id)
                case AccountClosed(user_id):
                    authors.add(user_id)
                    closing = True  # a reply shows the name of its parent's author, but has no id of it
                case TweetsDeleted(tweet_ids, _, parent_ids):
                    deleted.update(tweet_ids)
                    parents.update(parent_ids)
                case TweetCreated(_, _, parent_id, of) if parent_id is not None or of:
                    parents.add(of or parent_id or 0)
                case TweetLiked(_, _, tweet_id) | TweetUnliked(_, tweet_id):
                    parents.add(tweet_id)
                case TweetsCounted(tweet_ids):
                    parents.update(tweet_ids)
        if not authors and not deleted and not parents:
            return None
        return lambda tweet: (
            tweet.user_id in authors
            or tweet.id in deleted
            or tweet.id in parents
            or tweet.parent_id in deleted
            or (closing and tweet.parent_id is not None)
        )

    def age(self, now: float) -> float:
        """Seconds by which pages may lag; `now` is the database's clock."""
        return now - self.time


_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(Checkpoint).decode


def encode(checkpoint: Checkpoint) -> bytes:
    """Later checkpoints compare greater as bytes, so that a store of several servers can take the least."""
    return checkpoint.sequence.to_bytes(8) + _encode(checkpoint)


def decode(data: bytes | None) -> Checkpoint | None:
    """The checkpoint; None if there is none, or if this version cannot read it."""
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
