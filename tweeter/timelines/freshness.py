"""Decides whether a store may serve a page, and merges events that the relay has not applied yet."""

from collections.abc import Callable
from typing import NamedTuple

from msgspec.structs import replace
from sqlalchemy import bindparam, select

from tweeter.db.sessions import SessionFactory
from tweeter.models import Relationship
from tweeter.outbox.checkpoint import FRESH, Checkpoint, InFlight, decode, tweets_in_flight
from tweeter.outbox.log import Log
from tweeter.timelines import queries
from tweeter.values import Followed, Slice, Timeline, TweetCreated, TweetView, Unfollowed

PENDING = 100  # events that a page merges at most to contain the viewer's last write


class Fallback(Exception):
    """SQL must serve this page; `reason` is a label of the metrics."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class Moment(NamedTuple):
    """The state that a page shows: a checkpoint, and the followees that the viewer added and removed after it."""

    checkpoint: Checkpoint
    followed: frozenset[int] = frozenset()
    unfollowed: frozenset[int] = frozenset()

    def shows(self, timeline: Timeline, tweet: TweetView) -> bool:
        return tweet.user_id not in self.unfollowed or tweet.user_id == timeline.user_id


class Freshness:
    """Compares a store's checkpoint with the database's clock (`clock`) and with the viewer's last write.

    Without a clock it accepts every checkpoint, for benchmarks and tests that deliver by hand.
    """

    def __init__(self, reads: SessionFactory, clock: Callable[[], float] | None) -> None:
        self.clock = clock
        self._reads = reads
        self._decoded: tuple[bytes, Checkpoint | None] = (b"", None)

    def check(self, data: bytes | None, timeline: Timeline, written: int) -> Moment | None:
        """The moment that a page shows; None without a clock. `data` is the encoded checkpoint. Raises Fallback."""
        if self.clock is None:
            return None
        known, checkpoint = self._decoded
        if data != known:
            checkpoint = decode(data)
            self._decoded = (data or b"", checkpoint)
        if checkpoint is None:
            raise Fallback("no checkpoint")
        if not -FRESH < checkpoint.age(self.clock()) < FRESH:  # below -FRESH: the database's clock was set back
            raise Fallback("stale")
        return self._pending(timeline, checkpoint, written) if checkpoint.lacks(written) else Moment(checkpoint)

    def merge(self, timeline: Timeline, found: Slice, before: int, count: int, moment: Moment | None) -> Slice:
        """Adds the ids that the store lacks so far. The slice was read from the store: `count` ids below `before`."""
        if moment is None or not (moment.checkpoint.in_flight or moment.followed):
            return found
        lowest = found.ids[-1] + 1 if len(found.ids) == count else found.floor
        posted = {
            event.tweet_id: event.user_id
            for event in tweets_in_flight(moment.checkpoint)
            if lowest <= event.tweet_id < before
        }
        authors = self._shown(timeline, set(posted.values()))
        missing = {id_ for id_, author in posted.items() if author in authors}
        for author in moment.followed:
            with self._reads() as session:
                missing.update(id_ for id_ in queries.tweet_ids(session, author, before, count) if id_ >= lowest)
        missing.difference_update(found.ids)
        return found._replace(ids=sorted([*found.ids, *missing], reverse=True)[:count]) if missing else found

    def _shown(self, timeline: Timeline, authors: set[int]) -> set[int]:
        """The authors whose tweets the timeline contains."""
        if timeline.kind == "public":
            return authors
        shown = authors & {timeline.user_id}
        if timeline.kind == "home" and authors - shown:
            with self._reads() as session:
                shown.update(session.scalars(_FOLLOWED, {"user_id": timeline.user_id, "authors": list(authors)}))
        return shown

    def _pending(self, timeline: Timeline, checkpoint: Checkpoint, written: int) -> Moment:
        """A moment that contains the viewer's last write: the events after the checkpoint count as in flight.

        Raises Fallback if there are more than PENDING, or one is of a later version.
        """
        with self._reads() as session:
            batch = Log(session.connection()).read(checkpoint.position, PENDING)
        checkpoint = replace(checkpoint, position=batch.position)
        if batch.more or checkpoint.lacks(written):
            raise Fallback("own write")
        in_flight = list(checkpoint.in_flight)
        follows: dict[int, bool] = {}
        for logged in sorted(batch.events):  # by id: a transaction locks its rows before its event gets an id
            match logged.event:
                case None:
                    raise Fallback("own write")
                case Followed(follower, followee) | Unfollowed(follower, followee) as event:
                    if timeline == Timeline.home(follower):
                        follows[followee] = isinstance(event, Followed)
                case TweetCreated(_, author) if timeline.kind == "home" and author != timeline.user_id:
                    pass  # may be a second late; checking whether its author is followed would take one more statement
                case event:
                    in_flight.append(InFlight(logged.id, logged.number, event))
        return Moment(
            replace(checkpoint, in_flight=tuple(in_flight)),
            frozenset(followee for followee, followed in follows.items() if followed),
            frozenset(followee for followee, followed in follows.items() if not followed),
        )


_FOLLOWED = select(Relationship.to_user_id).where(
    Relationship.from_user_id == bindparam("user_id"),
    Relationship.to_user_id.in_(bindparam("authors", expanding=True)),
)
