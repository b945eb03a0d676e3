"""Delivery of a tweet to the warm timelines of many followers, end to end, compared with the bare servers.

Follower ids come from SQL, every response is read, timelines that grow too long are trimmed, and one process sends to
one server. Compared with redis-benchmark with pipelined RPUSHX, with the talk's way (redis-py pipelines of ZADD and a
trim), and for memcached with a bare socket that appends the same ids. All contenders' timelines have the same size.
"""

import argparse
import random
import statistics
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, NamedTuple

from pyramid.registry import Registry

from tweeter.bench.figures import Figures, Ratio, rotate
from tweeter.bench.given import clean_redis, memcached_socket, redis_client
from tweeter.bench.machinery import PATIENT, by_hand, machinery
from tweeter.bench.rivals import PIPELINES, bare_memcached, redis_benchmark, the_talk
from tweeter.bench.rows import bulk_rows
from tweeter.bench.scratch import Scratch
from tweeter.bench.sender import Sender, sender
from tweeter.bench.warm import AT_ONCE, MemcachedValue, RedisKey, shuffled
from tweeter.console.commands import CommandError, count
from tweeter.ids import generate_id
from tweeter.interfaces import ITimelines
from tweeter.services.actions import acting
from tweeter.values import Cursor, Timeline, TweetCreated

SMALL, SMALL_LEAST = 100_000, 1 / 1.5  # followers; here the reads from SQL before and after the writes matter, too
CHECKED = 100  # timelines checked after each delivery
MIB = 2**20

OURS, BENCHMARK, TALK = "tweeter, redis", "redis-benchmark", "the talk: ZADD and trim"
OURS_MEMCACHED, BARE = "tweeter, memcached", "a bare socket, memcached"


class _Site(NamedTuple):
    author: int
    followers: range
    shuffled: list[int]  # the order in which timelines are created


def add_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--followers", type=count, default=100_000, metavar="N", help="of the author (default 100000)")
    parser.add_argument("--entries", type=count, default=100, metavar="N", help="ids in each timeline (default 100)")
    parser.add_argument("--runs", type=count, default=9, metavar="N", help="of each contender, in turns (default 9)")
    parser.add_argument("--backend", choices=("redis", "memcached"), help="only this one (default both)")
    parser.add_argument("--seed", type=int, default=1, help="of the order in which timelines are made")


def run(scratch: Scratch, args: argparse.Namespace) -> Figures:
    figures = Figures(
        f"Delivery of a tweet to {args.followers:,} warm timelines of {args.entries:,} ids", "timelines a second"
    )
    with scratch.machinery("sql") as registry:
        site = _fill(scratch, registry, args)
    if args.backend != "memcached":
        _redis(scratch, site, args, figures)
    if args.backend != "redis":
        _memcached(scratch, site, args, figures)
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
    with machinery(settings) as registry, redis_client(scratch.redis) as client:
        [name] = client.scan_iter(match=f"{scratch.prefix}*{_read(registry, site)}", count=AT_ONCE)
        timeline = RedisKey(client, name)
        ids = [generate_id() for _ in range(args.entries)]
        client.rpush(f"{scratch.prefix}list", *ids)
        client.zadd(f"{scratch.prefix}set", {str(id_): id_ for id_ in ids})
        plain, ordered = (RedisKey(client, f"{scratch.prefix}{kind}".encode()) for kind in ("list", "set"))

        def ours() -> float:
            clean_redis(scratch.redis, scratch.prefix)
            timeline.copy(timeline.stem, site.shuffled)
            return len(numbers) / deliveries.run()

        def benchmark() -> float:
            clean_redis(scratch.redis, scratch.prefix)
            plain.copy(stem.encode(), numbers, digits=12)
            return max(redis_benchmark(scratch.redis, stem, len(numbers), generate_id(), p) for p in PIPELINES)

        def talk() -> float:
            clean_redis(scratch.redis, scratch.prefix)
            ordered.copy(stem.encode(), site.shuffled)
            capacity = settings["tweeter.capacity"]
            return len(numbers) / the_talk(client, stem, site.followers, generate_id(), capacity)

        with _deliveries(registry, site, settings) as deliveries:
            contenders = {OURS: ours, BENCHMARK: benchmark, TALK: talk}
            figures.add(rotate(scratch.progress, contenders, args.runs, "Redis"))
    figures.compare(
        "delivery to redis / redis-benchmark, best of -P 100 and -P 500", OURS, BENCHMARK,
        least=SMALL_LEAST if args.followers < SMALL else 0.9,
    )  # fmt: skip
    figures.compare("delivery to redis / the talk's way", OURS, TALK, least=8)
    figures.ratios += deliveries.memory()
    figures.notes.append(deliveries.processor())


def _memcached(scratch: Scratch, site: _Site, args: argparse.Namespace, figures: Figures) -> None:
    server = scratch.memcached.replace(",", " ").split()[0]
    settings = scratch.settings("memcached", **PATIENT) | {"tweeter.memcached.servers": server}
    with machinery(settings) as registry, memcached_socket(server) as connection:
        timeline = MemcachedValue(connection, scratch.prefix, _read(registry, site))

        def ours() -> float:
            timeline.copy(site.shuffled)
            return len(site.followers) / deliveries.run()

        def bare() -> float:
            timeline.copy(site.shuffled)
            return len(site.followers) / bare_memcached(connection, timeline.stem, site.followers, generate_id())

        with _deliveries(registry, site, settings) as deliveries:
            figures.add(rotate(scratch.progress, {OURS_MEMCACHED: ours, BARE: bare}, args.runs, "memcached"))
    figures.compare("delivery to memcached / a bare socket", OURS_MEMCACHED, BARE, least=0.5)
    figures.ratios += deliveries.memory()
    figures.notes.append(deliveries.processor())


def _read(registry: Registry, site: _Site) -> str:
    """Backfills the first follower's timeline, which is copied for the others. Returns its key."""
    timeline = Timeline("home", site.followers[0])
    by_hand(registry).page(timeline, Cursor(limit=1))
    return timeline.key


class _Deliveries:
    """Tweets of the author, delivered by another process."""

    def __init__(self, registry: Registry, site: _Site, process: Sender) -> None:
        self._registry = registry
        self._site = site
        self._process = process
        self._timelines = registry.getUtility(ITimelines)
        self._grown: list[int] = []
        self._computed: list[float] = []

    def run(self) -> float:
        """Posts, has the tweet delivered, and checks timelines. Returns the seconds of the delivery."""
        event = _post(self._registry, self._site.author)
        delivered = self._process.deliver(event)
        self._computed.append(delivered.computed)
        if delivered.grown is not None:
            self._grown.append(delivered.grown)
        followers = self._site.followers
        for follower in random.sample(followers, min(CHECKED, len(followers))):
            found = self._timelines.peek(Timeline("home", follower))
            if found is None or found.ids[0] != event.tweet_id:
                raise CommandError(f"{self._timelines.name}: the tweet did not come to the timeline of {follower}.")
        return delivered.seconds

    def processor(self) -> str:
        micros = statistics.median(self._computed) / len(self._site.followers) * 1e6
        return f"The process that delivers to {self._timelines.name} computes for {micros:.2f} µs a timeline."

    def memory(self) -> list[Ratio]:
        """The maximal growth of the sender's memory during a delivery; empty on systems without that information."""
        name = f"growth of the process that delivers to {self._timelines.name}"
        return [Ratio(name, max(self._grown) / MIB, most=50, unit="MiB")] if self._grown else []


@contextmanager
def _deliveries(registry: Registry, site: _Site, settings: Mapping[str, Any]) -> Iterator[_Deliveries]:
    nobody_follows = site.followers[-1]
    with sender(settings, _post(registry, nobody_follows)) as process:
        yield _Deliveries(registry, site, process)


def _post(registry: Registry, author: int) -> TweetCreated:
    with acting(registry) as actions:
        return TweetCreated(actions.post(author, "Hello, everybody!").id, author)
