"""Delivery with Celery's workers, compared with delivery by the relay itself.

An author with many followers posts, on a site whose home timelines are warm, with and without workers in turns; the
time ends when the event is no longer in flight. Then, with workers, two authors with fewer followers post while tweets
of the first are being fanned out: one whose followers the relay serves in its batches, and one whose followers are one
chunk. The delay is measured in another process, at the last follower's timeline.
"""

import argparse
import random
import time
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from functools import partial
from typing import Any, NamedTuple

from tweeter.bench import posting
from tweeter.bench.children import Child
from tweeter.bench.figures import Figures, percentile, rotate
from tweeter.bench.given import redis_client
from tweeter.bench.machinery import PATIENT, by_hand, machinery
from tweeter.bench.scratch import Scratch
from tweeter.bench.warm import AT_ONCE, RedisKey, shuffled
from tweeter.bulk.rows import bulk_rows
from tweeter.console.commands import CommandError, count
from tweeter.delivery.messages import LARGE, SMALL
from tweeter.devtools.servers import RabbitMQ, Redis
from tweeter.devtools.servers.workers import CeleryWorker
from tweeter.ids import generate_id
from tweeter.values import Cursor, Timeline

BROKERS: dict[str, type[Redis | RabbitMQ]] = {"redis": Redis, "rabbitmq": RabbitMQ}
BATCHED, CHUNK = 10, 2000  # followers of the authors that post beside the large fan-out
CHECKED = 100  # timelines checked after each delivery
PAUSE = 0.02  # seconds between their posts
DURABLE = {"fsync": "on", "full_page_writes": "on", "synchronous_commit": "on"}
INLINE, CELERY = "inline", "celery"


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
        type=count,
        default=2,
        metavar="N",
        help="worker processes of the large queue (default 2); the small one has another",
    )
    parser.add_argument("--posts", type=count, default=200, metavar="N", help="posts beside the fan-out (default 200)")
    parser.add_argument("--broker", choices=BROKERS, default="redis", help="the broker (default redis)")


def run(scratch: Scratch, args: argparse.Namespace) -> Figures:
    figures = Figures(f"Delivery of a tweet to {args.followers:,} warm timelines", "timelines a second")
    figures.notes.append(
        f"{args.workers} worker processes and one for small authors, broker {args.broker}, {args.entries:,} ids each."
    )
    scratch.postgresql_options |= DURABLE
    site = _fill(scratch, args)
    broker = scratch.start(BROKERS[args.broker]())
    settings = scratch.settings("redis", **PATIENT) | {"tweeter.celery.broker": broker.url}
    _warm(scratch, settings, site)
    timelines = by_hand(scratch.enter_context(machinery(settings)))
    newest = 0

    ways = {INLINE: settings, CELERY: settings | {"tweeter.delivery": CELERY}}

    def rate(name: str) -> float:
        nonlocal newest
        with _process(scratch, ways[name], args) as process:
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
    figures.compare(
        "with workers / by the relay itself", CELERY, INLINE, least=0.9 if args.followers >= 10**6 else None
    )
    for name, way in ways.items():
        _beside(scratch, way, site, args, figures, name)
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
            scratch.progress.phase("Warm timelines", None)
            first = Timeline("home", audience[0])
            timelines.page(first, Cursor(limit=1))
            [name] = client.scan_iter(match=f"{scratch.prefix}*{first.key}", count=AT_ONCE)
            timeline = RedisKey(client, name)
            timeline.copy(timeline.stem, shuffled(audience, 1))


@contextmanager
def _process(scratch: Scratch, settings: dict[str, Any], args: argparse.Namespace) -> Iterator[Child]:
    """A process of the site with its relay, and with a worker for each queue if its settings say so."""
    with ExitStack() as stack:
        if settings["tweeter.delivery"] == CELERY:
            for queue, processes in ((LARGE, args.workers), (SMALL, 1)):
                folder = scratch.folder / queue
                folder.mkdir(exist_ok=True)
                worker = CeleryWorker(settings, folder, processes, "--queues", f"tweeter.{queue}")
                stack.callback(worker.stop)
                worker.start()
        yield stack.enter_context(posting.site_process(settings))


def _beside(
    scratch: Scratch, settings: dict[str, Any], site: _Site, args: argparse.Namespace, figures: Figures, name: str
) -> None:
    """The delays of posts by smaller authors while tweets of the large one are fanned out."""
    with _process(scratch, settings, args) as process, closing(Child()) as watcher:
        watcher.call(posting.begin_by_hand, settings)
        for followers, author in site.small.items():
            scratch.progress.phase(f"{name}: posts to {followers:,} beside the fan-out", None)
            watcher.begin(posting.watch, site.audiences[author][-1], args.posts)
            time.sleep(0.2)
            committed = process.call(posting.post_beside, author, args.posts, PAUSE, site.large)
            seen = watcher.result()
            if missing := committed.keys() - seen.keys():
                raise CommandError(f"{len(missing)} tweets did not reach the last of {followers:,} followers.")
            delays = [(seen[id_] - moment) * 1000 for id_, moment in committed.items()]
            for percent in (50, 99):
                target = {"most": 1000.0} if percent == 99 and name == CELERY else {}
                figures.claim(
                    f"{name}: delay of a post to {followers:,} beside the fan-out, p{percent}",
                    percentile(delays, percent), unit="ms", **target,
                )  # fmt: skip
