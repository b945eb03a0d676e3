"""A simulation of a machine under load: requests arrive by chance, and queue for processes and CPUs.

A request passes the generator, the site, PostgreSQL, the store and the site again. Each part takes one CPU for its CPU
time. The site's part also needs its process, because Python runs one thread at a time. Requests wait in the order of
their arrival. There are no other delays, so the simulation shows at which rate a machine is full.
"""

import heapq
import random
from collections import deque
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from tweeter.bench.figures import percentile
from tweeter.bench.model.fits import GENERATOR, Use

SITE, CPUS = "site", "cpus"
ACHIEVED = 0.95  # of the offered rate


class Stage(NamedTuple):
    """A part of a request: it takes these resources, one after the other, works, and returns them."""

    seconds: float
    needs: tuple[str, ...]


class Outcome(NamedTuple):
    achieved: float  # requests per second
    p99: float


class Machine(NamedTuple):
    """A machine with a site of so many processes. `uses` has the CPU time of each component."""

    uses: Mapping[str, Use]
    cpus: int
    processes: int
    others: float = 0.0  # the share of the CPUs that other programs use

    def offer(self, rate: float, posts: float, seconds: float, number: int | None = None, seed: int = 1) -> Outcome:
        """Offers requests at this rate, of which `posts` percent are posts. `number` is how many, if it is known."""
        chance = random.Random(seed)  # noqa: S311 (no secret)
        due = sorted(chance.uniform(0, seconds) for _ in range(number or max(1, round(rate * seconds))))
        routes = [
            self._route(chance.random() * 100 < posts, f"{SITE} {turn % self.processes}") for turn in range(len(due))
        ]
        sizes = {CPUS: self.cpus} | {f"{SITE} {process}": 1 for process in range(self.processes)}
        ends = simulate(due, routes, sizes)
        latencies = [end - moment for moment, end in zip(due, ends, strict=True)]
        return Outcome(len(due) / max(seconds, *ends), percentile(latencies, 99))

    def knee(self, posts: float, seconds: float, limit: float) -> float:
        """The highest rate that is held: by the 99th percentile and by the achieved rate. To within 1 %."""
        request = {name: use.request(posts) for name, use in self.uses.items()}
        high = 2 * min(self.cpus / max(sum(request.values()), 1e-6), self.processes / max(request[SITE], 1e-6))
        low = 0.0
        while high - low > 0.01 * high:
            rate = (low + high) / 2
            found = self.offer(rate, posts, seconds)
            held = found.p99 <= limit and found.achieved >= ACHIEVED * round(rate * seconds) / seconds
            low, high = (rate, high) if held else (low, rate)
        return low

    def _route(self, post: bool, process: str) -> list[Stage]:
        """What one request does. Background work and other programs make each part slower."""
        background = sum(use.background for name, use in self.uses.items() if name != SITE)
        rest = max(0.05, 1 - self.others - background / self.cpus)
        seconds = {name: (use.post if post else use.page) / rest for name, use in self.uses.items()}
        half = seconds.get(SITE, 0) / max(0.05, 1 - self.uses[SITE].background) / 2
        servers = [Stage(value, (CPUS,)) for name, value in seconds.items() if name not in (SITE, GENERATOR)]
        site = Stage(half, (process, CPUS))
        return [Stage(seconds.get(GENERATOR, 0), (CPUS,)), site, *servers, site]


def simulate(due: Sequence[float], routes: Sequence[Sequence[Stage]], sizes: Mapping[str, int]) -> list[float]:
    """The moment at which each request is done. `sizes` has the number of each resource."""
    free = dict(sizes)
    waiting: dict[str, deque[int]] = {name: deque() for name in sizes}
    stage, taken, ends = [0] * len(due), [0] * len(due), [0.0] * len(due)
    events = [(moment, number) for number, moment in enumerate(due)]  # sorted, so it is a heap

    def go_on(number: int, now: float) -> None:
        """Takes the resources of the stage and works, or waits for one of them."""
        if stage[number] == len(routes[number]):
            ends[number] = now
            return
        seconds, needs = routes[number][stage[number]]
        while taken[number] < len(needs):
            name = needs[taken[number]]
            if not free[name]:
                waiting[name].append(number)
                return
            free[name] -= 1
            taken[number] += 1
        heapq.heappush(events, (now + seconds, number))

    while events:
        now, number = heapq.heappop(events)
        if taken[number]:
            resumed = []
            for name in reversed(routes[number][stage[number]].needs):
                if waiting[name]:
                    resumed.append(waiting[name].popleft())  # the resource passes on to it
                    taken[resumed[-1]] += 1
                else:
                    free[name] += 1
            stage[number] += 1
            taken[number] = 0
            for other in resumed:
                go_on(other, now)
        go_on(number, now)
    return ends
