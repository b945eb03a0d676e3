"""Outages of the store: the cost of pages and posts compared with sql, and the time until the store serves again.

Two real sites share a database; one runs on `sql`, the other on the backend, whose server is behind a proxy that
refuses, hangs, or alternates between that and working ("flapping"). Users with a browser each send requests to both
sites in turn, so both are measured under the same load. Afterwards every home page must equal that of sql.
"""

import argparse
import http.client
import random
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing
from dataclasses import dataclass
from typing import Literal

from tweeter import timelines
from tweeter.bench.browser import Address, Browser
from tweeter.bench.figures import Figures, percentile
from tweeter.bench.scratch import Scratch
from tweeter.bench.web import serving, site_app
from tweeter.console.commands import CommandError, count
from tweeter.devtools.proxy import Mode, Proxy
from tweeter.devtools.servers.expected import Expected, expected, moved
from tweeter.plugins import load, with_declared

Outage = Literal["refused", "hung", "flapping"]
OUTAGES: tuple[Outage, ...] = ("refused", "hung", "flapping")
OPTIONS = {"redis": "--redis redis://HOST:PORT/DB", "memcached": "--memcached HOST:PORT"}
BACKENDS = tuple(OPTIONS)
FLAPS = 0.2, 1.0  # seconds; each state lasts between these
POST_EVERY = 10  # requests of each user
PASSWORD = "for a benchmark"  # noqa: S105
TWEETS = 5  # of each user, before the outage
LONGEST_RETURN = 30.0  # seconds to wait for the store to serve again
PERCENT = 99  # the percentile that is reported
SLOWER = 3  # target: at most so many times sql's
RETURN = 10  # target: at most so many seconds


@dataclass(frozen=True)
class Result:
    """The cost of one outage. `pages` and `posts` are the seconds of each, by site: "sql" and the backend's name."""

    backend: str
    outage: Outage
    pages: dict[str, list[float]]
    posts: dict[str, list[float]]
    returned: float  # seconds from the end of the outage until the store served pages; LONGEST_RETURN if it did not
    right: bool  # afterwards every home page equalled SQL's
    failed: int  # requests with a wrong response
    circuit_opened: int  # how often the circuit opened, from /metrics


def add_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--seconds", type=float, default=20.0, metavar="S", help="seconds per outage (default 20)")
    parser.add_argument("--people", type=count, default=4, metavar="N", help="concurrent readers (default 4)")
    parser.add_argument("--runs", type=count, default=1, metavar="N", help="runs per outage, in turns (default 1)")
    parser.add_argument("--backend", choices=BACKENDS, help="only this backend (default: both)")
    parser.add_argument("--outage", choices=OUTAGES, help="only this outage (default: all)")
    parser.add_argument(
        "--seed", type=int, default=1, help="the seed of the order of requests and of the flapping (default 1)"
    )


def run(scratch: Scratch, args: argparse.Namespace) -> Figures:
    backends = (args.backend,) if args.backend else BACKENDS
    outages = (args.outage,) if args.outage else OUTAGES
    figures = Figures(f"Requests during outages of {args.seconds:g} seconds", f"ms, {PERCENT}th percentile")
    found: dict[tuple[str, Outage], list[Result]] = {(b, outage): [] for b in backends for outage in outages}
    for backend in backends:
        scratch.settings(backend)  # starts its server: a missing one is reported before the first outage
    scratch.progress.phase("Outages", args.runs * len(found))
    for number in range(args.runs):
        for (backend, outage), results in found.items():
            sizes = {"people": args.people, "seconds": args.seconds, "seed": args.seed + number}
            results.append(measure(scratch, args.ini, backend, outage, **sizes))
            if not results[-1].right:
                raise CommandError(f"{backend} shows other tweets than sql does after an outage ({outage}).")
            scratch.progress.advance(1)
    for results in found.values():
        _tell(figures, results)
    return figures


def _tell(figures: Figures, results: Sequence[Result]) -> None:
    """Adds the figures of all runs of one outage."""
    backend = results[0].backend
    name = f"{backend} {results[0].outage}"
    for kind in ("pages", "posts"):
        ours, sqls = (f"{name}: {kind} of {site}" for site in (backend, "sql"))
        for contender, site in ((ours, backend), (sqls, "sql")):
            figures.add({contender: [percentile(getattr(result, kind)[site], PERCENT) * 1000 for result in results]})
        # When the store hangs, a post waits for one timeout, once per thread. The share of such posts depends on their
        # number, so only pages have a target.
        figures.compare(f"{name}: {kind} / those of sql", ours, sqls, most=SLOWER if kind == "pages" else None)
    figures.claim(f"{name}: return", max(result.returned for result in results), most=RETURN, unit="s")
    figures.claim(f"{name}: requests that failed", sum(result.failed for result in results), most=0)
    figures.notes.append(
        f"{name}: {sum(len(result.pages[backend]) for result in results):,} pages and"
        f" {sum(len(result.posts[backend]) for result in results):,} posts of each site;"
        f" times that the circuit opened: {sum(result.circuit_opened for result in results):,}."
    )


def measure(
    scratch: Scratch, ini: str, backend: str, outage: Outage, *, people: int = 4, seconds: float = 20.0, seed: int = 1
) -> Result:
    """Measures an outage of so many seconds."""
    with ExitStack() as stack:
        server = _server(scratch, backend)
        proxy = stack.enter_context(closing(Proxy(server.host, server.port)))
        sites = {}
        for name in ("sql", backend):
            settings = scratch.settings(name, **{"tweeter.metrics": "127.0.0.1", "tweeter.secure_cookies": False})
            settings |= moved(settings, proxy.host, proxy.port)
            sites[name] = stack.enter_context(serving(scratch, ini, name, site_app, settings)).address
        persons = [stack.enter_context(closing(Person(sites, number))) for number in range(people)]
        for person in persons:
            person.settle(persons)
        if _wait(persons[0], backend) is None:
            raise CommandError(f"The site does not serve pages from {backend}.")
        before = _circuit_opened(persons[0], backend)
        _live(persons, proxy, outage, seconds, random.Random(seed))  # noqa: S311
        proxy.become("pass")
        ended = time.monotonic()
        back = _wait(persons[0], backend)
        return Result(
            backend,
            outage,
            {name: [s for person in persons for s in person.pages[name]] for name in sites},
            {name: [s for person in persons for s in person.posts[name]] for name in sites},
            LONGEST_RETURN if back is None else back - ended,
            all(person.shown("sql") == person.shown(backend) for person in persons),
            sum(person.failed for person in persons),
            int(_circuit_opened(persons[0], backend) - before),
        )


class Person:
    """A user who is signed in on both sites, and the durations of their requests."""

    def __init__(self, sites: dict[str, Address], number: int) -> None:
        self.name = f"person{number}_{time.time_ns() // 1_000_000:x}"
        self.browsers = {name: Browser(address) for name, address in sites.items()}
        self.pages: dict[str, list[float]] = {name: [] for name in sites}
        self.posts: dict[str, list[float]] = {name: [] for name in sites}
        self.failed = 0

    def settle(self, others: Sequence["Person"]) -> None:
        """Signs up, follows the earlier users, and posts. Raises CommandError on failure."""
        first, *rest = self.browsers.values()
        first.sign_in(self.name, PASSWORD, "/signup")
        for browser in rest:
            browser.sign_in(self.name, PASSWORD)
        answers = [first.send(f"/@{other.name}/follow") for other in others[: others.index(self)]]
        answers += [first.send("/tweets", message=f"number {n} of {self.name}") for n in range(TWEETS)]
        if wrong := {answer.status for answer in answers} - {http.client.SEE_OTHER}:
            raise CommandError(f"{self.name} can't follow and post: {wrong}")

    def live(self, until: float, chance: random.Random) -> None:
        """Requests the home page of both sites in turn, and posts now and then."""
        number = 0
        while time.monotonic() < until:
            number += 1
            # In random order: a post on one site causes a delivery for both.
            for name in chance.sample(sorted(self.browsers), len(self.browsers)):
                browser = self.browsers[name]
                posting = number % POST_EVERY == 1  # so that a short run has one, too
                began = time.perf_counter()
                answer = browser.send("/tweets", message=f"{number} on {name}") if posting else browser.get("/")
                (self.posts if posting else self.pages)[name].append(time.perf_counter() - began)
                self.failed += answer.status != (http.client.SEE_OTHER if posting else http.client.OK)

    def close(self) -> None:
        for browser in self.browsers.values():
            browser.close()

    def shown(self, name: str) -> list[int]:
        return self.browsers[name].get("/").tweets


def _live(persons: Sequence[Person], proxy: Proxy, outage: Outage, seconds: float, chance: random.Random) -> None:
    until = time.monotonic() + seconds
    with ThreadPoolExecutor(len(persons)) as pool:
        living = [pool.submit(each.live, until, random.Random(chance.random())) for each in persons]  # noqa: S311
        _break(proxy, outage, until, chance)
    for each in living:
        each.result()


def _break(proxy: Proxy, outage: Outage, until: float, chance: random.Random) -> None:
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


def _wait(person: Person, backend: str) -> float | None:
    """The moment (monotonic) at which the store serves pages again; None if it never does."""
    deadline = time.monotonic() + LONGEST_RETURN
    while time.monotonic() < deadline:
        if person.browsers[backend].get("/").served_by == backend:
            return time.monotonic()
        time.sleep(0.05)
    return None


def _circuit_opened(person: Person, backend: str) -> float:
    lines = person.browsers[backend].get("/metrics").text.splitlines()
    name = f'tweeter_circuit_opened_total{{backend="{backend}"}} '
    return sum(float(line.removeprefix(name)) for line in lines if line.startswith(name))


def _server(scratch: Scratch, backend: str) -> Expected:
    """The backend's server. Raises CommandError for user-provided servers that a proxy cannot front."""
    module = load("--backend", backend, timelines.BACKENDS)
    server = expected(module.__name__, with_declared(scratch.settings(backend), module))
    if server is None:
        raise CommandError(f"Outages are measured with one {backend} server: {OPTIONS[backend]}.")
    return server
