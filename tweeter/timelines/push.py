"""Fan-out on write: timelines materialized in a store. One class serves all stores."""

from collections.abc import Callable, Mapping
from itertools import islice
from typing import Any

from sqlalchemy.orm import Session
from zope.interface import implementer

from tweeter import measure
from tweeter.db.sessions import SessionFactory
from tweeter.errors import BackendUnavailable
from tweeter.ids import MAX_ID
from tweeter.interfaces import IMaterializedTimelines, ITimelineStore, ITweetCache
from tweeter.metrics import FALLBACKS, IDS, READS, child
from tweeter.timelines import queries
from tweeter.timelines.arranging import Arranger, Found
from tweeter.timelines.backfilling import backfilled
from tweeter.timelines.circuit import Circuit
from tweeter.timelines.freshness import Fallback, Freshness
from tweeter.timelines.hydrate import Hydrator
from tweeter.timelines.kinds import CELEBRITIES, Kinds, celebrities_key
from tweeter.timelines.marks import Marker
from tweeter.timelines.merge import Beside, Merger, read_together
from tweeter.timelines.projector import Projector
from tweeter.values import NOBODY, Cursor, Entry, Page, Slice, Timeline, TweetView, Viewer

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
        self._arranger = Arranger(store, self._hydrator, self._pages, kinds)
        self._marker = Marker(store, self._pages, self._fills, kinds, capacity)
        merging = kinds.celebrity_followers > 0
        self._merger = Merger(store, self._hydrator, sessions, kinds, capacity) if merging else None
        self.projector = Projector(store, self._hydrator, sessions, kinds)

    def page(self, timeline: Timeline, cursor: Cursor, viewer: Viewer = NOBODY) -> Page:
        with measure.timeline_read():
            try:
                page = self._read(timeline, cursor, viewer)
            except Fallback as fallback:
                FALLBACKS.labels(self.name, fallback.reason).inc()
                READS.labels(self.name, "sql").inc()
                measure.served_by(f"{self.name}, from SQL", self.store.private)
                with self._pages() as session:
                    entries = self._kinds[timeline.kind].read_page_quickly(session, timeline.owner, cursor, viewer)
                    if not entries:
                        self._kinds[timeline.kind].check_owner(session, timeline.owner)
                    page = queries.marked(session, Page.cut(entries, cursor.limit), viewer.id)
            else:
                measure.served_by(self.name, self.store.private)
            return page

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
        found, *beside = read_together(self.store, [(timeline.key, before, most), *merger.wanted(timeline, before)])
        if found is None or None in beside:
            return None
        return merger.merge(timeline, found, Beside(*beside), before, most)[0]

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

    def _read(self, timeline: Timeline, cursor: Cursor, viewer: Viewer) -> Page:
        """The page from the store. Raises Fallback."""
        failures = self.circuit.failures
        if not self.circuit.closed:
            raise Fallback("circuit")
        try:
            entries, found = self._walk(timeline, cursor, viewer)
            page = Page.cut(entries, cursor.limit)
            if viewer.id:
                page = self._marker.mark(page, viewer.id, found.marks, found.moment, cursor.backfill)
        except BackendUnavailable as error:
            self.circuit.failed(str(error))
            raise Fallback("failed") from error
        if failures != self.circuit.failures:
            raise Fallback("circuit")
        return page

    def _walk(self, timeline: Timeline, cursor: Cursor, viewer: Viewer) -> tuple[list[Entry], Found]:
        """The entries of the page, and one more if another page follows; and what was read first."""
        kind = self._kinds[timeline.kind]
        need = cursor.limit + 1
        # Twice as many where the viewer does not see all, so that mostly one read suffices.
        before, count = cursor.before, 2 * need if kind.filters(viewer) else need
        entries: list[Entry] = []
        first: Found | None = None
        while True:
            found = first if first and first.whole else self._find(timeline, cursor, viewer, before, count, not first)
            first = first or found
            ids = list(islice((id_ for id_ in found.slice.ids if id_ < before), count))
            child(IDS, self.name, "hit" if found.warm else "miss").inc(len(ids))
            if before == cursor.before:
                child(READS, self.name, "warm" if found.warm else "cold").inc()
            newer = [id_ for id_ in ids if id_ > cursor.after]
            entries += self._arranger.entries(timeline, found, newer, viewer)
            if len(entries) >= need or len(newer) < len(ids):
                return entries[:need], first
            if ids:
                before = ids[-1]
            if len(ids) < count:
                if found.slice.floor > cursor.after + 1:  # the timeline may continue in SQL
                    rest = cursor._replace(before=before, limit=need - len(entries) - 1)
                    with self._pages() as session:
                        rest_of_page = kind.read_page_quickly(session, timeline.owner, rest, viewer)
                    IDS.labels(self.name, "miss").inc(len(rest_of_page))
                    entries += rest_of_page
                return entries, first
            count = min(count * 2, LARGEST_READ)

    def _find(self, timeline: Timeline, cursor: Cursor, viewer: Viewer, before: int, count: int, first: bool) -> Found:
        """What the store has: the newest `count` ids below `before`, or the whole timeline; and `first` the marks.

        A timeline with reposts is read as a whole, because a tweet may have a newer entry.
        """
        merger = self._merger_of(timeline)
        whole = self._kinds[timeline.kind].reposts
        held: Mapping[int, TweetView | None] = {}
        marking = [each.key for each in self._marker.timelines(viewer.id)] if first else []
        if merger is None and self._page_store and before > MAX_ID:
            slice_, held, marks = self._page_store.read_page(timeline.key, count, marking)
            whole = bool(slice_ and slice_.of)
        else:
            most = 2 * self.capacity  # a store may trim late
            before, count = (MAX_ID + 1, most) if whole else (before, count)
            merged = merger.wanted(timeline, before) if merger is not None else []
            wanted = [(timeline.key, before, count), *merged, *((key, MAX_ID + 1, most) for key in marking)]
            slice_, *beside = read_together(self.store, wanted)
            marks = beside[len(merged) :]
        moment = self._freshness.check(
            slice_.checkpoint if slice_ else self.store.checkpoint(), timeline, viewer.written
        )
        if slice_ is None:
            if not cursor.backfill:
                raise Fallback("cold")
            return Found(self._backfill(timeline), {}, moment, warm=False, whole=True, marks=marks)
        if merger is not None and (moment is None or moment.merges):
            slice_, held = merger.merge(timeline, slice_, Beside(*beside[:2]), before, count, cursor.backfill)
        return Found(self._freshness.merge(timeline, slice_, before, count, moment), held, moment, True, whole, marks)

    def _backfill(self, timeline: Timeline) -> Slice:
        """Backfills a cold timeline from SQL and returns it. Raises Fallback while another process does so."""

        def read(session: Session) -> Slice:
            filled = self._kinds[timeline.kind].backfill(session, timeline.owner, self.capacity)
            if not filled.ids:
                self._kinds[timeline.kind].check_owner(session, timeline.owner)
            return filled

        return backfilled(self.store, timeline.key, self._fills, read)
