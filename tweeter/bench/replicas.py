"""Reads on a replica: the primary's CPU time for cold pages, and pairs of a write and a read that must show it.

Cold pages are home pages that are filled from SQL into Redis, with and without a replica. In a pair, an account writes
at one process of the site and reads at another, over HTTP: one serves pages from SQL, one from Redis. While pairs are
checked, the replay of the replica is paused at random. 100,000 pairs take some minutes.
"""

import argparse
import random
import threading
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing, contextmanager

from prometheus_client.parser import text_string_to_metric_families
from pyramid.registry import Registry
from sqlalchemy.engine import make_url

from tweeter.bench import cpu
from tweeter.bench.browser import Browser
from tweeter.bench.figures import Figures, rotate
from tweeter.bench.machinery import caught_up
from tweeter.bench.readers import PASSWORD
from tweeter.bench.scratch import Scratch
from tweeter.bench.web import Served, serving, site_app
from tweeter.bulk.rows import bulk_rows
from tweeter.console.commands import CommandError, count
from tweeter.devtools.servers import PostgreSQLReplica
from tweeter.ids import first_id_of_ms
from tweeter.timelines.push import PushTimelines
from tweeter.values import Timeline

AUTHORS = 5000
TWEETS_EACH = 40
FOLLOWEES = 300  # of each reader
WRITERS = 4  # accounts that write and read at the same time
PAUSED = 0.4  # seconds of a pause of the replay, at most, and between two
COLD = 0.1  # of the pairs read a cold home page
LEAST_SHARE = 0.9  # target for reads and backfills on the replica
IDLE = 4.0  # seconds in which the primary's other work is measured
# Passwords are not measured.
CHEAP = {"tweeter.argon2.time_cost": 1, "tweeter.argon2.memory_kib": 8, "tweeter.metrics": "127.0.0.1"}
# A replica receives what is on disk.
SENDING = {"synchronous_commit": "on", "wal_keep_size": "4GB"}


def add_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--pages", type=count, default=200, metavar="N", help="cold pages per run (default 200)")
    parser.add_argument("--runs", type=count, default=5, metavar="N", help="runs per contender, in turns (default 5)")
    parser.add_argument("--pairs", type=count, default=2000, metavar="N", help="pairs to check (default 2000)")


def run(scratch: Scratch, args: argparse.Namespace) -> Figures:
    if args.database not in (None, "postgresql"):
        raise CommandError("Replicas are measured on a private PostgreSQL: give no --database.")
    scratch.postgresql_options |= SENDING
    figures = Figures("The primary's CPU time for 1,000 cold pages", "seconds")
    own: dict[str, object] = dict(CHEAP)
    with ExitStack() as stack:
        registry = stack.enter_context(scratch.machinery("redis", **CHEAP))
        readers, writers = _fill(scratch, registry, args.pages)
        primary, replica = scratch.primary, scratch.start(PostgreSQLReplica(scratch.primary))
        own["sqlalchemy.replica_urls"] = replica.url(str(make_url(scratch.database).database))
        timelines = caught_up(registry)

        def site(backend: str, name: str, **more: object) -> Served:
            return stack.enter_context(serving(scratch, args.ini, name, site_app, scratch.settings(backend, **more)))

        alone = site("redis", "alone", **CHEAP)
        sites = [site("sql", "sql", **own), site("redis", "replicated", **own)]
        browsers = [_signed_in(stack, alone, name) for name in readers.values()]
        contenders = {
            "without a replica": _Cold(timelines, list(readers), browsers, alone, primary.pid),
            "with a replica": _Cold(timelines, list(readers), browsers, sites[1], primary.pid),
        }
        figures.add(rotate(scratch.progress, contenders, args.runs, "Cold pages"))
        figures.compare("with a replica / without", "with a replica", "without a replica", most=0.5)
        people = [
            Writer(id_, name, [_signed_in(stack, each, name) for each in sites], timelines)
            for id_, name in writers.items()
        ]
        before = _reads(sites)
        check_pairs(scratch, "Pairs", people, max(args.pairs // 10, len(people)))
        normal = _reads(sites) - before
        for kind in ("page", "fill"):
            figures.claim(f"share of {kind}s on the replica", share(normal, kind), least=LEAST_SHARE)
        with paused_at_random(replica):
            wrong = check_pairs(scratch, "Pairs, paused at random", people, args.pairs)
        figures.claim(f"stale reads in {args.pairs:,} pairs", wrong, most=0)
        paused = _reads(sites) - before - normal
    for name, found in (("normal lag", normal), ("paused at random", paused)):
        parts = (f"{' '.join(filter(None, key))} {number:,.0f}" for key, number in sorted(found.items()))
        figures.notes.append(f"Reads, {name}: {', '.join(parts)}")
    return figures


class _Cold:
    """Reads cold home pages of all readers, one after the other; returns the primary's CPU seconds for 1,000."""

    def __init__(
        self, timelines: PushTimelines, readers: Sequence[int], browsers: Sequence[Browser], site: Served, pid: int
    ) -> None:
        self._timelines = timelines
        self._readers = readers
        self._browsers = [browser.at(site.address) for browser in browsers]
        self._pid = pid

    def __call__(self) -> float:
        for reader in self._readers:
            self._timelines.drop(Timeline("home", reader))
        used, began = cpu.of_tree(self._pid), time.monotonic()
        time.sleep(IDLE)
        idle = (cpu.of_tree(self._pid) - used) / (time.monotonic() - began)
        used, began = cpu.of_tree(self._pid), time.monotonic()
        for browser in self._browsers:
            page = browser.get("/")
            if not page.tweets:
                raise CommandError(f"A home page is empty: {page.status}")
        used = cpu.of_tree(self._pid) - used - idle * (time.monotonic() - began)
        return 1000 * used / len(self._browsers)


class Writer:
    """An account that writes with one browser, and reads with it or another."""

    def __init__(self, id_: int, name: str, browsers: Sequence[Browser], timelines: PushTimelines) -> None:
        self._home = Timeline("home", id_)
        self.name = name
        self._browsers = browsers
        self._timelines = timelines
        self._chance = random.Random(name)  # noqa: S311 (no secret)
        self._newest = 0

    def pair(self, number: int) -> bool:
        """Writes, reads, and returns whether the page shows the write."""
        writer, reader = (self._chance.choice(self._browsers) for _ in range(2))
        words = f"pair {number} of {self.name}"
        kind = self._chance.choice(["post"] * 8 + ["delete", "bio"])
        if kind == "bio":
            writer.send("/settings", action="profile", display_name=self.name, bio=words)
            return words in reader.get(f"/@{self.name}").text
        if kind == "delete" and self._newest:
            gone, self._newest = self._newest, 0
            writer.send(f"/tweets/{gone}/delete")
            return gone not in reader.get(f"/@{self.name}").tweets
        writer.send("/tweets", message=words)
        cold = self._chance.random() < COLD
        if cold:
            self._timelines.drop(self._home)
        page = reader.get("/" if cold else f"/@{self.name}")
        self._newest = next(iter(page.tweets), 0)
        return words in page.text


def check_pairs(scratch: Scratch, name: str, people: Sequence[Writer], pairs: int) -> int:
    """Lets the accounts do so many pairs at the same time; returns how many pages lacked the write."""
    each = -(-pairs // len(people))
    scratch.progress.phase(name, each * len(people))

    def work(person: Writer) -> int:
        wrong = 0
        for number in range(each):
            if not person.pair(number):
                wrong += 1
                scratch.progress.say(f"A page of {person.name} lacks pair {number}")
            scratch.progress.advance(1)
        return wrong

    with ThreadPoolExecutor(len(people)) as threads:
        return sum(threads.map(work, people))


@contextmanager
def paused_at_random(replica: PostgreSQLReplica) -> Iterator[None]:
    """Pauses the replay of the replica again and again within the block."""
    stopped = threading.Event()
    chance = random.Random(1)  # noqa: S311 (no secret)

    def run() -> None:
        while not stopped.wait(chance.uniform(0, PAUSED)):
            replica.pause_replay()
            stopped.wait(chance.uniform(0, PAUSED))
            replica.resume_replay()

    thread = threading.Thread(target=run)
    thread.start()
    try:
        yield
    finally:
        stopped.set()
        thread.join()


def share(reads: "Counter[tuple[str, ...]]", kind: str) -> float:
    """The share of the reads of a kind that a replica served."""
    total = sum(number for key, number in reads.items() if key[0] == kind)
    return sum(number for key, number in reads.items() if key[:2] == (kind, "replica")) / max(total, 1)


def _fill(scratch: Scratch, registry: Registry, pages: int) -> tuple[dict[int, str], dict[int, str]]:
    """Authors with tweets, and accounts that read and write: {id: name}."""
    chance = random.Random(1)  # noqa: S311 (no secret)
    first = time.time_ns() // 1_000_000 - 30 * 24 * 3600 * 1000
    with bulk_rows(registry.database.engine, scratch.progress) as rows:
        authors = rows.people(AUTHORS)
        password = registry["passwords"].hash(PASSWORD)
        readers, writers = rows.people(pages, "reader", password), rows.people(WRITERS, "writer", password)
        pairs = [(id_, author) for id_ in (*readers, *writers) for author in chance.sample(authors, FOLLOWEES)]
        rows.follows(pairs, len(pairs))
        number = AUTHORS * TWEETS_EACH
        rows.tweets(
            ((first_id_of_ms(first + n * 10_000), chance.choice(authors), f"Tweet {n}") for n in range(number)), number
        )
    return (
        {id_: f"reader{n}" for n, id_ in enumerate(readers, 1)},
        {id_: f"writer{n}" for n, id_ in enumerate(writers, 1)},
    )


def _signed_in(stack: ExitStack, site: Served, name: str) -> Browser:
    browser = stack.enter_context(closing(Browser(site.address)))
    browser.sign_in(name, PASSWORD)
    return browser


def _reads(sites: Sequence[Served]) -> "Counter[tuple[str, ...]]":
    """The reads of all processes, by kind, server and reason."""
    found: Counter[tuple[str, ...]] = Counter()
    for site in sites:
        with closing(Browser(site.address)) as browser:
            for family in text_string_to_metric_families(browser.get("/metrics").text):
                for sample in family.samples:
                    if sample.name == "tweeter_sql_reads_total":
                        labels = sample.labels
                        found[labels["kind"], labels["server"], labels["reason"]] += int(sample.value)
    return found
