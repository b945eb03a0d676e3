"""Delivery of a tweet to the warm timelines of many followers, end to end, compared with the bare servers.

Follower ids come from SQL, every response is read, timelines that grow too long are trimmed, and one process sends to
one server. Compared with redis-benchmark with pipelined RPUSHX, with the talk's way (redis-py pipelines of ZADD and a
trim), and for memcached with a bare socket that appends the same ids. On PostgreSQL the backend `table` is measured
with unlogged and with logged tables. All contenders' timelines have the same size. Above a million followers the talk's
way is measured with 200,000 of them, and its seconds until the last follower are extrapolated.
"""

import argparse
import random
import statistics
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, closing, contextmanager
from typing import Any, NamedTuple

from pyramid.registry import Registry
from sqlalchemy import text

from tweeter.bench.children import Child
from tweeter.bench.figures import Figures, rotate
from tweeter.bench.given import clean_redis, memcached_client, redis_client
from tweeter.bench.machinery import PATIENT, by_hand, engine_at, machinery, post
from tweeter.bench.posting import Delivered, begin_by_hand, deliver
from tweeter.bench.rivals import PIPELINES, bare_memcached, redis_benchmark, the_talk
from tweeter.bench.scratch import Scratch
from tweeter.bench.warm import AT_ONCE, MemcachedValue, RedisKey, copy_rows, shuffled
from tweeter.bulk.rows import bulk_rows
from tweeter.console.commands import CommandError, count
from tweeter.ids import generate_id
from tweeter.interfaces import ITimelines
from tweeter.values import Cursor, Timeline, TweetCreated

SMALL, SMALL_LEAST = 100_000, 1 / 1.5  # followers; here the reads from SQL before and after the writes matter, too
TALK_MOST, TALK_SOME = 1_000_000, 200_000  # followers: the talk's rate for more is that for some, in favour of the talk
CHECKED = 100  # timelines checked after each delivery
MIB = 2**20
# As on a site: otherwise PostgreSQL's log costs hardly anything.
DURABLE = {"fsync": "on", "full_page_writes": "on", "synchronous_commit": "on"}
TABLES = ("timeline_runs", "timelines", "timeline_entries")

OURS, BENCHMARK, TALK = "tweeter, redis", "redis-benchmark", "the talk: ZADD and trim"
OURS_TABLE, LOGGED = "tweeter, table", "tweeter, table, logged"
OURS_MEMCACHED, BARE = "tweeter, memcached", "a bare socket, memcached"


class _Site(NamedTuple):
    author: int
    followers: range
    shuffled: list[int]  # the order in which timelines are created


def add_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--followers", type=count, default=100_000, metavar="N", help="followers of the author (default 100000)"
    )
    parser.add_argument("--entries", type=count, default=100, metavar="N", help="ids per timeline (default 100)")
    parser.add_argument("--runs", type=count, default=9, metavar="N", help="runs per contender, in turns (default 9)")
    parser.add_argument("--backend", choices=BACKENDS, help="only this backend (default: all)")
    parser.add_argument("--seed", type=int, default=1, help="the seed of the order of the timelines (default 1)")


def run(scratch: Scratch, args: argparse.Namespace) -> Figures:
    figures = Figures(
        f"Delivery of a tweet to {args.followers:,} warm timelines of {args.entries:,} ids", "timelines a second"
    )
    scratch.postgresql_options |= DURABLE
    with scratch.machinery("sql") as registry:
        site = _fill(scratch, registry, args)
    for backend, measure in BACKENDS.items():
        if args.backend in (None, backend):
            measure(scratch, site, args, figures)
    return figures


def _fill(scratch: Scratch, registry: Registry, args: argparse.Namespace) -> _Site:
    with bulk_rows(registry.database.engine, scratch.progress) as rows:
        author, *_ = people = rows.people(args.followers + 1)
        followers = people[1:]
        rows.follows(((follower, author) for follower in followers), len(followers))
        rows.tweets(((generate_id(), author, "Of everyday size.") for _ in range(args.entries)), args.entries)
    return _Site(author, followers, shuffled(followers, args.seed))


def _redis(scratch: Scratch, site: _Site, args: argparse.Namespace, figures: Figures) -> None:
    settings = scratch.settings("redis", **PATIENT)
    stem = f"{scratch.prefix}key:"
    numbers = shuffled(range(len(site.followers)), args.seed)
    some = site.followers if len(site.followers) <= TALK_MOST else site.followers[:TALK_SOME]
    with _deliveries(site, settings, figures) as (deliveries, key), redis_client(scratch.redis) as client:
        [name] = client.scan_iter(match=f"{scratch.prefix}*{key}", count=AT_ONCE)
        timeline = RedisKey(client, name)
        ids = [generate_id() for _ in range(args.entries)]
        client.rpush(f"{scratch.prefix}list", *ids)
        client.zadd(f"{scratch.prefix}set", {str(id_): id_ for id_ in ids})
        plain, ordered = (RedisKey(client, f"{scratch.prefix}{kind}".encode()) for kind in ("list", "set"))

        def ours() -> float:
            clean_redis(scratch.redis, scratch.prefix)
            timeline.copy(timeline.stem, site.shuffled)
            return deliveries.rate()

        def benchmark() -> float:
            clean_redis(scratch.redis, scratch.prefix)
            plain.copy(stem.encode(), numbers, digits=12)
            return max(redis_benchmark(scratch.redis, stem, len(numbers), generate_id(), p) for p in PIPELINES)

        def talk() -> float:
            clean_redis(scratch.redis, scratch.prefix)
            ordered.copy(stem.encode(), [number for number in site.shuffled if number in some])
            capacity = settings["tweeter.capacity"]
            return len(some) / the_talk(client, stem, some, generate_id(), capacity)

        contenders = {OURS: ours, BENCHMARK: benchmark, TALK: talk}
        figures.add(rotate(scratch.progress, contenders, args.runs, "Redis"))
        figures.compare(
            "delivery to redis / redis-benchmark, best of -P 100 and -P 500", OURS, BENCHMARK,
            least=SMALL_LEAST if args.followers < SMALL else 0.9,
        )  # fmt: skip
        figures.compare("delivery to redis / the talk's way", OURS, TALK, least=8)
        for contender in contenders:
            rate = statistics.median(figures.runs[contender])
            figures.claim(f"{contender}: until the last follower", len(site.followers) / rate, unit="s")


def _memcached(scratch: Scratch, site: _Site, args: argparse.Namespace, figures: Figures) -> None:
    server = scratch.memcached.replace(",", " ").split()[0]
    settings = scratch.settings("memcached", **PATIENT) | {"tweeter.memcached.servers": server}
    with _deliveries(site, settings, figures) as (deliveries, key), memcached_client(server) as client:
        timeline = MemcachedValue(client, deliveries.store.name_of(key))

        def ours() -> float:
            timeline.copy(site.shuffled)
            return deliveries.rate()

        def bare() -> float:
            timeline.copy(site.shuffled)
            return len(site.followers) / bare_memcached(client.sock, timeline.stem, site.followers, generate_id())

        figures.add(rotate(scratch.progress, {OURS_MEMCACHED: ours, BARE: bare}, args.runs, "memcached"))
        figures.compare("delivery to memcached / a bare socket", OURS_MEMCACHED, BARE, least=0.5)


def _table(scratch: Scratch, site: _Site, args: argparse.Namespace, figures: Figures) -> None:
    with ExitStack() as stack:
        urls = {OURS_TABLE: scratch.database}
        if urls[OURS_TABLE].startswith("postgresql") and not scratch.given_database:
            urls[LOGGED] = stack.enter_context(scratch.copy(scratch.database))
            with engine_at(urls[LOGGED]) as engine, engine.begin() as connection:
                for table in TABLES:
                    connection.execute(text(f"ALTER TABLE {table} SET LOGGED"))
        contenders = {}
        for name, url in urls.items():
            settings = scratch.settings("table", **PATIENT) | {"sqlalchemy.url": url}
            deliveries, _ = stack.enter_context(_deliveries(site, settings, figures, name))
            scratch.progress.phase(f"Timelines of {name}", None)
            with engine_at(url) as engine:
                copy_rows(engine, "home", site.followers[0], site.shuffled)
            contenders[name] = deliveries.rate
        figures.add(rotate(scratch.progress, contenders, args.runs, "Table"))
        if LOGGED in contenders:
            figures.compare("delivery to unlogged / to logged tables", OURS_TABLE, LOGGED)


BACKENDS = {"redis": _redis, "memcached": _memcached, "table": _table}


class _Deliveries:
    """Tweets of the author, delivered by another process."""

    def __init__(self, registry: Registry, site: _Site, process: Child, name: str) -> None:
        self._registry = registry
        self._name = name
        self._site = site
        self._process = process
        self._timelines = registry.getUtility(ITimelines)
        self._delivered: list[Delivered] = []
        # A tweet that does not exist: imports modules and opens connections.
        process.call(deliver, TweetCreated(post(registry, site.followers[-1]), site.followers[-1]))

    @property
    def store(self) -> Any:
        return self._timelines.store

    def rate(self) -> float:
        """Posts, has the tweet delivered, and checks timelines. Returns the timelines per second."""
        followers = self._site.followers
        event = TweetCreated(post(self._registry, self._site.author), self._site.author)
        self._delivered.append(self._process.call(deliver, event))
        for follower in random.sample(followers, min(CHECKED, len(followers))):
            found = self._timelines.peek(Timeline("home", follower))
            if found is None or found.ids[0] != event.tweet_id:
                raise CommandError(f"{self._timelines.name}: the tweet is missing from the timeline of {follower}.")
        return len(followers) / self._delivered[-1].seconds

    def tell(self, figures: Figures) -> None:
        """The time of the process, and the maximal growth of its memory in a delivery, where the system tells it."""
        process = f"process that delivers to {self._name or self._timelines.name}"
        if grown := [each.grown for each in self._delivered if each.grown is not None]:
            figures.claim(f"growth of the {process}", max(grown) / MIB, most=50, unit="MiB")
        micros = statistics.median(each.computed for each in self._delivered) / len(self._site.followers) * 1e6
        figures.notes.append(f"The {process} uses {micros:.2f} µs of CPU time per timeline.")


@contextmanager
def _deliveries(
    site: _Site, settings: Mapping[str, Any], figures: Figures, name: str = ""
) -> Iterator[tuple[_Deliveries, str]]:
    """Another process that delivers, and the key of the first follower's timeline, to be copied for the others."""
    first = Timeline("home", site.followers[0])
    with machinery(settings) as registry, closing(Child()) as process:
        by_hand(registry).page(first, Cursor(limit=1))
        process.call(begin_by_hand, settings)
        deliveries = _Deliveries(registry, site, process, name)
        yield deliveries, first.key
        deliveries.tell(figures)
