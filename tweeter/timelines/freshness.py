"""Decides whether a store may serve a page, and merges events that the relay has not applied yet."""

from collections.abc import Callable, Mapping
from typing import NamedTuple

from msgspec.structs import replace

from tweeter.db.sessions import SessionFactory
from tweeter.outbox.checkpoint import FRESH, Checkpoint, InFlight, decode, tweets_in_flight
from tweeter.outbox.log import Log
from tweeter.timelines import queries
from tweeter.timelines.kinds import CELEBRITIES, Kinds
from tweeter.values import Slice, Timeline, TweetCreated, TweetView

PENDING = 100  # events that a page merges at most to contain the viewer's last write


class Fallback(Exception):
    """SQL must serve this page; `reason` is a label of the metrics."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class Moment(NamedTuple):
    """The state that a page shows: a checkpoint, and the authors that the viewer added and removed after it."""

    checkpoint: Checkpoint
    added: frozenset[int] = frozenset()
    removed: frozenset[int] = frozenset()

    @property
    def merges(self) -> bool:
        """Whether the relay leaves celebrities' tweets unpushed, and keeps what must be merged."""
        return CELEBRITIES in self.checkpoint.kinds

    def shows(self, timeline: Timeline, tweet: TweetView) -> bool:
        return tweet.user_id not in self.removed or tweet.user_id == timeline.owner


class Freshness:
    """Compares a store's checkpoint with the database's clock (`clock`) and with the viewer's last write.

    Without a clock it accepts every checkpoint, for benchmarks and tests that deliver by hand.
    """

    def __init__(self, reads: SessionFactory, kinds: Kinds, clock: Callable[[], float] | None) -> None:
        self.clock = clock
        self._kinds = kinds
        self._reads = reads
        self._decoded: tuple[bytes, Checkpoint | None] = (b"", None)

    def check(self, data: bytes | None, timeline: Timeline | None, written: int) -> Moment | None:
        """The moment that a page shows; None without a clock. `data` is the encoded checkpoint. Raises Fallback.

        Without a timeline it only checks whether the store is up to date.
        """
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
        if timeline is None:
            return Moment(checkpoint)
        if timeline.kind not in checkpoint.kinds:  # the relay's process does not have this kind
            raise Fallback("kind")
        merged = CELEBRITIES in checkpoint.kinds and not self._kinds.celebrity_followers
        if merged and self._kinds[timeline.kind].to_followers:
            raise Fallback("kind")  # the relay does not push celebrities' tweets, and this process does not merge them
        return self._pending(timeline, checkpoint, written) if checkpoint.lacks(written) else Moment(checkpoint)

    def merge(self, timeline: Timeline, found: Slice, before: int, count: int, moment: Moment | None) -> Slice:
        """Adds the ids that the store lacks so far. The slice was read from the store: `count` ids below `before`."""
        if moment is None or not (moment.checkpoint.in_flight or moment.added):
            return found
        lowest = found.ids[-1] + 1 if len(found.ids) == count else found.floor
        reposts = self._kinds[timeline.kind].reposts
        posted = {
            event.tweet_id: event
            for event in tweets_in_flight(moment.checkpoint)
            if lowest <= event.tweet_id < before and (reposts or not event.of)
        }
        missing = self._among(timeline, {id_: event.user_id for id_, event in posted.items()})
        of = {id_: posted[id_].of for id_ in missing if posted[id_].of}
        for author in moment.added:
            with self._reads() as session:
                theirs = [id_ for id_ in queries.tweet_ids(session, author, before, count) if id_ >= lowest]
                of |= queries.references(session, theirs)
            missing.update(theirs if reposts else (id_ for id_ in theirs if id_ not in of))
        missing.difference_update(found.ids)
        if not missing:
            return found
        return found._replace(ids=sorted([*found.ids, *missing], reverse=True)[:count], of={**found.of, **of})

    def _among(self, timeline: Timeline, tweets: Mapping[int, int]) -> set[int]:
        """The ids of those tweets ({id: author}) that the timeline contains."""
        kind = self._kinds[timeline.kind]
        certain = {author for author in tweets.values() if timeline.owner in kind.owners(author)}
        found = {id_ for id_, author in tweets.items() if author in certain}
        if (kind.to_followers or kind.related) and len(found) < len(tweets):
            with self._reads() as session:
                found |= kind.among(session, timeline.owner, {id_: tweets[id_] for id_ in tweets.keys() - found})
        return found

    def _pending(self, timeline: Timeline, checkpoint: Checkpoint, written: int) -> Moment:
        """A moment that contains the viewer's last write: the events after the checkpoint count as in flight.

        Raises Fallback if there are more than PENDING, or one is of a later version.
        """
        with self._reads() as session:
            batch = Log(session.connection()).read(checkpoint.position, PENDING)
        checkpoint = replace(checkpoint, position=batch.position)
        if batch.more or checkpoint.lacks(written):
            raise Fallback("own write")
        kind, in_flight = self._kinds[timeline.kind], list(checkpoint.in_flight)
        authors: dict[int, bool] = {}
        for logged in sorted(batch.events):  # by id: a transaction locks its rows before its event gets an id
            if logged.event is None:
                raise Fallback("own write")
            if changed := kind.author_changed(logged.event):
                owner, author, added = changed
                if owner == timeline.owner:
                    authors[author] = added
                continue
            if timeline.owner in kind.made_cold(logged.event) or kind.added(logged.event):
                raise Fallback("own write")
            match logged.event:
                case TweetCreated(_, author) if kind.private and author != timeline.owner:
                    pass  # may be a second late; checking whether it belongs here would take one more statement
                case event:
                    in_flight.append(InFlight(logged.id, logged.number, event))
        return Moment(
            replace(checkpoint, in_flight=tuple(in_flight)),
            frozenset(author for author, added in authors.items() if added),
            frozenset(author for author, added in authors.items() if not added),
        )
