"""Merges the tweets of celebrities into pages. `tweeter.timelines.celebrities` says what a store holds for that."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import NamedTuple

from sqlalchemy.orm import Session

from tweeter.db.sessions import SessionFactory
from tweeter.ids import MAX_ID
from tweeter.interfaces import ITimelineStore, ITogetherStore
from tweeter.timelines import celebrities
from tweeter.timelines.backfilling import backfilled
from tweeter.timelines.celebrities import mark
from tweeter.timelines.freshness import Fallback
from tweeter.timelines.hydrate import Hydrator
from tweeter.timelines.kinds import CELEBRITIES, Kinds, celebrities_key
from tweeter.values import Slice, Timeline, TweetView

Wanted = tuple[str, int, int]  # the arguments of a store's `read`


class Beside(NamedTuple):
    """What was read together with a timeline: the marks of its owner's celebrities, and all celebrities' tweets."""

    marks: Slice | None
    tweets: Slice | None


def read_together(store: ITimelineStore, wanted: Sequence[Wanted]) -> list[Slice | None]:
    """The store's `read` of each timeline, in one exchange if it can; the first with the oldest of the checkpoints."""
    if len(wanted) == 1:
        return [store.read(*wanted[0])]
    if ITogetherStore.providedBy(store):
        found: list[Slice | None] = store.read_together(wanted)
    else:
        found = [store.read(*each) for each in wanted]
    if (first := found[0]) is not None:
        checkpoints = [each.checkpoint for each in found if each is not None]
        known = [each for each in checkpoints if each is not None]
        found[0] = first._replace(checkpoint=min(known) if len(known) == len(checkpoints) else None)
    return found


class Merger:
    """Merges the tweets of celebrities into timelines that were read together with `wanted`."""

    def __init__(
        self, store: ITimelineStore, hydrator: Hydrator, sessions: SessionFactory, kinds: Kinds, capacity: int
    ) -> None:
        self._store = store
        self._hydrator = hydrator
        self._sessions = sessions
        self._kinds = kinds
        self._capacity = capacity
        self._authors: dict[int, int] = {}  # of the celebrities' tweets that pages of this process met

    def wanted(self, timeline: Timeline, before: int) -> list[Wanted]:
        """What to read together with the timeline, for `merge`."""
        most = 2 * self._capacity  # a store may trim late
        return [(celebrities_key(timeline.owner), MAX_ID + 1, most), (CELEBRITIES, before, most)]

    def merge(
        self, timeline: Timeline, found: Slice, beside: Beside, before: int, count: int, backfill: bool = True
    ) -> tuple[Slice, Mapping[int, TweetView | None]]:
        """The timeline with the tweets of its owner's celebrities, and those tweets that were hydrated for that.

        The result is complete down to the highest floor. `found` are the newest `count` ids below `before`. Raises
        Fallback if SQL must serve the page.
        """
        marks, tweets = beside
        if marks is None:
            key, owner = celebrities_key(timeline.owner), timeline.owner
            marks = self._fill(key, backfill, lambda session: celebrities.followed(session, owner, self._capacity))
        if not marks.ids and not marks.floor:
            return found, {}  # they follow no celebrity
        if tweets is None:
            tweets = self._fill(CELEBRITIES, backfill, lambda session: celebrities.newest(session, self._capacity))
        floor = max(found.floor, tweets.floor)
        if len(tweets.ids) >= 2 * self._capacity:
            floor = max(floor, tweets.ids[-1])
        lowest = max(floor, found.ids[-1] if len(found.ids) == count else 0)
        reposts = self._kinds[timeline.kind].reposts
        shared = [id_ for id_ in tweets.ids if lowest <= id_ < before and (reposts or id_ not in tweets.of)]
        own = [id_ for id_ in found.ids if id_ >= floor]
        held = self._learn(own, shared, marks, count, tweets.of)
        shown = {id_: author for id_ in shared if (author := self._authors.get(id_)) is not None}
        ids = sorted({*own, *self._followed(timeline, shown, marks)}, reverse=True)[:count]
        return found._replace(ids=ids, floor=floor, of={**tweets.of, **found.of}), held

    def _learn(
        self, own: Sequence[int], shared: Sequence[int], marks: Slice, count: int, of: Mapping[int, int]
    ) -> Mapping[int, TweetView | None]:
        """Learns the authors of tweets that this process meets for the first time.

        It takes the exchange that hydrates the page: the tweets returned are those of the page, too.
        """
        authors, wanted = self._authors, set(marks.ids)
        unknown = [id_ for id_ in shared if id_ not in authors]
        if not unknown:
            return {}
        certain = {*own, *(id_ for id_ in shared if id_ in authors and mark(authors[id_]) in wanted)}
        page = sorted(certain, reverse=True)[:count]
        if len(page) == count:
            unknown = [id_ for id_ in unknown if id_ > page[-1]]
        if not unknown:
            return {}
        held = self._hydrator.tweets({*page, *unknown})
        if gone := [id_ for id_ in unknown if held[id_] is None and self._hydrator.knows(id_)]:
            self._store.remove(CELEBRITIES, gone, of)
        if len(authors) > 4 * self._capacity:
            authors = {id_: authors[id_] for id_ in shared if id_ in authors}
        self._authors = authors | {id_: tweet.user_id for id_ in unknown if (tweet := held[id_]) is not None}
        return held

    def _followed(self, timeline: Timeline, tweets: Mapping[int, int], marks: Slice) -> Iterable[int]:
        """The ids of those tweets ({id: author}) whose authors the owner follows."""
        wanted = set(marks.ids)
        unsure = {id_: author for id_, author in tweets.items() if mark(author) < marks.floor}
        found = {id_ for id_, author in tweets.items() if mark(author) in wanted}
        if unsure:  # they follow more celebrities than a timeline keeps
            with self._sessions() as session:
                found |= self._kinds[timeline.kind].among(session, timeline.owner, unsure)
        return found

    def _fill(self, key: str, backfill: bool, read: Callable[[Session], Slice]) -> Slice:
        """Backfills a cold key, as PushTimelines does."""
        if not backfill:
            raise Fallback("cold")
        return backfilled(self._store, key, self._sessions, read)
