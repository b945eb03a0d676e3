"""Reads the same page from several timelines and measures each, cold and warm."""

import time
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from statistics import median
from typing import Any, NamedTuple

from tweeter import measure
from tweeter.bench.figures import percentile
from tweeter.bench.verdicts import factor, spread
from tweeter.interfaces import IMaterializedTimelines, ITimelines
from tweeter.measure import Statement
from tweeter.values import Cursor, Page, Timeline, TweetView

COLD_READS, WARM_READS = 3, 9  # of each
ROUND = 3  # warm reads whose median is compared with other rounds
NOISY = 2.0  # rounds of so few reads that differ by at least this factor allow no conclusion
BUDGET = 1.0  # seconds for all cold or all warm reads together; at least two reads of each


class Cost(NamedTuple):
    """The costs of one read. Bytes are those on the sockets of stores; in-process stores have none.

    `rounds` are medians of a few reads each, in seconds: they show how noisy the machine is.
    """

    seconds: float
    served_by: str
    round_trips: int
    statements: list[Statement]
    sent: int
    received: int
    rounds: tuple[float, ...] = ()

    @property
    def ms(self) -> float:
        return self.seconds * 1000


class Mark(NamedTuple):
    """A tweet of either page; `word` is empty if both show it in the same way."""

    tweet: TweetView
    word: str


class Answer(NamedTuple):
    """The result of one contender. `cold` is None if nothing was dropped for it."""

    page: Page
    marks: list[Mark]
    cold: Cost | None
    warm: Cost

    @property
    def differs(self) -> int:
        return sum(bool(mark.word) for mark in self.marks)


def noise(every: Iterable[Sequence[float]], percent: float = 100) -> str:
    """What to say first about the rounds of these contenders; empty if they agree well enough for a conclusion.

    Of many measures, `percent` of them count: one disturbed measure does not change the picture of all.
    """
    worst = percentile([1.0, *(spread(rounds) for rounds in every if rounds)], percent)
    return f"Rounds differ by up to {factor(worst)}: no conclusion." if worst >= NOISY else ""


def read(timelines: ITimelines, timeline: Timeline, cursor: Cursor) -> tuple[Page, Cost]:
    """One page and its costs."""
    with measure.measuring(keep_statements=True) as meter:
        page = timelines.page(timeline, cursor)
        seconds, statements = meter.seconds, list(meter.statements or ())
    trips, sent, received = meter.round_trips, meter.bytes_sent, meter.bytes_received
    return page, Cost(seconds, meter.served_by, trips, statements, sent, received)


def compare_all(
    contenders: Mapping[str, ITimelines], reference: ITimelines, timeline: Timeline, cursor: Cursor
) -> dict[str, Answer]:
    """The results of all contenders, by name.

    First, each is read without changes and compared. Then cold reads: the timeline is dropped before each, except
    where the pages differ, because a drop would repair that. Then warm reads. Contenders take turns in each round, so
    that other load on the machine affects all of them.
    """
    found = {name: _compare_unchanged(timelines, reference, timeline, cursor) for name, timelines in contenders.items()}
    kept = {
        name: timelines
        for name, timelines in contenders.items()
        if IMaterializedTimelines.providedBy(timelines) and not any(mark.word for mark in found[name][1])
    }
    cold = read_in_turns(kept, timeline, cursor, COLD_READS, cold=True)
    warm = read_in_turns(contenders, timeline, cursor)
    return {name: Answer(*found[name], cold.get(name), warm[name]) for name in contenders}


def _compare_unchanged(
    timelines: ITimelines, reference: ITimelines, timeline: Timeline, cursor: Cursor
) -> tuple[Page, list[Mark]]:
    for attempt in (1, 2):
        page = timelines.page(timeline, cursor)
        marks = compare(page, reference.page(timeline, cursor))
        if attempt == 2 or not any(mark.word for mark in marks):
            break
        time.sleep(0.3)  # a recent post may not be delivered yet
    return page, marks


def read_in_turns(
    contenders: Mapping[str, Any], timeline: Timeline, cursor: Cursor, reads: int = WARM_READS, cold: bool = False
) -> dict[str, Cost]:
    """The costs of the last read of each, with the median time of all its reads."""
    costs: dict[str, list[Cost]] = {name: [] for name in contenders}
    names = list(contenders)
    deadline = time.monotonic() + BUDGET
    for turn in range(reads if names else 0):
        if turn > 1 and time.monotonic() > deadline:
            break
        first = turn % len(names)
        for name in names[first:] + names[:first]:
            if cold:
                contenders[name].drop(timeline)
            costs[name].append(read(contenders[name], timeline, cursor)[1])
    return {name: _summarized(each) for name, each in costs.items()}


def _summarized(costs: Sequence[Cost]) -> Cost:
    seconds = [cost.seconds for cost in costs]
    rounds = tuple(median(seconds[n : n + ROUND]) for n in range(0, len(seconds) - ROUND + 1, ROUND))
    return costs[-1]._replace(seconds=median(seconds), rounds=rounds)


def compare(shown: Page, expected: Page) -> list[Mark]:
    """All tweets of both pages, newest first, with the difference: missing, extra, twice, order, text or reason."""
    there, wanted = ({tweet.id: tweet for tweet in page.tweets} for page in (shown, expected))
    times = Counter(tweet.id for tweet in shown.tweets)
    # The order of the tweets that both pages have; a repeated tweet counts at its first position.
    ours = [id_ for id_ in dict.fromkeys(tweet.id for tweet in shown.tweets) if id_ in wanted]
    theirs = [tweet.id for tweet in expected.tweets if tweet.id in there]
    moved = {id_ for id_, other in zip(ours, theirs, strict=True) if id_ != other}

    def word(id_: int) -> str:
        if id_ not in there or id_ not in wanted:
            return "extra" if id_ in there else "missing"
        if times[id_] > 1:
            return "twice"
        if there[id_] != wanted[id_]:
            return "text"
        if id_ in moved:
            return "order"
        return "reason" if shown.reposts.get(id_) != expected.reposts.get(id_) else ""

    both = wanted | there
    return [Mark(both[id_], word(id_)) for id_ in sorted(both, reverse=True)]
