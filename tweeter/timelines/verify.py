"""Compares the timelines of a backend with SQL, for `tweeter verify`."""

import time
from collections.abc import Callable, Iterator, Mapping
from itertools import zip_longest
from typing import NamedTuple

from sqlalchemy.orm import Session

from tweeter import measure
from tweeter.db.sessions import SessionFactory
from tweeter.interfaces import IMaterializedTimelines, ITimelines
from tweeter.timelines import queries
from tweeter.timelines.kind import TimelineKind
from tweeter.timelines.kinds import Kinds
from tweeter.values import NOTHING, Cursor, Page, Slice, Timeline, TweetView

PAGES = 3  # of 20 tweets, compared in full; of the remaining materialized part only the ids are compared
TRIES = 4  # on a running site, a difference may be an unfinished delivery
PAUSE = 0.25  # seconds
BEYOND = 100  # ids that are read from SQL in addition to the materialized ones, to make up for deleted tweets
REMEMBERED = 20_000  # tweets
REMEMBERED_SECONDS = 5.0

NO_PAGE = Page((), None)


class Verdict(NamedTuple):
    """The differences of one timeline from SQL, as text; empty if there are none."""

    timeline: Timeline
    differences: list[str]
    repaired: bool = False


class Verifier:
    """Compares timelines with SQL. It backfills cold ones, as any reader does.

    It reads a timeline's ids from SQL once, by the talk's join, and those tweets that it has not read recently.
    """

    def __init__(
        self, timelines: ITimelines, kinds: Kinds, sessions: SessionFactory, caught_up: Callable[[], object]
    ) -> None:
        self._timelines = timelines
        self._kinds = kinds
        self._materialized = timelines if IMaterializedTimelines.providedBy(timelines) else None
        self._sessions = sessions
        self._caught_up = caught_up
        self._tweets: dict[int, TweetView] = {}
        self._since = 0.0

    def verify(self, timeline: Timeline, repair: bool = False) -> Verdict:
        """The verdict on one timeline; with `repair`, a timeline that differs is dropped and verified again."""
        differences = self._lasting(timeline)
        if not differences or not repair or self._materialized is None:
            return Verdict(timeline, differences)
        self._materialized.drop(timeline)
        return Verdict(timeline, differences, repaired=not self._lasting(timeline))

    def _lasting(self, timeline: Timeline) -> list[str]:
        differences: list[str] = []
        for attempt in range(TRIES):
            if attempt:
                time.sleep(PAUSE)
                self._tweets.clear()
                self._caught_up()
            with measure.measuring() as meter:
                differences = self._differences(timeline)
            if meter.served_by.endswith("from SQL"):
                differences = ["SQL served it: the store can't be read, or is not caught up"]
            if not differences:
                break
        return differences

    def _differences(self, timeline: Timeline) -> list[str]:
        shown = list(self._pages(timeline))
        held = self._materialized.peek(timeline) if self._materialized is not None else None
        count = max(PAGES * Cursor().limit + 1, len(held.ids) + BEYOND if held else 0)
        with self._sessions() as session:
            kind = self._kinds[timeline.kind]
            ids = kind.read_ids(session, timeline.owner, count)
            expected = (
                _read_pages(session, kind, timeline.owner)
                if kind.reposts or kind.refers
                else self._expected(session, ids)
            )
            differences = list(_pages_differ(shown, expected))
            if held and (
                difference := _held_differ(session, held, ids, len(ids) == count, held.of if kind.refers else NOTHING)
            ):
                differences.append(f"materialized: {difference}")
        return differences

    def _pages(self, timeline: Timeline) -> Iterator[Page]:
        """The first pages that the backend shows."""
        cursor = Cursor()
        for _ in range(PAGES):
            page = self._timelines.page(timeline, cursor)
            yield page
            if page.older is None:
                return
            cursor = cursor._replace(before=page.older)

    def _expected(self, session: Session, ids: list[int]) -> list[Page]:
        """The first pages according to SQL."""
        if len(self._tweets) > REMEMBERED or time.monotonic() - self._since > REMEMBERED_SECONDS:
            self._tweets.clear()
            self._since = time.monotonic()
        size = Cursor().limit
        wanted = ids[: PAGES * size]
        if unknown := [id_ for id_ in wanted if id_ not in self._tweets]:
            self._tweets |= queries.load_tweets(session, unknown)
        pages = []
        for first in range(0, max(1, len(wanted)), size):
            some = [self._tweets[id_] for id_ in ids[first : first + size] if id_ in self._tweets]
            pages.append(Page(tuple(some), ids[first + size - 1] if len(ids) > first + size else None))
        return pages


def _read_pages(session: Session, kind: TimelineKind, owner: int) -> list[Page]:
    """The first pages of a kind that decides by more than the ids which tweets a page shows."""
    pages: list[Page] = []
    cursor = Cursor()
    while len(pages) < PAGES:
        pages.append(Page.cut(kind.read_page(session, owner, cursor), cursor.limit))
        if (older := pages[-1].older) is None:
            break
        cursor = cursor._replace(before=older)
    return pages


def _pages_differ(shown: list[Page], expected: list[Page]) -> Iterator[str]:
    for number, (one, other) in enumerate(zip_longest(shown, expected, fillvalue=NO_PAGE), 1):
        if one != other:
            yield f"page {number}: " + (
                _ids_differ([t.id for t in one.tweets], [t.id for t in other.tweets])
                or _tweets_differ(one.tweets, other.tweets)
                or f"continues before {one.older} instead of {other.older}"
            )


def _held_differ(session: Session, held: Slice, expected: list[int], more: bool, of: Mapping[int, int]) -> str:
    """The difference of the materialized ids from SQL, down to the floor; `more`: SQL has more ids than `expected`.

    `of` has the tweets of ids that are not rows of tweets.
    """
    if held.ids == [id_ for id_ in expected if id_ >= held.floor][: len(held.ids) + 1]:
        return ""
    # Ids of deleted tweets stay until read repair; no page shows them.
    living = queries.load_tweets(session, [of.get(id_, id_) for id_ in held.ids])
    lowest = max(held.floor, expected[-1] if more else 0)
    # The reposts of a deleted tweet stay in SQL for some seconds; no page shows them.
    reposts = queries.references(session, {*expected} - {*held.ids})
    gone = {*reposts.values()} - queries.load_tweets(session, reposts.values()).keys()
    return _ids_differ(
        [id_ for id_ in held.ids if of.get(id_, id_) in living and id_ >= lowest],
        [id_ for id_ in expected if reposts.get(id_) not in gone and id_ >= lowest],
    )


def _ids_differ(shown: list[int], expected: list[int]) -> str:
    if shown == expected:
        return ""
    missing, surplus = sorted({*expected} - {*shown}), sorted({*shown} - {*expected})
    parts = [f"{what} {_some(ids)}" for what, ids in (("lacks", missing), ("has unexpected", surplus)) if ids]
    return " and ".join(parts) or "another order, or one twice"


def _tweets_differ(shown: tuple[object, ...], expected: tuple[object, ...]) -> str:
    for one, other in zip(shown, expected, strict=True):
        if one != other:
            return f"shows {one} instead of {other}"
    return ""


def _some(ids: list[int]) -> str:
    return ", ".join(map(str, ids[:3])) + (f" and {len(ids) - 3} more" if len(ids) > 3 else "")
