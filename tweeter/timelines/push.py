"""Fan-out on write: timelines kept ready in a store. One class for every store there is."""

import logging
from collections.abc import Iterator
from hashlib import sha256

from zope.interface import implementer

from tweeter import measure
from tweeter.errors import BackendUnavailable, Missing
from tweeter.interfaces import IMaterializedTimelines, ITimelineStore, ITweetCache
from tweeter.metrics import DISTRUSTED, IDS, READS, TRUSTED
from tweeter.models.meta import SessionFactory
from tweeter.timelines import plans, queries
from tweeter.timelines.base import Timelines
from tweeter.timelines.fanout import FanOut
from tweeter.timelines.hydrate import Hydrator
from tweeter.timelines.pull import PullTimelines
from tweeter.values import Cursor, Event, Page, Slice, Timeline, TweetView

log = logging.getLogger(__name__)

# A page whose ids turn out to be deleted is read on in larger and larger steps, up to this.
LARGEST_READ = 400


@implementer(IMaterializedTimelines)
class PushTimelines(Timelines):
    """Ids from a store, tweets from a cache; SQL fills what is cold and goes on where the store ends.

    When the store can't be asked, SQL answers: the page is the same, only slower.
    """

    def __init__(
        self, name: str, store: ITimelineStore, cache: ITweetCache, sessions: SessionFactory, capacity: int = 800
    ) -> None:
        self.name = name
        self.private = store.private
        self.identity = store.identity
        # What is shared may have been left behind while nobody delivered; what is private is empty.
        self.trusted = store.private
        TRUSTED.labels(name).set(self.trusted)
        self._trust = 0
        self.capacity = capacity
        self._store = store
        # Where the store keeps its position: a timeline of positions, so that every store can. Whoever calls the store
        # by another name (localhost, 127.0.0.1) delivers to it by themselves, and has a position of their own.
        self._positions = f"positions:{sha256(store.identity.encode()).hexdigest()[:16]}"
        self._sessions = sessions
        self._hydrator = Hydrator(name, cache, sessions)
        self._fan_out = FanOut(store, self._hydrator, sessions)
        self._pull = PullTimelines(name, sessions)

    def page(self, timeline: Timeline, cursor: Cursor) -> Page:
        with measure.timeline_read():
            trust = self._trust
            tweets = self._ask(timeline, cursor) if self.trusted else None
            # What was read may come from a store that lost our trust meanwhile.
            if tweets is None or trust != self._trust:
                READS.labels(self.name, "sql").inc()
                page = self._pull.page(timeline, cursor)
                measure.answered(f"{self.name}, from SQL")
                return page
            measure.answered(self.name)
            return Page.cut(tweets, cursor.limit)

    def peek(self, timeline: Timeline) -> Slice | None:
        return self._store.read(timeline.key, Cursor().before, self.capacity * 2)

    def deliver(self, event: Event) -> Iterator[None]:
        return self._fan_out.deliver(event)

    def set_site(self, site_id: str) -> None:
        self.distrust()  # so that a page that reads from both sites is answered by SQL
        self._store.set_site(site_id)
        self._hydrator.cache.set_site(site_id)

    def incarnation(self) -> str:
        return self._store.incarnation()

    def expect(self, incarnation: str) -> None:
        self._store.expect(incarnation)

    def position(self) -> int:
        found = self._store.read(self._positions, Cursor().before, 1)
        if found and not found.ids:  # as a timeline of tweets it was truncated, and would never take one again
            self._store.drop([self._positions])
        return found.ids[0] if found and found.ids else 0

    def note(self, position: int) -> None:
        token = self._store.begin_fill(self._positions)
        if token is None:
            self._store.add([self._positions], position)
        else:
            self._store.fill(self._positions, token, [position], 0)

    def trust(self) -> None:
        self.trusted = True
        TRUSTED.labels(self.name).set(1)

    def distrust(self) -> None:
        if self.trusted:
            DISTRUSTED.labels(self.name).inc()
        self.trusted = False
        self._trust += 1
        TRUSTED.labels(self.name).set(0)

    def drop(self, timeline: Timeline) -> None:
        if (held := self.peek(timeline)) is not None:
            self._hydrator.cache.invalidate(held.ids)
        self._store.drop([timeline.key])

    def clear(self) -> None:
        self._store.clear()
        self._hydrator.cache.clear()

    def _ask(self, timeline: Timeline, cursor: Cursor) -> list[TweetView] | None:
        """As `_read`, and None where the store can't be asked; then nobody asks it until it has been looked after."""
        try:
            return self._read(timeline, cursor)
        except BackendUnavailable as error:
            if self.trusted:
                log.warning("SQL answers instead of %s: %s", self.name, error)
            self.distrust()
            return None

    def _read(self, timeline: Timeline, cursor: Cursor) -> list[TweetView] | None:
        """One tweet more than the page, if there is one more; None where only SQL can answer."""
        need = cursor.limit + 1
        before, count = cursor.before, need
        tweets: list[TweetView] = []
        while True:
            found = self._store.read(timeline.key, before, count)
            answer = "warm" if found else "cold"
            if found is None and cursor.backfill:
                found = self._fill(timeline, before, count)
            if found is None:
                return None
            IDS.labels(self.name, "hit" if answer == "warm" else "miss").inc(len(found.ids))
            if before == cursor.before:
                READS.labels(self.name, answer).inc()
            newer = [id_ for id_ in found.ids if id_ > cursor.after]
            tweets += self._living(timeline, newer)
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

    def _living(self, timeline: Timeline, ids: list[int]) -> list[TweetView]:
        """The tweets that still exist; ids of the others leave the timeline, so that the next reader is spared them."""
        if not ids:
            return []
        tweets = self._hydrator.tweets(ids)
        if gone := [id_ for id_ in ids if tweets[id_] is None]:
            self._store.remove(timeline.key, gone)
        return [tweet for id_ in ids if (tweet := tweets[id_]) is not None]

    def _fill(self, timeline: Timeline, before: int, count: int) -> Slice | None:
        """Fills a cold timeline from SQL and answers from it; None while somebody else fills it. Raises Missing.

        The token is in the store before the query's snapshot begins. So whatever is committed later is either appended
        behind the token by its fan-out, or drops the key, and then this fill does nothing.
        """
        token = self._store.begin_fill(timeline.key)
        if token is None:
            return None
        with self._sessions() as session:
            ids, floor = plans.fill(session, timeline, self.capacity)
            if not ids:
                try:
                    queries.check_user(session, timeline)
                except Missing:
                    self._store.drop([timeline.key])
                    raise
        self._store.fill(timeline.key, token, ids, floor)
        return Slice([id_ for id_ in ids if id_ < before][:count], floor)
