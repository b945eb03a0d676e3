"""Fan-out on write: timelines materialized in a store. One class for every store there is."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from msgspec.structs import replace
from sqlalchemy import bindparam, select
from zope.interface import implementer

from tweeter import measure
from tweeter.delivery.checkpoint import FRESH, Checkpoint, InFlight, decode, tweets_in_flight
from tweeter.delivery.circuit import Circuit
from tweeter.delivery.position import Log
from tweeter.errors import BackendUnavailable, Missing
from tweeter.ids import MAX_ID
from tweeter.interfaces import IMaterializedTimelines, ITimelineStore, ITweetCache
from tweeter.metrics import FALLBACKS, IDS, READS, child
from tweeter.models import Relationship
from tweeter.models.meta import SessionFactory
from tweeter.timelines import plans, queries
from tweeter.timelines.base import Timelines
from tweeter.timelines.hydrate import Hydrator
from tweeter.timelines.projector import Projector
from tweeter.values import Cursor, Followed, Page, Slice, Timeline, TweetCreated, TweetView, Unfollowed

# A page whose ids turn out to be deleted is read on in larger and larger steps, up to this.
LARGEST_READ = 400
PENDING = 100  # events that a page merges at most, to have the viewer's last write


class Fallback(Exception):
    """SQL has to serve this page; `reason` is a label of the metrics."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


@implementer(IMaterializedTimelines)
class PushTimelines(Timelines):
    """Ids from a store, tweets from a cache; SQL backfills what is cold and goes on below the floor.

    SQL serves a page where the store cannot be read, lags more than a second behind the commits, or lacks the viewer's
    last write. The page is the same, only slower. `sessions` are for several statements in one snapshot, `reads` for
    single ones, in autocommit.
    """

    def __init__(
        self,
        name: str,
        store: ITimelineStore,
        cache: ITweetCache,
        sessions: SessionFactory,
        reads: SessionFactory,
        capacity: int = 800,
        clock: Callable[[], float] | None = None,
        circuit: Circuit | None = None,
        joined: bool = False,
    ) -> None:
        """`joined`: the store is an IPageStore, whose tweets are those of the cache."""
        self.name = name
        self.store = store
        self.capacity = capacity
        self.circuit = circuit or Circuit(name)
        self._sessions = sessions
        self._reads = reads
        self._clock = clock
        self._page_store: Any = store if joined else None
        self._hydrator = Hydrator(name, cache, reads)
        self.projector = Projector(store, self._hydrator, reads)
        self._decoded: tuple[bytes, Checkpoint | None] = (b"", None)

    def page(self, timeline: Timeline, cursor: Cursor, written: int = 0) -> Page:
        with measure.timeline_read():
            try:
                tweets = self._read(timeline, cursor, written)
            except Fallback as fallback:
                FALLBACKS.labels(self.name, fallback.reason).inc()
                READS.labels(self.name, "sql").inc()
                measure.answered(f"{self.name}, from SQL")
                with self._sessions() as session:
                    tweets = plans.read_page(session, timeline, cursor)
                    if not tweets:
                        queries.check_user(session, timeline)
            else:
                measure.answered(self.name)
            return Page.cut(tweets, cursor.limit)

    def live(self) -> bool:
        try:
            return self.circuit.closed and bool(self._checked(self.store.checkpoint()) or self._clock is None)
        except (Fallback, BackendUnavailable):
            return False

    def set_site(self, site_id: str) -> None:
        if self.circuit.closed:
            self.circuit.failed("it has another site id now")  # so that SQL serves a page that reads from both
        self.store.set_site(site_id)
        self._hydrator.cache.set_site(site_id)

    def read_at_any_age(self) -> None:
        """From now on the checkpoint does not count: the caller delivers by hand, to measure the store alone."""
        self._clock = None

    def peek(self, timeline: Timeline) -> Slice | None:
        return self.store.read(timeline.key, Cursor().before, self.capacity * 2)

    def drop(self, timeline: Timeline) -> None:
        if (held := self.peek(timeline)) is not None:
            self._hydrator.cache.invalidate(held.ids)
        self.store.drop([timeline.key])

    def clear(self) -> None:
        self.store.clear()
        self._hydrator.cache.clear()

    def _read(self, timeline: Timeline, cursor: Cursor, written: int) -> list[TweetView]:
        """One tweet more than the page, if there is one more. Raises Fallback."""
        failures = self.circuit.failures
        if not self.circuit.closed:
            raise Fallback("circuit")
        try:
            tweets = self._walk(timeline, cursor, written)
        except BackendUnavailable as error:
            self.circuit.failed(str(error))
            raise Fallback("failed") from error
        if failures != self.circuit.failures:
            raise Fallback("circuit")
        return tweets

    def _walk(self, timeline: Timeline, cursor: Cursor, written: int) -> list[TweetView]:
        need = cursor.limit + 1
        before, count = cursor.before, need
        tweets: list[TweetView] = []
        while True:
            held: Mapping[int, TweetView | None] = {}
            if self._page_store and before > MAX_ID:
                found, held = self._page_store.read_page(timeline.key, count)
            else:
                found = self.store.read(timeline.key, before, count)
            checkpoint = self._checked(found.checkpoint if found else self.store.checkpoint())
            if checkpoint is not None and checkpoint.lacks(written):
                checkpoint = self._with_pending(timeline, checkpoint, written)
            answer = "warm" if found else "cold"
            if found:
                found = self._merge_in_flight(timeline, found, before, count, checkpoint)
            elif cursor.backfill:
                found = self._backfill(timeline, before, count)
            else:
                raise Fallback("cold")
            child(IDS, self.name, "hit" if answer == "warm" else "miss").inc(len(found.ids))
            if before == cursor.before:
                child(READS, self.name, answer).inc()
            newer = [id_ for id_ in found.ids if id_ > cursor.after]
            tweets += self._living(timeline, newer, checkpoint, held)
            if len(tweets) >= need or len(newer) < len(found.ids):
                return tweets[:need]
            if found.ids:
                before = found.ids[-1]
            if len(found.ids) < count:
                if found.floor > cursor.after + 1:  # the store's part ends, the timeline may go on
                    rest = cursor._replace(before=before, limit=need - len(tweets) - 1)
                    with self._sessions() as session:
                        rest_of_page = plans.read_page(session, timeline, rest)
                    IDS.labels(self.name, "miss").inc(len(rest_of_page))
                    tweets += rest_of_page
                return tweets
            count = min(count * 2, LARGEST_READ)

    def _checked(self, data: bytes | None) -> Checkpoint | None:
        """The checkpoint, if a page may be read at it. Raises Fallback.

        None where nobody delivers: whoever measures a store by hand.
        """
        if self._clock is None:
            return None
        known, checkpoint = self._decoded
        if data != known:
            checkpoint = decode(data)
            self._decoded = (data or b"", checkpoint)
        if checkpoint is None:
            raise Fallback("no checkpoint")
        if not -FRESH < checkpoint.age(self._clock()) < FRESH:  # in the future: the database's clock was set
            raise Fallback("stale")
        return checkpoint

    def _with_pending(self, timeline: Timeline, checkpoint: Checkpoint, written: int) -> Checkpoint:
        """The checkpoint with the events after it as events in flight, so that a page has the viewer's last write.

        A post, a deletion or a new name can be merged. Raises Fallback for other events that matter to the timeline.
        """
        with self._reads() as session:
            batch = Log(session.connection()).read(checkpoint.position, PENDING)
        pending = replace(checkpoint, position=batch.position)
        if batch.more or pending.lacks(written):
            raise Fallback("own write")
        in_flight = list(checkpoint.in_flight)
        for logged in batch.events:
            match logged.event:
                case None:
                    raise Fallback("own write")
                case Followed(follower) | Unfollowed(follower):
                    if timeline == Timeline.home(follower):
                        raise Fallback("own write")
                case TweetCreated(_, author) if timeline.kind == "home" and author != timeline.user_id:
                    pass  # whether its author is followed would take another statement
                case event:
                    in_flight.append(InFlight(logged.id, logged.number, event))
        return replace(pending, in_flight=tuple(in_flight))

    def _merge_in_flight(
        self, timeline: Timeline, found: Slice, before: int, count: int, checkpoint: Checkpoint | None
    ) -> Slice:
        """The slice with the tweets whose fan-out is under way, as far as they belong to the timeline."""
        if checkpoint is None or not checkpoint.in_flight:
            return found
        full = len(found.ids) == count
        lowest = found.ids[-1] + 1 if full else found.floor
        listed = {
            event.tweet_id: event.user_id
            for event in tweets_in_flight(checkpoint)
            if lowest <= event.tweet_id < before and event.tweet_id not in found.ids
        }
        authors = self._shown(timeline, set(listed.values()))
        if missing := [id_ for id_, author in listed.items() if author in authors]:
            return found._replace(ids=sorted([*found.ids, *missing], reverse=True)[:count])
        return found

    def _shown(self, timeline: Timeline, authors: set[int]) -> set[int]:
        """Those of the authors whose tweets the timeline has."""
        if timeline.kind == "public":
            return authors
        shown = authors & {timeline.user_id}
        if timeline.kind == "home" and authors - shown:
            with self._reads() as session:
                shown.update(session.scalars(_FOLLOWED, {"user_id": timeline.user_id, "authors": list(authors)}))
        return shown

    def _living(
        self,
        timeline: Timeline,
        ids: Sequence[int],
        checkpoint: Checkpoint | None,
        held: Mapping[int, TweetView | None],
    ) -> list[TweetView]:
        """The tweets that still exist; ids of the others leave the timeline (read repair)."""
        if not ids:
            return []
        tweets = self._hydrator.tweets(ids, checkpoint.outdated() if checkpoint else None, held)
        if gone := [id_ for id_ in ids if tweets[id_] is None]:
            self.store.remove(timeline.key, gone)
        return [tweet for id_ in ids if (tweet := tweets[id_]) is not None]

    def _backfill(self, timeline: Timeline, before: int, count: int) -> Slice:
        """Fills a cold timeline from SQL and reads from that. Raises Fallback while another process fills it.

        The backfill token is in the store before the query's snapshot begins. So whatever is committed later is either
        appended behind the token by its fan-out, or drops the key, and then this backfill does nothing.
        """
        token = self.store.begin_fill(timeline.key)
        if token is None:
            raise Fallback("backfill")
        with self._sessions() as session:
            ids, floor = plans.fill(session, timeline, self.capacity)
            if not ids:
                try:
                    queries.check_user(session, timeline)
                except Missing:
                    self.store.drop([timeline.key])
                    raise
        self.store.fill(timeline.key, token, ids, floor)
        return Slice([id_ for id_ in ids if id_ < before][:count], floor)


_FOLLOWED = select(Relationship.to_user_id).where(
    Relationship.from_user_id == bindparam("user_id"),
    Relationship.to_user_id.in_(bindparam("authors", expanding=True)),
)
