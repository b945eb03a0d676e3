"""The committed changes with their times, as the users know them, and what a page may show because of them.

A page contains the reader's own writes at once, and the changes of others that are older than a second. It shows no
tweet of an author whom it is not about, and no tweet that was deleted before that second.
"""

import threading
import time
from bisect import bisect_right, insort
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from math import inf
from typing import NamedTuple

from tweeter.outbox.checkpoint import FRESH

BETWEEN = "(between kills)"  # the tally while everything works


@dataclass
class Tweet:
    """The times of post and delete, on the common clock: when each began, and when its commit was known."""

    author: int
    posted: float
    deleting: float = inf
    deleted: float = inf


class Shown(NamedTuple):
    """A page as its reader saw it."""

    tweets: Mapping[int, int]  # {id: author}
    by: str  # the backend that served it
    more: bool  # whether older tweets are on further pages


@dataclass
class Tally:
    """What happened within a part of a run."""

    fault: str
    delivered: bool = False  # the killed process held the lease
    requests: int = 0
    failed: int = 0  # responses with a status from 500
    unanswered: int = 0  # requests whose connection broke
    writes: int = 0
    pages: Counter[str] = field(default_factory=Counter)  # by the backend that served them; "none" without a page
    oldest: float = 0.0  # seconds since the commit of a change that a page lacked
    down: float = 0.0  # seconds from the kill until the restarted process responded
    recovered: float = 0.0  # seconds from then until everything worked as before
    wrong: int = 0


class Outages:
    """When which part did not run."""

    def __init__(self) -> None:
        self._spans: list[tuple[str, float, float]] = []
        self._open: dict[str, float] = {}

    @contextmanager
    def of(self, part: str) -> Iterator[None]:
        """The part does not run within the block."""
        self._open[part] = time.monotonic()
        try:
            yield
        finally:
            self._spans.append((part, self._open[part], time.monotonic()))
            del self._open[part]

    def during(self, part: str, began: float, ended: float) -> bool:
        """Whether the part did not run at a moment of this time."""
        if self._open.get(part, inf) <= ended:
            return True
        return any(name == part and start <= ended and end >= began for name, start, end in list(self._spans))


class History:
    """Shared by all users. It collects what is wrong in `wrong`, and counts in the current `tally`."""

    def __init__(self, names: Mapping[int, str]) -> None:
        self.names = dict(names)
        self.tweets: dict[int, Tweet] = {}
        self.over = threading.Event()  # the users stop
        self.wrong: list[str] = []
        self.outages = Outages()
        self.tallies: list[Tally] = []
        self.begin(BETWEEN)
        self._ids: list[int] = []  # of the tweets, in order
        self._lock = threading.Lock()

    def begin(self, fault: str) -> Tally:
        """Counts in a new tally from now on."""
        self.tally = Tally(fault)
        self.tallies.append(self.tally)
        return self.tally

    def post(self, id_: int, author: int, known: float) -> None:
        """Adds a tweet whose commit was known at this time."""
        with self._lock:
            self.tweets[id_] = Tweet(author, known)
            insort(self._ids, id_)

    def check(self, reader: int, authors: Collection[int], page: Shown, began: float, ended: float) -> None:
        """Checks a page of all tweets of these authors, which was requested and read at these times."""
        for id_, author in page.tweets.items():
            tweet = self.tweets.get(id_)
            if author not in authors:
                self.complain(f"{self._name(reader)} was shown {id_} of {self._name(author)}, {_BESIDE}; by {page.by}")
            if tweet and tweet.deleted < began:
                self._missed(reader, author, began - tweet.deleted, f"{id_}, which was deleted", page)
        last = min(page.tweets, default=0) if page.more else 0
        with self._lock:
            expected = self._ids[bisect_right(self._ids, last) :]
        for id_ in expected:
            tweet = self.tweets[id_]
            if tweet.author in authors and tweet.deleting > ended and id_ not in page.tweets and tweet.posted < began:
                self._missed(reader, tweet.author, began - tweet.posted, f"a page without {id_}, posted", page)

    def check_at_rest(self, reader: int, authors: Collection[int], page: Shown) -> None:
        """Also checks that the page shows no unknown tweet. Nothing may have changed for a second."""
        now = time.monotonic()
        self.check(reader, authors, page, now, now)
        if unknown := page.tweets.keys() - self.tweets.keys():
            self.complain(f"{self._name(reader)} was shown {unknown}, which was not posted; by {page.by}")

    def _missed(self, reader: int, author: int, age: float, what: str, page: Shown) -> None:
        """A page shows a state that is older than a change."""
        self.tally.oldest = max(self.tally.oldest, age)
        if author == reader or age > FRESH:
            self.complain(
                f"{self._name(reader)} was shown {what} {age:.3f} s ago by {self._name(author)}; by {page.by}"
            )

    def run(self, live: Callable[[], None]) -> None:
        """What the thread of a user does. If it fails, that is a complaint, too."""
        try:
            live()
        except Exception as error:
            self.complain(f"a user's thread failed: {error!r}")
            raise

    def _name(self, user: int) -> str:
        return self.names.get(user, str(user))

    def complain(self, what: str) -> None:
        self.tally.wrong += 1
        self.wrong.append(what if self.tally.fault == BETWEEN else f"{what} ({self.tally.fault})")


_BESIDE = "whose tweets do not belong on the page"
