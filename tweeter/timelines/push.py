"""Fan-out on write: timelines materialized in a store. One class serves all stores."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from zope.interface import implementer

from tweeter import measure
from tweeter.db.sessions import SessionFactory
from tweeter.errors import BackendUnavailable
from tweeter.ids import MAX_ID
from tweeter.interfaces import IMaterializedTimelines, ITimelineStore, ITweetCache
from tweeter.metrics import FALLBACKS, IDS, READS, child
from tweeter.timelines import queries
from tweeter.timelines.backfilling import backfilling
from tweeter.timelines.circuit import Circuit
from tweeter.timelines.freshness import Fallback, Freshness, Moment
from tweeter.timelines.hydrate import Hydrator
from tweeter.timelines.kinds import CELEBRITIES, Kinds, celebrities_key
from tweeter.timelines.merge import Merger
from tweeter.timelines.projector import Projector
from tweeter.values import NOBODY, Cursor, Page, Slice, Timeline, TweetView, Viewer

# While a page lacks tweets because ids turn out to be deleted, reads double in size up to this.
LARGEST_READ = 400


@implementer(IMaterializedTimelines)
class PushTimelines:
    """Reads ids from a store and tweets from a cache; SQL backfills cold timelines and serves ids below the floor.

    SQL serves a page if the store cannot be read, lags more than a second behind the commits, or lacks the viewer's
    last write. The page is the same, only slower. `sessions` are in autocommit: no two statements need one snapshot.
    """

    def __init__(
        self,
        name: str,
        store: ITimelineStore,
        cache: ITweetCache,
        sessions: SessionFactory,
        kinds: Kinds,
        capacity: int = 800,
        clock: Callable[[], float] | None = None,
        circuit: Circuit | None = None,
        joined: bool = False,
        pages: SessionFactory | None = None,
        fills: SessionFactory | None = None,
    ) -> None:
        """`joined`: the store is an IPageStore that returns the cache's tweets with the ids.

        `pages` and `fills` may be sessions on replicas: for pages that SQL serves, and to fill the store and the cache.
        """
        self.name = name
        self.store = store
        self.capacity = capacity
        self.circuit = circuit or Circuit(name)
        self._pages = pages or sessions
        self._fills = fills or sessions
        self._kinds = kinds
        self._freshness = Freshness(sessions, kinds, clock)
        self._page_store: Any = store if joined else None
        self._hydrator = Hydrator(name, cache, self._fills, certain=self._fills is sessions)
        merging = kinds.celebrity_followers > 0
        self._merger = Merger(store, self._hydrator, sessions, kinds, capacity) if merging else None
        self.projector = Projector(store, self._hydrator, sessions, kinds)

    def page(self, timeline: Timeline, cursor: Cursor, viewer: Viewer = NOBODY) -> Page:
        with measure.timeline_read():
            try:
                tweets = self._read(timeline, cursor, viewer)
            except Fallback as fallback:
                FALLBACKS.labels(self.name, fallback.reason).inc()
                READS.labels(self.name, "sql").inc()
                measure.served_by(f"{self.name}, from SQL", self.store.private)
                with self._pages() as session:
                    tweets = self._kinds[timeline.kind].read_page_quickly(session, timeline.owner, cursor, viewer)
                    if not tweets:
                        queries.check_owner(session, timeline)
            else:
                measure.served_by(self.name, self.store.private)
            return Page.cut(tweets, cursor.limit)

    def live(self) -> bool:
        try:
            if not self.circuit.closed:
                return False
            self._freshness.check(self.store.checkpoint(), None, 0)
            return True
        except (Fallback, BackendUnavailable):
            return False

    def set_site(self, site_id: str) -> None:
        if self.circuit.closed:
            self.circuit.failed("it has another site id now")  # SQL serves pages that would read from both site ids
        self.store.set_site(site_id)
        self._hydrator.cache.set_site(site_id)

    def read_at_any_age(self) -> None:
        """Ignores the checkpoint from now on: the caller delivers by hand, to measure only the store."""
        self._freshness.clock = None

    def peek(self, timeline: Timeline) -> Slice | None:
        before, most = Cursor().before, self.capacity * 2
        if (merger := self._merger_of(timeline)) is None:
            return self.store.read(timeline.key, before, most)
        found, beside = merger.read(timeline, before, most)
        if found is None or None in beside:
            return None
        return merger.merge(timeline, found, beside, before, most)[0]

    def drop(self, timeline: Timeline) -> None:
        if (held := self.peek(timeline)) is not None:
            self._hydrator.cache.invalidate(held.ids)
        merged = [celebrities_key(timeline.owner), CELEBRITIES] if self._merger_of(timeline) else []
        self.store.drop([timeline.key, *merged])

    def clear(self) -> None:
        self.store.clear()
        self._hydrator.cache.clear()
        self.projector.cleared()

    def _merger_of(self, timeline: Timeline) -> Merger | None:
        """What merges celebrities' tweets into the timeline; None if they are not merged into it."""
        return self._merger if self._merger is not None and self._kinds[timeline.kind].to_followers else None

    def _read(self, timeline: Timeline, cursor: Cursor, viewer: Viewer) -> list[TweetView]:
        """The tweets of the page, and one more if another page follows. Raises Fallback."""
        failures = self.circuit.failures
        if not self.circuit.closed:
            raise Fallback("circuit")
        try:
            tweets = self._walk(timeline, cursor, viewer)
        except BackendUnavailable as error:
            self.circuit.failed(str(error))
            raise Fallback("failed") from error
        if failures != self.circuit.failures:
            raise Fallback("circuit")
        return tweets

    def _walk(self, timeline: Timeline, cursor: Cursor, viewer: Viewer) -> list[TweetView]:
        kind = self._kinds[timeline.kind]
        merger = self._merger_of(timeline)
        need = cursor.limit + 1
        # Twice as many where the viewer does not see all, so that mostly one read suffices.
        before, count = cursor.before, need if kind.private or not viewer.hidden else 2 * need
        tweets: list[TweetView] = []
        while True:
            held: Mapping[int, TweetView | None] = {}
            if merger is not None:
                found, beside = merger.read(timeline, before, count)
            elif self._page_store and before > MAX_ID:
                found, held = self._page_store.read_page(timeline.key, count)
            else:
                found = self.store.read(timeline.key, before, count)
            checkpoint = found.checkpoint if found else self.store.checkpoint()
            moment = self._freshness.check(checkpoint, timeline, viewer.written)
            answer = "warm" if found else "cold"
            if found:
                if merger is not None and (moment is None or moment.merges):
                    found, held = merger.merge(timeline, found, beside, before, count, cursor.backfill)
                found = self._freshness.merge(timeline, found, before, count, moment)
            elif cursor.backfill:
                found = self._backfill(timeline, before, count)
            else:
                raise Fallback("cold")
            child(IDS, self.name, "hit" if answer == "warm" else "miss").inc(len(found.ids))
            if before == cursor.before:
                child(READS, self.name, answer).inc()
            newer = [id_ for id_ in found.ids if id_ > cursor.after]
            tweets += _shown(timeline, self._living(timeline, newer, moment, held), viewer)
            if len(tweets) >= need or len(newer) < len(found.ids):
                return tweets[:need]
            if found.ids:
                before = found.ids[-1]
            if len(found.ids) < count:
                if found.floor > cursor.after + 1:  # the materialized part ends; the timeline may continue in SQL
                    rest = cursor._replace(before=before, limit=need - len(tweets) - 1)
                    with self._pages() as session:
                        rest_of_page = kind.read_page_quickly(session, timeline.owner, rest, viewer)
                    IDS.labels(self.name, "miss").inc(len(rest_of_page))
                    tweets += rest_of_page
                return tweets
            count = min(count * 2, LARGEST_READ)

    def _living(
        self,
        timeline: Timeline,
        ids: Sequence[int],
        moment: Moment | None,
        held: Mapping[int, TweetView | None],
    ) -> list[TweetView]:
        """The tweets that still exist; removes the ids of the others from the timeline (read repair)."""
        if not ids:
            return []
        tweets = self._hydrator.tweets(ids, moment.checkpoint.outdated() if moment else None, held)
        if gone := [id_ for id_ in ids if tweets[id_] is None and self._hydrator.knows(id_)]:
            self.store.remove(timeline.key, gone)
            if self._merger_of(timeline):
                self.store.remove(CELEBRITIES, gone)
        living = [tweet for id_ in ids if (tweet := tweets[id_]) is not None]
        return [tweet for tweet in living if moment.shows(timeline, tweet)] if moment and moment.removed else living

    def _backfill(self, timeline: Timeline, before: int, count: int) -> Slice:
        """Backfills a cold timeline from SQL and returns its slice. Raises Fallback while another process does so.

        The backfill token is in the store before the query's snapshot begins; a replica has replayed what the primary
        had committed by then. So for every later commit, delivery either appends the id behind the token, or drops the
        key, and then this backfill does nothing.
        """
        with backfilling(self.store, timeline.key) as token, self._fills() as session:
            filled = self._kinds[timeline.kind].backfill(session, timeline.owner, self.capacity)
            if not filled.ids:
                queries.check_owner(session, timeline)
        self.store.backfill(timeline.key, token, filled.ids, filled.floor)
        return Slice([id_ for id_ in filled.ids if id_ < before][:count], filled.floor)


def _shown(timeline: Timeline, tweets: list[TweetView], viewer: Viewer) -> list[TweetView]:
    """Those whose authors are not hidden from the viewer. Also of private timelines: the relay may be a second late."""
    hidden = viewer.hidden - {timeline.owner} if timeline.owner in viewer.hidden else viewer.hidden
    return [tweet for tweet in tweets if tweet.user_id not in hidden] if hidden else tweets
