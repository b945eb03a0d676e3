"""Delivery with Celery's workers, compared with delivery by the relay itself.

An author with many followers posts, on a site whose home timelines are warm, with and without workers in turns; the
time ends when the event is no longer in flight. The timelines are in one Redis server, or in a cluster (`--masters 3`).
Then two authors with fewer followers post while tweets of the first are being fanned out: one whose followers the
relay serves in its batches, and one whose followers are one chunk. Another process measures the delay, at the last
follower's timeline.
"""

import argparse
import random
import statistics
import time
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from functools import partial
from typing import Any, NamedTuple

from tweeter.batches import batched
from tweeter.bench import posting
from tweeter.bench.children import Child
from tweeter.bench.figures import Figures, percentile, rotate
from tweeter.bench.given import redis_client
from tweeter.bench.machinery import PATIENT, by_hand, machinery
from tweeter.bench.scratch import Scratch
from tweeter.bench.warm import RedisKey, shuffled
from tweeter.bulk.rows import bulk_rows
from tweeter.console.commands import CommandError, count, counts, natural
from tweeter.delivery.messages import LARGE, SMALL
from tweeter.devtools.servers import RabbitMQ, Redis
from tweeter.devtools.servers.workers import CeleryWorker
from tweeter.ids import generate_id
from tweeter.values import Cursor, Timeline

BROKERS: dict[str, type[Redis | RabbitMQ]] = {"redis": Redis, "rabbitmq": RabbitMQ}
BATCHED, CHUNK = 10, 2000  # followers of the authors that post beside the large fan-out
CHECKED = 100  # timelines checked after each delivery
PAUSE = 0.1  # seconds between their posts
LOOK = 0.005  # seconds between two looks at the last follower's timeline
DURABLE = {"fsync": "on", "full_page_writes": "on", "synchronous_commit": "on"}
INLINE, CELERY = "inline", "celery"
SHOWN = 50_000  # timelines between updates of the progress


class _Site(NamedTuple):
    """The authors' ids, and their followers: nobody follows two of them."""

    large: int
    small: dict[int, int]  # {followers: author}
    audiences: dict[int, range]  # by author


def add_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--followers", type=count, default=100_000, metavar="N", help="followers of the author (default 100000)"
    )
    parser.add_argument("--entries", type=count, default=10, metavar="N", help="ids per timeline (default 10)")
    parser.add_argument("--runs", type=count, default=5, metavar="N", help="runs per contender, in turns (default 5)")
    parser.add_argument(
        "--workers",
        type=counts,
        default=(2,),
        metavar="N,…",
        help="worker processes of the large queue, a contender for each number (default 2); the small one has another",
    )
    parser.add_argument(
        "--posts", type=natural, default=200, metavar="N", help="posts beside the fan-out; 0 for none (default 200)"
    )
    parser.add_argument(
        "--masters",
        type=natural,
        default=0,
        metavar="N",
        help="masters of a private Redis Cluster (default: one server)",
    )
    parser.add_argument("--broker", choices=BROKERS, default="redis", help="the broker (default redis)")


def run(scratch: Scratch, args: argparse.Namespace) -> Figures:
    figures = Figures(f"Delivery of a tweet to {args.followers:,} warm timelines", "timelines a second")
    store = f"a Redis Cluster of {args.masters} masters" if args.masters else "one Redis"
    figures.notes.append(
        f"{args.entries:,} ids each in {store}, broker {args.broker}; one more worker process serves small authors."
    )
    scratch.masters = args.masters
    scratch.postgresql_options |= DURABLE
    site = _fill(scratch, args)
    broker = scratch.start(BROKERS[args.broker]())
    settings = scratch.settings("redis", **PATIENT) | {"tweeter.celery.broker": broker.url}
    _warm(scratch, settings, site)
    timelines = by_hand(scratch.enter_context(machinery(settings)))
    newest = 0

    ways = {INLINE: 0} | {f"{CELERY}, {n} worker{'s' * (n > 1)}": n for n in args.workers}

    def rate(name: str) -> float:
        nonlocal newest
        with _process(scratch, settings, ways[name]) as process:
            process.call(posting.post_and_deliver, site.small[CHUNK], 1)  # imports modules and opens connections
            took = process.call(posting.post_and_deliver, site.large, 1)
        sample = random.sample(site.audiences[site.large], min(CHECKED, args.followers))
        found = {held.ids[0] for each in sample if (held := timelines.peek(Timeline("home", each)))}
        if len(found) != 1 or max(found) <= newest:
            raise CommandError(f"{name}: the tweet is missing from some timelines.")
        newest = max(found)
        return args.followers / took

    contenders = {name: partial(rate, name) for name in ways}
    figures.add(rotate(scratch.progress, contenders, args.runs, "Large fan-outs"))
    for name, workers in ways.items():
        if workers:
            target = 0.9 if args.followers >= 10**6 and workers > 1 and not args.masters else None
            figures.compare(f"{name} / {INLINE}", name, INLINE, least=target)
    for name in ways:
        seconds = args.followers / statistics.median(figures.runs[name])
        figures.claim(f"{name}: until the last follower", seconds, unit="s")
    for name, workers in ways.items() if args.posts else ():
        _beside(scratch, settings, workers, site, args, figures, name)
    return figures


def _fill(scratch: Scratch, args: argparse.Namespace) -> _Site:
    sizes = (args.followers, BATCHED, CHUNK)
    with scratch.machinery("sql") as registry, bulk_rows(registry.database.engine, scratch.progress) as rows:
        authors = rows.people(len(sizes))
        audiences = {author: rows.people(size, f"f{author}") for author, size in zip(authors, sizes, strict=True)}
        for author, audience in audiences.items():
            rows.follows(((follower, author) for follower in audience), len(audience))
            rows.tweets(((generate_id(), author, "Of everyday size.") for _ in range(args.entries)), args.entries)
    return _Site(authors[0], {BATCHED: authors[1], CHUNK: authors[2]}, audiences)


def _warm(scratch: Scratch, settings: dict[str, Any], site: _Site) -> None:
    """Makes the followers' timelines; they grow by one id with each tweet."""
    with posting.site_process(settings):
        pass  # the first relay of a store clears it
    with machinery(settings) as registry, redis_client(scratch.redis) as client:
        timelines = by_hand(registry)
        for audience in site.audiences.values():
            scratch.progress.phase("Warm timelines", len(audience))
            first = Timeline("home", audience[0])
            timelines.page(first, Cursor(limit=1))
            timeline = RedisKey(client, timelines.store.name_of(first.key).encode())
            for part in batched(shuffled(audience, 1), SHOWN):
                timeline.copy(timeline.stem, part)
                scratch.progress.advance(len(part))


@contextmanager
def _process(scratch: Scratch, settings: dict[str, Any], workers: int) -> Iterator[Child]:
    """A process of the site with its relay, and with so many worker processes for the large queue."""
    with ExitStack() as stack:
        if workers:
            settings = settings | {"tweeter.delivery": CELERY}
            for queue, processes in ((LARGE, workers), (SMALL, 1)):
                folder = scratch.folder / queue
                folder.mkdir(exist_ok=True)
                worker = CeleryWorker(settings, folder, processes, "--queues", f"tweeter.{queue}")
                stack.callback(worker.stop)
                worker.start()
        yield stack.enter_context(posting.site_process(settings))


def _beside(
    scratch: Scratch, settings: dict[str, Any], workers: int, site: _Site, args: argparse.Namespace, figures: Figures,
    name: str,
) -> None:  # fmt: skip
    """The delays of posts by smaller authors while tweets of the large one are fanned out."""
    with _process(scratch, settings, workers) as process, closing(Child()) as watcher:
        watcher.call(posting.begin_by_hand, settings)
        for followers, author in site.small.items():
            scratch.progress.phase(f"{name}: posts to {followers:,} beside the fan-out", None)
            watcher.begin(posting.watch, site.audiences[author][-1], args.posts, LOOK)
            time.sleep(0.2)
            committed = process.call(posting.post_beside, author, args.posts, PAUSE, site.large)
            seen = watcher.result()
            if missing := committed.keys() - seen.keys():
                raise CommandError(f"{len(missing)} tweets did not reach the last of {followers:,} followers.")
            delays = [(seen[id_] - moment) * 1000 for id_, moment in committed.items()]
            for percent in (50, 99):
                target = {"most": 1000.0} if percent == 99 and workers else {}
                figures.claim(
                    f"{name}: delay of a post to {followers:,} beside the fan-out, p{percent}",
                    percentile(delays, percent), unit="ms", **target,
                )  # fmt: skip
