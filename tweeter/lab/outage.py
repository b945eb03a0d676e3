"""What readers get while a store breaks and recovers: pages per second and the slowest of them.

A few readers read one home page again and again from before the break until the repair. They stop when the page of the
lab that shows them is closed.
"""

import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from time import monotonic, perf_counter, sleep

from markupsafe import Markup

from tweeter.interfaces import ITimelines
from tweeter.lab.plots import Axis, Line, plot
from tweeter.values import Cursor, Timeline

READERS, PAUSE = 4, 0.005  # seconds between two pages of a reader
BEFORE, AFTER = 0.5, 2.0  # seconds of reading before the break and after the repair
LONGEST = 60.0
ALONE = 8.0  # seconds without anyone who looks, until the readers stop
WIDTH = 0.2  # seconds of a point in the plots


@dataclass
class Outage:
    """The pages read from one backend. `slowest` and `pages` are by the number of their point."""

    backend: str
    began: float = field(default_factory=monotonic)
    pages: dict[int, int] = field(default_factory=dict)
    slowest: dict[int, float] = field(default_factory=dict)
    marks: list[tuple[float, str]] = field(default_factory=list)
    ends: float = 0.0
    looked: float = field(default_factory=monotonic)
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _permits: threading.Semaphore = field(default_factory=lambda: threading.Semaphore(READERS))

    @property
    def running(self) -> bool:
        now = monotonic()
        return now < min(self.began + LONGEST, self.ends or now + 1, self.looked + ALONE)

    def start(self, timelines: ITimelines, timeline: Timeline) -> None:
        """Starts the readers, and returns when they have read for a while."""
        for number in range(READERS):
            work = (timelines, timeline)
            threading.Thread(target=self._read, args=work, name=f"lab reader {number}", daemon=True).start()
        sleep(BEFORE)

    def mark(self, text: str, last: bool = False) -> None:
        """Marks this moment; the readers stop soon after the last one."""
        self.looked = monotonic()
        self.marks.append((monotonic() - self.began, text))
        if last:
            self.ends = monotonic() + AFTER

    @contextmanager
    def paused(self) -> Iterator[None]:
        """No reader reads within this block, so that the caller reads the first page after the break."""
        for _ in range(READERS):
            self._permits.acquire()
        try:
            yield
        finally:
            self._permits.release(READERS)

    def record(self, seconds: float) -> None:
        """Counts a page that took so long and ends now."""
        place = int((monotonic() - self.began) / WIDTH)
        with self._lock:
            self.pages[place] = self.pages.get(place, 0) + 1
            self.slowest[place] = max(self.slowest.get(place, 0.0), seconds)

    def look(self) -> "Outage":
        """Keeps the readers running."""
        if self.running:
            self.looked = monotonic()
        return self

    def _read(self, timelines: ITimelines, timeline: Timeline) -> None:
        while self.running:
            with self._permits, suppress(Exception):  # a page that failed is not counted
                began = perf_counter()
                timelines.page(timeline, Cursor())
                self.record(perf_counter() - began)
            sleep(PAUSE)

    def plots(self) -> list[Markup]:
        """Pages per second, and the slowest page of each point."""
        with self._lock:
            pages, slowest = dict(self.pages), dict(self.slowest)
        if not pages:
            return []
        last = max(pages) if not self.running else max(pages) - 1  # the current one is not over
        places = range(last + 1)
        rates = [(place * WIDTH, pages.get(place, 0) / WIDTH) for place in places]
        times = [(place * WIDTH, slowest[place] * 1000) for place in places if place in slowest]
        drawn: list[Markup] = []
        for title, points, unit in (("pages a second", rates, ""), ("slowest page", times, " ms")):
            x = Axis([1.0, last * WIDTH], "seconds", unit=" s")
            y = Axis([value for _, value in points], title, logarithmic=bool(unit), unit=unit)
            drawn.append(plot(f"{self.backend}: {title}", [Line("", points, len(drawn))], x, y, self.marks))
        return drawn
