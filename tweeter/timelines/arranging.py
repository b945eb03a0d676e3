"""Makes the entries of a page from the ids of a store: hydrates them, and shows each tweet once, at its newest reason.

`tweeter.timelines.reposts` has the same rule in SQL.
"""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from tweeter.db.sessions import SessionFactory
from tweeter.interfaces import ITimelineStore
from tweeter.timelines.freshness import Moment
from tweeter.timelines.hydrate import Hydrator
from tweeter.timelines.kinds import CELEBRITIES, Kinds
from tweeter.values import NOBODY, Entry, Repost, Slice, Timeline, TweetView, Viewer


class Found(NamedTuple):
    """A slice of a timeline, and the tweets and the viewer's marks that were read with it.

    `whole`: no id of the timeline is missing.
    """

    slice: Slice
    held: Mapping[int, TweetView | None]
    moment: Moment | None
    warm: bool
    whole: bool
    marks: Sequence[Slice | None] = ()


class Arranger:
    """Makes the entries of pages, and removes the ids of deleted tweets from their timelines (read repair)."""

    def __init__(self, store: ITimelineStore, hydrator: Hydrator, sessions: SessionFactory, kinds: Kinds) -> None:
        self._store = store
        self._hydrator = hydrator
        self._sessions = sessions
        self._kinds = kinds

    def entries(self, timeline: Timeline, found: Found, ids: Sequence[int], viewer: Viewer = NOBODY) -> list[Entry]:
        """The entries among these ids of the slice that are shown to the viewer, in their order."""
        if not ids:
            return []
        of, moment, kind = found.slice.of, found.moment, self._kinds[timeline.kind]
        # Also in private timelines, because the relay may be a second late.
        hidden = viewer.hidden - {kind.user(timeline.owner)} if viewer.hidden else viewer.hidden

        def shows(tweet: TweetView) -> bool:
            return tweet.user_id not in hidden and (not moment or not moment.removed or moment.shows(timeline, tweet))

        if not of or not kind.reposts:
            places = [of.get(id_, id_) for id_ in ids] if of else ids
            tweets = self._hydrated(timeline, found, places)
            all_shown = not hidden and not (moment and moment.removed)
            pairs = zip(ids, map(tweets.__getitem__, places), strict=True)
            return [Entry(tweet, id_) for id_, tweet in pairs if tweet and (all_shown or shows(tweet))]
        reasons = _reasons(found.slice, ids)
        tweets = self._hydrated(timeline, found, [*reasons, *(id_ for each in reasons.values() for id_ in each)])
        entries: list[Entry] = []
        unsure: list[int] = []
        for id_ in ids:
            tweet_id = of.get(id_, id_)
            tweet = tweets[tweet_id]
            living = [reason for each in reasons[tweet_id] if (reason := tweets[each]) and shows(reason)]
            if tweet is not None and tweet.user_id not in hidden and living and living[0].id == id_:
                entries.append(_entry(kind.user(timeline.owner), tweet, living))
                # Only a tweet below the floor can have reposts there, and it knows how many it has in all.
                if id_ != tweet_id < found.slice.floor and tweet.reposts > len(living):
                    unsure.append(tweet_id)
        return self._with_others(timeline, found.slice.floor, entries, unsure, viewer)

    def _hydrated(self, timeline: Timeline, found: Found, ids: Sequence[int]) -> Mapping[int, TweetView | None]:
        """The tweets of these ids; removes those that are deleted from the timeline."""
        outdated = found.moment.checkpoint.outdated() if found.moment else None
        tweets = self._hydrator.tweets(dict.fromkeys(ids), outdated, found.held)
        of = found.slice.of
        missing = {id_ for id_ in ids if tweets[id_] is None and self._hydrator.knows(id_)}
        if missing:
            gone = [id_ for id_ in found.slice.ids if of.get(id_, id_) in missing or id_ in missing]
            self._store.remove(timeline.key, gone, of)
            if self._kinds.celebrity_followers and self._kinds[timeline.kind].to_followers:
                self._store.remove(CELEBRITIES, gone, of)
        return tweets

    def _with_others(
        self, timeline: Timeline, floor: int, entries: list[Entry], unsure: Sequence[int], viewer: Viewer
    ) -> list[Entry]:
        """The entries, with the reposts below the floor counted: one statement for all such tweets."""
        if not unsure:
            return entries
        with self._sessions() as session:
            below = self._kinds[timeline.kind].reposted_below(session, timeline.owner, unsure, floor, viewer)
        return [
            entry._replace(repost=entry.repost._replace(others=entry.repost.others + count))
            if entry.repost and (count := below.get(entry.tweet.id))
            else entry
            for entry in entries
        ]


def _reasons(slice_: Slice, ids: Sequence[int]) -> dict[int, list[int]]:
    """All ids of the slice by the tweet that they place, newest first, for the tweets of `ids`."""
    of = slice_.of
    reasons: dict[int, list[int]] = {of.get(id_, id_): [] for id_ in ids}
    for id_ in slice_.ids:
        if (each := reasons.get(of.get(id_, id_))) is not None:
            each.append(id_)
    return reasons


def _entry(owner: int, tweet: TweetView, living: Sequence[TweetView]) -> Entry:
    """The entry of a tweet with these reasons, newest first, in a timeline of the user `owner`."""
    newest, *older = living
    if newest.id == tweet.id:
        return Entry(tweet, tweet.id)
    others = sum(reason.repost_of is not None and reason.user_id != owner for reason in older)
    repost = Repost(newest.id, newest.user_id, newest.username, newest.display_name, others)
    return Entry(tweet, newest.id, repost)
