"""What a site of so many users needs, and which part of each design is full first."""

import math
from collections.abc import Mapping
from typing import NamedTuple

from tweeter.bench.graphs import EXPONENT
from tweeter.bench.model.fits import GENERATOR, Use, ends, fitted, latency_of, medians, stream
from tweeter.bench.model.simulation import SITE
from tweeter.bench.schema import Result

DAY = 86_400  # seconds
SQL, TABLE, MEMORY, REDIS, HYBRID = "sql", "table", "memory", "redis", "hybrid"
DATABASE = "PostgreSQL"
MEASURED = 800  # ids in the timelines whose size is known
COMMAND = 100  # bytes that deliver an id to a timeline, as RPUSHX with its key
PAGE = 20  # tweets


class Assumptions(NamedTuple):
    """A site's people and machines: the options of the command, which explain them (`command`)."""

    active: float
    pages: float
    posts: float
    peak: float
    followers: float
    capacity: float
    replicas: float
    load: float
    cpus: float
    gigabytes: float
    celebrity: float
    threshold: float
    tweet: float
    page: float
    events: float
    follow: float


class Rates(NamedTuple):
    """Per second at the peak."""

    pages: float
    posts: float
    deliveries: float


class Design(NamedTuple):
    """CPU seconds of each component, seconds of a relay for each delivery, bytes of a timeline."""

    name: str
    site: Use
    sql: Use
    store: Use
    delivery: float
    timeline: float
    pushed: float = 1.0  # the share of deliveries that are made

    @property
    def materialized(self) -> bool:
        return self.delivery > 0

    def rates(self, users: float, given: Assumptions) -> Rates:
        active = users * given.active * given.peak / DAY
        posts = active * given.posts
        warm = posts * given.followers * given.active * self.pushed if self.materialized else 0.0
        return Rates(active * given.pages, posts, warm)


class Needs(NamedTuple):
    """CPUs, relays, bytes, bytes per second; and seconds until the celebrity's last follower has the post."""

    site: float
    sql: float
    store: float
    relays: float
    memory: float
    follows: float
    inside: float
    outside: float
    one_relay: float
    all_relays: float


def designs(
    result: Result, deliveries: Mapping[int, float], sizes: Mapping[str, float], given: Assumptions
) -> list[Design]:
    """The design of each backend that the report has, and the hybrid of redis."""
    latency, found = latency_of(result), []
    nothing = Use(0.0, 0.0, 0.0)
    for backend in result.backends:
        uses = fitted(latency, backend)
        if not uses:
            continue
        sql = uses.get(DATABASE, nothing)
        store = next((use for name, use in uses.items() if name not in (SITE, DATABASE, GENERATOR)), nothing)
        if backend == SQL and len(pages := medians(result, "followees", SQL, "home")) > 1:
            further = ends(pages).each * (given.followers - latency.audience["mean"])
            sql = sql._replace(page=max(0.0, sql.page + further))
        delivery = 0.0 if backend == SQL else per_delivery(result, backend, deliveries)
        timeline = 0.0 if backend == SQL else sizes.get(backend, 0.0) * given.capacity / MEASURED
        found.append(Design(backend, uses[SITE], sql, store, delivery, timeline))
        if backend == REDIS:
            # A page reads a second list, of the celebrities' tweets.
            twice = store._replace(page=2 * store.page)
            found.append(Design(HYBRID, uses[SITE], sql, twice, delivery, timeline, pushed(given)))
    return found


def per_delivery(result: Result, backend: str, deliveries: Mapping[int, float]) -> float:
    """Seconds of one relay for each follower: of the largest measured delivery."""
    if backend == REDIS and deliveries:
        return 1 / deliveries[max(deliveries)]
    points = medians(result, "followers", backend, "delivered")
    return max(stream(points).each, 1e-9) if len(points) > 1 else 1e-9


def pushed(given: Assumptions) -> float:
    """The share of deliveries that are due to authors below the threshold, by the power law of followers."""
    least = given.followers * (EXPONENT - 2) / (EXPONENT - 1)
    return 1 - (max(given.threshold, least) / least) ** -(EXPONENT - 2)


def limits(design: Design, given: Assumptions) -> dict[str, float]:
    """The number of users at which one of each part is full."""
    used, size = needs(design, 1, given), given.active * design.timeline
    parts = {
        "SQL's primary": used.sql / given.cpus,
        "its writes": design.rates(1, given).posts * design.sql.post / given.load / given.cpus,
        "one relay": used.relays,
    }
    if design.name == MEMORY:  # a machine has a process for each CPU, and each has all timelines
        parts["one process's memory"] = size / (given.gigabytes * 1e9 / given.cpus)
    elif design.name != TABLE:
        parts["one server's memory"] = size / (given.gigabytes * 1e9)
    if design.name in (REDIS, HYBRID):  # a server has one thread
        parts["one server's CPU"] = used.store
    return {name: 1 / share for name, share in parts.items() if share}


def needs(design: Design, users: float, given: Assumptions) -> Needs:
    """What so many users need."""
    pages, posts, delivered = design.rates(users, given)
    site, sql, store = (pages * use.page + posts * use.post for use in (design.site, design.sql, design.store))
    relay, copies = delivered * design.delivery, given.replicas
    busy = relay + (posts / given.events if design.materialized else 0.0)
    # A server is busy for as long as the relay that writes to it.
    if design.name == TABLE:
        sql += relay
    elif design.name == MEMORY:  # each process has all timelines, and a relay of its own
        copies = max(1, math.ceil(site / given.load))
        site += busy * copies
    else:
        store += relay
    relays = busy / given.load
    followers = min(given.celebrity, given.threshold) if design.name == HYBRID else given.celebrity
    return Needs(
        site / given.load,
        sql / given.load,
        store / given.load,
        relays,
        users * given.active * design.timeline * copies,
        users * given.followers * given.follow,
        (pages * PAGE * given.tweet + delivered * COMMAND) if design.materialized else 0.0,
        pages * given.page,
        followers * design.delivery,
        followers * design.delivery / max(1, math.ceil(relays)),
    )


def machines(needed: Needs, given: Assumptions) -> int:
    """The machines for the site, for SQL and for the store: memory may need more of them than CPUs."""
    size = given.gigabytes * 1e9
    site, sql = needed.site / given.cpus, max(needed.sql / given.cpus, needed.follows / size)
    store = max(needed.store / given.cpus, needed.memory / size)
    return max(1, math.ceil(site)) + max(1, math.ceil(sql)) + math.ceil(store)
