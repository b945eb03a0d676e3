"""Law 7 measured: what pages and posts cost while the store is away, and how soon it answers again.

Two real sites on one database, one on `sql` and one on the backend, whose server stands behind a proxy that refuses,
hangs, or changes between that and working ("flapping"). People with a browser each ask both sites in turn, so both are
measured under the same load in the same moments.
"""

import logging
import math
import multiprocessing
import random
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass
from multiprocessing.connection import Connection
from typing import Any, Literal

from waitress.server import create_server

import tweeter
from tweeter.bench.browser import Browser
from tweeter.proxy import Mode, Proxy
from tweeter.servers import Server
from tweeter.settings import merge

Outage = Literal["refused", "hung", "flapping"]
OUTAGES: tuple[Outage, ...] = ("refused", "hung", "flapping")
FLAPS = 0.2, 1.0  # seconds; each state lasts between these
POST_EVERY = 10  # requests of each person
PASSWORD = "for a benchmark"  # noqa: S105
TWEETS = 5  # of each person, before it begins
LONGEST_RETURN = 30.0  # seconds that are waited for the store to answer again


@dataclass(frozen=True)
class Latencies:
    """Seconds that requests of one kind took on one site."""

    seconds: tuple[float, ...]

    def percentile(self, percent: float) -> float:
        """By nearest rank."""
        return sorted(self.seconds)[math.ceil(len(self.seconds) * percent / 100) - 1]


@dataclass(frozen=True)
class Result:
    """What one outage cost. `pages` and `posts` are by site: "sql", and the backend's name."""

    backend: str
    outage: Outage
    pages: dict[str, Latencies]
    posts: dict[str, Latencies]
    returned: float | None  # seconds from the end of the outage until the store answered; None if it did not
    right: bool  # after that every home page was that of SQL
    failed: int  # requests that were not answered as they should be
    distrusted: int  # how often /metrics counted that SQL took over

    def ratio(self, percent: float = 99) -> float:
        """A percentile of the pages' latency, over that of `sql`."""
        return self.pages[self.backend].percentile(percent) / self.pages["sql"].percentile(percent)

    def post_ratio(self, percent: float = 99) -> float:
        return self.posts[self.backend].percentile(percent) / self.posts["sql"].percentile(percent)


def measure(
    url: str, backend: Literal["redis", "memcached"], server: Server, outage: Outage, *,
    people: int = 4, seconds: float = 20.0, seed: int = 1,
) -> Result:  # fmt: skip
    """Measures an outage of so many seconds.

    `url` is that of a migrated database, in which people will sign up; `server` runs.
    """
    with ExitStack() as stack:
        proxy = stack.enter_context(closing(Proxy(server.host, server.port)))
        common = {
            "sqlalchemy.url": url,
            "tweeter.production": "false",
            "tweeter.secret": "for a benchmark",
            "tweeter.secure_cookies": "false",
            "tweeter.metrics": "127.0.0.1",
            "tweeter.redis.url": f"redis://{proxy.address}",
            "tweeter.memcached.servers": proxy.address,
        }
        ports = {
            name: stack.enter_context(serving(common | {"tweeter.timelines": name}, threads=people))
            for name in ("sql", backend)
        }
        persons = [stack.enter_context(closing(Person(ports, number))) for number in range(people)]
        for person in persons:
            person.settle(persons)
        _wait(persons[0], backend)
        before = _distrusted(persons[0], backend)
        _live(persons, proxy, outage, seconds, random.Random(seed))  # noqa: S311
        proxy.become("pass")
        ended = time.monotonic()
        back = _wait(persons[0], backend)
        return Result(
            backend,
            outage,
            {name: Latencies(tuple(s for person in persons for s in person.pages[name])) for name in ports},
            {name: Latencies(tuple(s for person in persons for s in person.posts[name])) for name in ports},
            back and back - ended,
            all(person.shown("sql") == person.shown(backend) for person in persons),
            sum(person.failed for person in persons),
            int(_distrusted(persons[0], backend) - before),
        )


class Person:
    """Somebody who is signed in on both sites, and what their requests took."""

    def __init__(self, ports: dict[str, int], number: int) -> None:
        self.name = f"person{number}_{time.time_ns() // 1_000_000_000}"
        self.browsers = {name: Browser(port) for name, port in ports.items()}
        self.pages: dict[str, list[float]] = {name: [] for name in ports}
        self.posts: dict[str, list[float]] = {name: [] for name in ports}
        self.failed = 0

    def settle(self, others: Sequence["Person"]) -> None:
        """Signs up, follows those who came before, says something."""
        first, *rest = self.browsers.values()
        first.send("/signup", username=self.name, password=PASSWORD)
        for browser in rest:
            browser.cookies = first.cookies
        for other in others[: others.index(self)]:
            first.send(f"/@{other.name}/follow")
        for number in range(TWEETS):
            first.send("/tweets", message=f"number {number} of {self.name}")

    def live(self, until: float, chance: random.Random) -> None:
        """Asks both sites in turn for the home page, and posts now and then."""
        number = 0
        while time.monotonic() < until:
            number += 1
            # Whose turn is first is by chance: a post on one makes a delivery for both.
            for name in chance.sample(sorted(self.browsers), len(self.browsers)):
                browser = self.browsers[name]
                posting = number % POST_EVERY == 1  # a short run has one, too
                began = time.perf_counter()
                status = browser.send("/tweets", message=f"{number} on {name}") if posting else browser.get("/")
                (self.posts if posting else self.pages)[name].append(time.perf_counter() - began)
                self.failed += status != (303 if posting else 200)

    def close(self) -> None:
        for browser in self.browsers.values():
            browser.close()

    def shown(self, name: str) -> list[int]:
        self.browsers[name].get("/")
        return self.browsers[name].tweets


def _live(persons: Sequence[Person], proxy: Proxy, outage: Outage, seconds: float, chance: random.Random) -> None:
    until = time.monotonic() + seconds
    chances = [random.Random(chance.random()) for _ in persons]  # noqa: S311
    threads = [
        threading.Thread(target=each.live, args=(until, own)) for each, own in zip(persons, chances, strict=True)
    ]
    for thread in threads:
        thread.start()
    modes: list[Mode] = ["refuse", "pass", "swallow", "pass"]
    match outage:
        case "refused":
            proxy.become("refuse")
        case "hung":
            proxy.become("swallow")
        case "flapping":
            while (left := until - time.monotonic()) > 0:
                proxy.become(modes[0])
                modes.append(modes.pop(0))
                time.sleep(min(left, chance.uniform(*FLAPS)))
    for thread in threads:
        thread.join()


def _wait(person: Person, backend: str) -> float | None:
    """The moment (monotonic) at which the store answers pages; None if it never does."""
    deadline = time.monotonic() + LONGEST_RETURN
    while time.monotonic() < deadline:
        person.browsers[backend].get("/")
        if person.browsers[backend].answered_by == backend:
            return time.monotonic()
        time.sleep(0.05)
    return None


def _distrusted(person: Person, backend: str) -> float:
    browser = person.browsers[backend]
    browser.get("/metrics")
    name = f'tweeter_store_distrusted_total{{backend="{backend}"}} '
    return sum(float(line.removeprefix(name)) for line in browser.text.splitlines() if line.startswith(name))


@contextmanager
def serving(settings: dict[str, str], threads: int) -> Iterator[int]:
    """A site in a process of its own, on waitress; its port."""
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    process = context.Process(target=_serve, args=(settings, threads, theirs), daemon=True)
    process.start()
    try:
        if not ours.poll(60):
            raise RuntimeError("the site does not start")
        yield ours.recv()
    finally:
        process.terminate()
        process.join()


def _serve(settings: dict[str, Any], threads: int, pipe: Connection) -> None:
    logging.getLogger("waitress.queue").setLevel(logging.ERROR)  # it tells of each request that has to wait a moment
    app = tweeter.main({}, **merge(settings, {}, {}))
    server = create_server(app, host="127.0.0.1", port=0, threads=threads)
    pipe.send(server.effective_port)
    server.run()
