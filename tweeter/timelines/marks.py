"""Which tweets of a page its viewer likes or reposted.

A kind with `marks` has a timeline of each user whose entries refer to such tweets: the likes, and the own profile with
its reposts. Both are read beside the page's timeline, in the same exchange, and are materialized as all timelines are.
If a page has a tweet that is older than their floor and that they lack, one statement decides.
"""

from collections.abc import Collection, Iterable, Sequence
from contextlib import suppress
from typing import Any

from tweeter.db.sessions import SessionFactory
from tweeter.interfaces import ITimelineStore
from tweeter.timelines import queries
from tweeter.timelines.backfilling import backfilled
from tweeter.timelines.freshness import Fallback, Moment
from tweeter.timelines.kind import LIKED, REPOSTED
from tweeter.timelines.kinds import Kinds
from tweeter.values import Page, Slice, Timeline, TweetCreated, TweetLiked, TweetsDeleted, TweetUnliked


class Marker:
    """Marks the pages that come from one store."""

    def __init__(
        self, store: ITimelineStore, pages: SessionFactory, fills: SessionFactory, kinds: Kinds, capacity: int
    ) -> None:
        self._store = store
        self._pages = pages
        self._fills = fills
        self._kinds = kinds
        self._capacity = capacity

    def timelines(self, viewer_id: int) -> list[Timeline]:
        """The timelines to read beside a page; none for a viewer who is not signed in."""
        return [Timeline(name, viewer_id) for name, kind in self._kinds.items() if kind.marks] if viewer_id else []

    def mark(
        self, page: Page, viewer_id: int, beside: Sequence[Slice | None], moment: Moment | None, backfill: bool
    ) -> Page:
        """The page with the viewer's marks; `beside` are the slices of `timelines`."""
        ids = {tweet.id for tweet in page.tweets}
        found: dict[str, set[int]] = {LIKED: set(), REPOSTED: set()}
        unsure: set[int] = set()
        for timeline, slice_ in zip(self.timelines(viewer_id), beside, strict=True):
            if slice_ is None:
                slice_ = self._backfilled(timeline) if backfill else None
            if slice_ is None:
                unsure |= ids
                continue
            marked = ids.intersection(slice_.of.values())
            found[self._kinds[timeline.kind].marks] |= marked
            unsure.update(id_ for id_ in ids - marked if id_ < slice_.floor)
        if unsure:
            with self._pages() as session:
                liked, reposted = queries.marks(session, viewer_id, unsure)
            found = {LIKED: found[LIKED] - unsure | liked, REPOSTED: found[REPOSTED] - unsure | reposted}
        if moment is not None:
            _apply(found, (each.event for each in moment.checkpoint.in_flight), viewer_id, ids)
        return page._replace(liked=frozenset(found[LIKED]), reposted=frozenset(found[REPOSTED]))

    def _backfilled(self, timeline: Timeline) -> Slice | None:
        kind = self._kinds[timeline.kind]
        with suppress(Fallback):
            return backfilled(
                self._store,
                timeline.key,
                self._fills,
                lambda session: kind.backfill(session, timeline.owner, self._capacity),
            )
        return None


def _apply(found: dict[str, set[int]], events: Iterable[Any], viewer_id: int, ids: Collection[int]) -> None:
    """Applies the viewer's own changes that the relay has not applied yet, in their order."""
    for event in events:
        match event:
            case TweetLiked(_, user_id, tweet_id) if user_id == viewer_id and tweet_id in ids:
                found[LIKED].add(tweet_id)
            case TweetUnliked(user_id, tweet_id) if user_id == viewer_id:
                found[LIKED].discard(tweet_id)
            case TweetCreated(_, user_id, _, of) if user_id == viewer_id and of in ids:
                found[REPOSTED].add(of)
            case TweetsDeleted(_, user_id, _, of) if user_id == viewer_id:
                found[REPOSTED].discard(of)
