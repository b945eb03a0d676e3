"""Memory of a home timeline in each store, warm and cold, compared with the talk's sorted set.

For the backend `table` it is the size of its tables and their indexes.
"""

import argparse
import gc
import tracemalloc
from collections.abc import Callable, Sequence
from typing import NamedTuple

from pyramid.registry import Registry
from sqlalchemy import Engine, text

from tweeter.batches import batched
from tweeter.bench.figures import Figures
from tweeter.bench.given import memcached_client, redis_client
from tweeter.bench.machinery import caught_up
from tweeter.bench.scratch import Scratch
from tweeter.bulk.rows import bulk_rows
from tweeter.console.commands import CommandError, count
from tweeter.ids import generate_id
from tweeter.interfaces import ITimelines
from tweeter.values import Cursor, Timeline, TweetCreated

KB = 1000
LARGEST = 9.0  # KB: target for 800 ids in Redis
TALK = 200  # sorted sets: they are so large that fewer suffice
TRACED = 300  # timelines in the process's memory; tracing memory is slow

Gauge = Callable[[], int]


class _Site(NamedTuple):
    """`tweets` of one author, whom the readers follow; another author is followed by users who never read."""

    tweets: list[int]
    readers: range
    absent: range
    latest: TweetCreated  # by the other author


def add_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--timelines", type=count, default=2000, metavar="N", help="timelines per backend (default 2000)"
    )
    parser.add_argument("--entries", type=count, default=800, metavar="N", help="ids per timeline (default 800)")


def run(scratch: Scratch, args: argparse.Namespace) -> Figures:
    if args.timelines < 2:
        raise CommandError("--timelines must be at least 2, to measure growth.")
    figures = Figures(f"Memory of a home timeline of {args.entries:,} ids", "KB a timeline")
    capacity = {"tweeter.capacity": args.entries}
    with scratch.machinery("redis", **capacity) as registry, redis_client(scratch.redis) as client:
        site = _fill(scratch, registry, args.timelines, args.entries)
        _measure(scratch, registry, site, figures, "redis", lambda: int(client.info("memory")["used_memory"]))
        [key] = client.scan_iter(match=f"{scratch.prefix}*home:{site.readers[0]}", count=100_000)
        figures.add({"redis, warm, by MEMORY USAGE": [(client.memory_usage(key, samples=0) or 0) / KB]})
        talk = [f"{scratch.prefix}talk:{reader}" for reader in site.readers[:TALK]]
        before = int(client.info("memory")["used_memory"])
        for name in talk:
            client.zadd(name, {str(id_): id_ for id_ in site.tweets})
        grown = int(client.info("memory")["used_memory"]) - before
        figures.add({"the talk's sorted set in redis": [grown / len(talk) / KB]})
    with scratch.machinery("memcached", **capacity) as registry:
        _measure(scratch, registry, site, figures, "memcached", lambda: _memcached_bytes(scratch.memcached))
    with scratch.machinery("table", **capacity) as registry:
        _measure(scratch, registry, site, figures, "table", lambda: _table_bytes(registry.database.engine))
    with scratch.machinery("memory", **capacity) as registry:
        tracemalloc.start()
        try:
            few = site._replace(readers=site.readers[:TRACED])
            _measure(scratch, registry, few, figures, "memory", _traced)
        finally:
            tracemalloc.stop()
    for name in ("redis, warm", "redis, warm, by MEMORY USAGE"):
        most = LARGEST * args.entries / 800
        figures.claim(name, figures.runs[name][0], most=most, unit="KB")
    figures.compare("the talk's sorted set / redis, warm", "the talk's sorted set in redis", "redis, warm")
    return figures


def _fill(scratch: Scratch, registry: Registry, timelines: int, entries: int) -> _Site:
    with bulk_rows(registry.database.engine, scratch.progress) as rows:
        people = rows.people(2 * timelines + 2)
        author, other, readers, absent = people[0], people[1], people[2 : timelines + 2], people[timelines + 2 :]
        rows.follows(((reader, author) for reader in readers), len(readers))
        rows.follows(((reader, other) for reader in absent), len(absent))
        tweets = [generate_id() for _ in range(entries)]
        latest = generate_id()
        rows.tweets([*((id_, author, "Of everyday size.") for id_ in tweets), (latest, other, "Hello?")], entries + 1)
    return _Site(tweets, readers, absent, TweetCreated(latest, other))


def _measure(scratch: Scratch, registry: Registry, site: _Site, figures: Figures, backend: str, used: Gauge) -> None:
    """Measures the readers' timelines while reads backfill them, then a delivery to users who never read."""
    caught_up(registry)
    first, *others = site.readers
    _read(registry, [first])  # includes one-time costs: scripts, connections, the tweets
    scratch.progress.phase(f"Filling {backend}", len(others))
    before = used()
    for some in batched(others, 100):
        _read(registry, some)
        scratch.progress.advance(len(some))
    figures.add({f"{backend}, warm": [(used() - before) / len(others) / KB]})
    timelines = registry.getUtility(ITimelines)
    before = used()
    list(timelines.projector.deliver(site.latest))
    figures.add({f"{backend}, cold": [max(0, used() - before) / len(site.absent) / KB]})
    filled = sum(timelines.peek(Timeline("home", reader)) is not None for reader in site.absent)
    figures.notes.append(
        f"{backend}: after a delivery to {len(site.absent):,} cold timelines {filled or 'none'} of them "
        f"{'is' if filled == 1 else 'are'} materialized; the growth is the tweet and buffers."
    )


def _read(registry: Registry, readers: Sequence[int]) -> None:
    timelines = registry.getUtility(ITimelines)
    for reader in readers:
        timelines.page(Timeline("home", reader), Cursor())


def _memcached_bytes(servers: str) -> int:
    """The bytes of all items, headers included."""
    total = 0
    for server in servers.replace(",", " ").split():
        with memcached_client(server) as client:
            total += int(client.stats()[b"bytes"])
    return total


def _table_bytes(engine: Engine) -> int:
    """On SQLite all pages in use: only the timelines grow."""
    size = {
        "postgresql": "SELECT pg_total_relation_size('timelines') + pg_total_relation_size('timeline_entries')",
        "sqlite": "SELECT (page_count - freelist_count) * page_size"
        " FROM pragma_page_count, pragma_freelist_count, pragma_page_size",
    }
    with engine.connect() as connection:
        return int(connection.execute(text(size[engine.dialect.name])).scalar_one())


def _traced() -> int:
    gc.collect()
    return tracemalloc.get_traced_memory()[0]
