"""Does a backend show what SQL says? The comparison behind `tweeter verify`."""

import time
from collections.abc import Callable, Iterator
from typing import NamedTuple

from tweeter.interfaces import IMaterializedTimelines, ITimelines
from tweeter.models.meta import SessionFactory
from tweeter.timelines import queries
from tweeter.timelines.pull import PullTimelines
from tweeter.values import Cursor, Timeline

PAGES = 3  # of 20 tweets, compared in full; of the rest of what is materialised the ids are
TRIES = 4  # on a running site, a difference may be a delivery that is under way
PAUSE = 0.25  # seconds


class Verdict(NamedTuple):
    """What is wrong with one timeline, in words; nothing if it is as it should be."""

    timeline: Timeline
    differences: list[str]
    repaired: bool = False


class Verifier:
    """Compares timelines with SQL. Cold ones are filled by it, as by any reader."""

    def __init__(self, timelines: ITimelines, sessions: SessionFactory, ready: Callable[[], None]) -> None:
        self._timelines = timelines
        self._materialized = timelines if IMaterializedTimelines.providedBy(timelines) else None
        self._sessions = sessions
        self._pull = PullTimelines("sql", sessions)
        self._ready = ready

    def verify(self, timeline: Timeline, repair: bool = False) -> Verdict:
        """The verdict on one timeline; with `repair`, what differs is made cold and verified again."""
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
            self._ready()
            if self._materialized is not None and not self._materialized.trusted:
                differences = ["the store can't be asked, or is not caught up: SQL would answer"]
                continue
            differences = [*self._pages(timeline), *self._ids(timeline)]
            if not differences:
                break
        return differences

    def _pages(self, timeline: Timeline) -> Iterator[str]:
        cursor = Cursor()
        for number in range(1, PAGES + 1):
            shown = self._timelines.page(timeline, cursor)
            expected = self._pull.page(timeline, cursor)
            if shown != expected:
                yield f"page {number}: " + (
                    _ids_differ([t.id for t in shown.tweets], [t.id for t in expected.tweets])
                    or _tweets_differ(shown.tweets, expected.tweets)
                    or f"goes on before {shown.older} instead of {expected.older}"
                )
            if expected.older is None:
                return
            cursor = cursor._replace(before=expected.older)

    def _ids(self, timeline: Timeline) -> Iterator[str]:
        """Everything that is materialised, down to its floor."""
        if self._materialized is None or (held := self._materialized.peek(timeline)) is None:
            return
        with self._sessions() as session:
            expected = queries.read_ids(session, timeline, len(held.ids) + 100)
            if difference := _ids_differ(held.ids, [id_ for id_ in expected if id_ >= held.floor][: len(held.ids) + 1]):
                # Deleted tweets may stay until somebody reads them: no page shows them.
                living = queries.load_tweets(session, held.ids)
                ids = [id_ for id_ in held.ids if id_ in living]
                lowest = max(held.floor, expected[-1] if len(expected) == len(held.ids) + 100 else 0)
                difference = _ids_differ(
                    [id_ for id_ in ids if id_ >= lowest], [id_ for id_ in expected if id_ >= lowest]
                )
        if difference:
            yield f"materialised: {difference}"


def _ids_differ(shown: list[int], expected: list[int]) -> str:
    if shown == expected:
        return ""
    missing, surplus = sorted({*expected} - {*shown}), sorted({*shown} - {*expected})
    parts = [f"{what} {_some(ids)}" for what, ids in (("lacks", missing), ("has besides", surplus)) if ids]
    return " and ".join(parts) or "another order, or one twice"


def _tweets_differ(shown: tuple[object, ...], expected: tuple[object, ...]) -> str:
    for one, other in zip(shown, expected, strict=True):
        if one != other:
            return f"shows {one} instead of {other}"
    return ""


def _some(ids: list[int]) -> str:
    return ", ".join(map(str, ids[:3])) + (f" and {len(ids) - 3} more" if len(ids) > 3 else "")
