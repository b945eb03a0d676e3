"""Offers growing rates to each backend, in turns, until its knee; and checks the pages that were shown under load."""

import random
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import closing

from pyramid.config import global_registries

from tweeter.bench import cpu
from tweeter.bench.audience import Audience, Fleet, fleets, make_audience
from tweeter.bench.browser import TWEET
from tweeter.bench.children import Child
from tweeter.bench.figures import machine, percentile, rotated
from tweeter.bench.latency import Climbing
from tweeter.bench.offered import Kept, Offer, arrivals, ceiling, gather, offer
from tweeter.bench.schema import Latency, Offered
from tweeter.bench.scratch import Scratch
from tweeter.ids import first_id_of_ms
from tweeter.interfaces import IDelivery
from tweeter.metrics import fallbacks
from tweeter.values import Cursor, Timeline

ACHIEVED = 0.95  # of the offered rate
# A page lags at most a second behind the commits; and a tweet's id is from the beginning of its transaction.
GRACE = 2.0  # seconds
PATIENCE = 60.0  # seconds, for a delivery
MOST = 100  # tweets on the page of SQL with which a page of 20 is compared
SITE, GENERATOR, MACHINE = "site", "generator", "machine"


def climb(scratch: Scratch, ini: str, backends: Sequence[str], asked: Climbing, seed: int) -> Latency:
    """Measures all mixes on all backends."""
    with closing(Child()) as generator:
        scratch.progress.phase("The load generator alone", None)
        most = ceiling(generator, min(0.5, asked.seconds))
        audience = make_audience(scratch, ini, asked.people, asked.tweets_each, asked.readers, seed)
        points: list[Offered] = []
        for processes in dict.fromkeys(processes for processes, _ in asked.mixes):
            with fleets(scratch, ini, audience, backends, processes) as every:
                for posts in (posts for number, posts in asked.mixes if number == processes):
                    points += _Mix(scratch, audience, generator, asked, processes, posts, seed).climb(every)
        scratch.drop(audience.url)
    return Latency(points, audience.data(), asked.limit, most, asked.seconds, machine()["cpus"])


class _Mix:
    """One mix of requests to one number of processes."""

    def __init__(
        self, scratch: Scratch, audience: Audience, generator: Child, asked: Climbing, processes: int, posts: int,
        seed: int,
    ) -> None:  # fmt: skip
        self._scratch = scratch
        self._audience = audience
        self._generator = generator
        self._asked = asked
        self._processes = processes
        self._posts = posts
        self._seed = seed

    def climb(self, every: Sequence[Fleet]) -> list[Offered]:
        """All rates up to the first that a backend does not hold."""
        points = []
        left, rate = list(every), self._asked.first
        servers = f"{self._processes} process{'' if self._processes == 1 else 'es'}"
        for turn in range(self._asked.most):
            if not left:
                break
            self._scratch.progress.phase(f"{servers}, {self._posts} % posts, {rate:,.0f} requests/s", len(left))
            for fleet in rotated(left, turn):
                point = self._step(fleet, rate)
                if not point.held and (again := self._step(fleet, rate)).held:
                    point = again
                points.append(point)
                if not point.held:
                    left.remove(fleet)
                self._scratch.progress.advance(1)
            rate *= self._asked.factor
        return points

    def _step(self, fleet: Fleet, rate: float) -> Offered:
        """One rate, offered to one backend."""
        asked, audience = self._asked, self._audience
        due = arrivals(rate, asked.seconds, f"{self._seed} {self._posts} {rate}")
        chance = random.Random(f"{self._seed} {self._posts} {rate} readers")  # noqa: S311 (no secret)
        # Homes come first in the list of requests, then posts.
        which = [
            chance.randrange(len(audience.users)) + len(audience.users) * (chance.random() * 100 < self._posts)
            for _ in due
        ]
        components = self._components(fleet)
        reasons, before = _reasons(fleet), {name: used() for name, used in components.items()}
        offered = Offer([site.address for site in fleet.sites], [*audience.homes, *audience.posts], due, which)
        found = gather(len(due), self._generator.each(offer, offered))
        used = cpu.difference(before, {name: used() for name, used in components.items()})
        others = max(0.0, used.pop(MACHINE) - sum(used.values()))
        for site in fleet.sites:
            site.child.call(_drain)
        verdicts = (_right(fleet, audience, page) for page in found.kept)
        checked = [verdict for verdict in verdicts if verdict is not None]
        achieved = len(found.latencies) / max(asked.seconds, found.seconds)
        p50, p95, p99 = (percentile(found.latencies or [found.seconds], percent) for percent in (50, 95, 99))
        return Offered(
            backend=fleet.backend,
            processes=self._processes,
            posts=self._posts,
            offered=round(rate, 1),
            achieved=round(achieved, 1),
            count=found.asked,
            p50=p50, p95=p95, p99=p99,
            errors=found.errors,
            held=not found.errors and p99 <= asked.limit and achieved >= ACHIEVED * found.asked / asked.seconds,
            lag=found.lag,
            late=found.late,
            cpu={name: round(1000 * seconds / found.asked, 3) for name, seconds in used.items()},
            others=round(1000 * others / found.asked, 3),
            checked=len(checked),
            differed=checked.count(False),
            fallbacks=dict(_reasons(fleet) - reasons),
        )  # fmt: skip

    def _components(self, fleet: Fleet) -> dict[str, Callable[[], float]]:
        """The CPU seconds of everything that takes part. Stores of other backends are idle, and left out."""
        servers = cpu.of_servers(self._scratch.servers)
        stores = {name: used for name, used in servers.items() if name.lower() in ("postgresql", fleet.backend)}
        return {
            SITE: lambda: sum(cpu.of_process(site.child.pid) for site in fleet.sites),
            **stores,
            GENERATOR: lambda: cpu.of_process(self._generator.pid),
            MACHINE: cpu.of_the_machine,
        }


def _reasons(fleet: Fleet) -> "Counter[str]":
    """Why SQL served pages instead of the backend, up to now."""
    total: Counter[str] = Counter()
    for site in fleet.sites:
        total.update({reason: int(number) for reason, number in site.child.call(fallbacks, fleet.backend).items()})
    return total


def _drain() -> None:
    """In a site's process: waits until all events are delivered."""
    global_registries.last.getUtility(IDelivery).drain(PATIENCE)


def _right(fleet: Fleet, audience: Audience, page: Kept) -> bool | None:
    """Whether a page that was shown under load is SQL's, except for tweets that were not older than the grace then.

    The load has no follows and no deletions, so a page is a part of SQL's present one; no older tweet is missing from
    its middle. None if so many posts came later that it can't be compared.
    """
    home = Timeline("home", audience.users[page.which])
    present = [tweet.id for tweet in fleet.sql.page(home, Cursor(limit=MOST)).tweets]
    shown = [int(id_) for id_ in TWEET.findall(page.html)]
    if len(present) == MOST and (not shown or shown[-1] < present[-1]):
        return None
    last = shown[-1] if len(shown) >= Cursor().limit else 0
    old = first_id_of_ms(int((page.asked - GRACE) * 1000))
    missing = {id_ for id_ in present if last <= id_ < old} - set(shown)
    return not missing and shown == [id_ for id_ in present if id_ in set(shown)]
