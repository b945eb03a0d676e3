"""Asks several timelines for the same page, and measures each: cold, warm, and what it took."""

import time
from collections import Counter
from collections.abc import Iterable, Mapping
from statistics import median
from typing import NamedTuple

from tweeter import measure
from tweeter.interfaces import IMaterializedTimelines, ITimelines
from tweeter.measure import Meter, Statement
from tweeter.values import Cursor, Page, Timeline, TweetView

ROUNDS = 7  # warm reads of each, in turn
BUDGET = 1.0  # seconds of warm reads for all of them together; each is read twice at least


class Cost(NamedTuple):
    """What one read took. Bytes are those over the sockets of stores: there are none where nothing is far away."""

    seconds: float
    answered_by: str
    round_trips: int
    statements: list[Statement]
    sent: int
    received: int

    @classmethod
    def of(cls, meter: Meter, seconds: float) -> "Cost":
        return cls(
            seconds,
            meter.answered_by,
            meter.round_trips,
            list(meter.statements or ()),
            meter.bytes_sent,
            meter.bytes_received,
        )

    @property
    def ms(self) -> float:
        return self.seconds * 1000


class Mark(NamedTuple):
    """A tweet of either side; `word` is empty where both show it alike."""

    tweet: TweetView
    word: str


class Answer(NamedTuple):
    """What one of the contenders answered. `cold` is None where nothing was dropped for it."""

    page: Page
    marks: list[Mark]
    cold: Cost | None
    warm: Cost

    @property
    def differs(self) -> int:
        return sum(bool(mark.word) for mark in self.marks)


def read(timelines: ITimelines, timeline: Timeline, cursor: Cursor) -> tuple[Page, Cost]:
    """One page and what it took."""
    with measure.measuring(keep_statements=True) as meter:
        page = timelines.page(timeline, cursor)
        return page, Cost.of(meter, meter.seconds)


def ask_all(
    contenders: Mapping[str, ITimelines], reference: ITimelines, timeline: Timeline, cursor: Cursor
) -> dict[str, Answer]:
    """The answers of all contenders, by name.

    First each is asked as it is, and compared. Then what is kept ready is dropped, so that the next read is a cold one;
    not where something differs, because that would heal it. Then all are read in turns, warm.
    """
    found = {name: _compare_as_it_is(timelines, reference, timeline, cursor) for name, timelines in contenders.items()}
    colds: dict[str, Cost | None] = {}
    for name, timelines in contenders.items():
        colds[name] = None
        if not any(mark.word for mark in found[name][1]) and IMaterializedTimelines.providedBy(timelines):
            timelines.drop(timeline)
            colds[name] = read(timelines, timeline, cursor)[1]
    warm = _read_warm(contenders, timeline, cursor)
    return {name: Answer(*found[name], colds[name], warm[name]) for name in contenders}


def _compare_as_it_is(
    timelines: ITimelines, reference: ITimelines, timeline: Timeline, cursor: Cursor
) -> tuple[Page, list[Mark]]:
    for attempt in (1, 2):
        page = timelines.page(timeline, cursor)
        marks = compare(page.tweets, reference.page(timeline, cursor).tweets)
        if attempt == 2 or not any(mark.word for mark in marks):
            break
        time.sleep(0.3)  # somebody may just have posted
    return page, marks


def _read_warm(contenders: Mapping[str, ITimelines], timeline: Timeline, cursor: Cursor) -> dict[str, Cost]:
    costs = {name: read(timelines, timeline, cursor)[1] for name, timelines in contenders.items()}
    seconds: dict[str, list[float]] = {name: [] for name in contenders}
    names = list(contenders)
    deadline = time.monotonic() + BUDGET
    for turn in range(ROUNDS):
        if turn > 1 and time.monotonic() > deadline:
            break
        for name in names[turn % len(names) :] + names[: turn % len(names)]:
            with measure.measuring() as meter:
                contenders[name].page(timeline, cursor)
                seconds[name].append(meter.seconds)
    return {name: cost._replace(seconds=median(seconds[name])) for name, cost in costs.items()}


def compare(shown: Iterable[TweetView], expected: Iterable[TweetView]) -> list[Mark]:
    """Every tweet of both sides, newest first, with what is wrong with it: missing, extra, twice, order or text."""
    shown, expected = list(shown), list(expected)
    there, wanted = {tweet.id: tweet for tweet in shown}, {tweet.id: tweet for tweet in expected}
    times = Counter(tweet.id for tweet in shown)
    # In which order both show what both have; a tweet that stands twice counts where it stands first.
    ours = [id_ for id_ in dict.fromkeys(tweet.id for tweet in shown) if id_ in wanted]
    theirs = [tweet.id for tweet in expected if tweet.id in there]
    moved = {id_ for id_, other in zip(ours, theirs, strict=True) if id_ != other}

    def word(id_: int) -> str:
        if id_ not in there:
            return "missing"
        if id_ not in wanted:
            return "extra"
        if times[id_] > 1:
            return "twice"
        if there[id_] != wanted[id_]:
            return "text"
        return "order" if id_ in moved else ""

    both = wanted | there
    return [Mark(both[id_], word(id_)) for id_ in sorted(both, reverse=True)]
