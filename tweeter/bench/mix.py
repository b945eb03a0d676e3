"""A site under load over HTTP: concurrent posts, follows and pages, on each backend compared with `sql`.

Two processes of the site share a database and a store; each is waitress with the settings of the ini file. Signed-in
users post, follow, unfollow and read. Requests are drawn at random; each connection sends the next one when it has the
response to the last. The share of pages from SQL is reported by the reason why a store did not serve them.
"""

import argparse
import random
from collections import Counter
from contextlib import ExitStack, closing
from dataclasses import dataclass, field
from typing import Any

from tweeter.bench.browser import Browser
from tweeter.bench.children import Child
from tweeter.bench.figures import Figures, rotate
from tweeter.bench.load import Load, load
from tweeter.bench.readers import PASSWORD, sign_in
from tweeter.bench.scratch import Scratch
from tweeter.bench.web import Served, serving, site_app
from tweeter.bulk.rows import bulk_rows
from tweeter.console.commands import count
from tweeter.ids import generate_id
from tweeter.metrics import fallbacks

BACKENDS = ("sql", "redis", "memcached", "memory", "table")
PROCESSES = 2
READERS = 32  # signed-in users
FOLLOWEES = 30  # of each reader
AUTHORS = 1000
TWEETS_EACH = 20
WARM_UP = 1.0  # seconds before each measurement
# Percent of the requests; the rest are home pages.
MIXES = {"30 % posts": {"post": 30, "follow": 15, "profile": 5}, "1 % posts": {"post": 1, "follow": 1, "profile": 5}}
LEAST = {"30 % posts": 1.0, "1 % posts": 1.2}  # targets, relative to `sql`
FRESH = ("stale", "no checkpoint", "own write")  # fallback reasons that concern freshness
MOST_STALE = 0.01  # of the pages


def add_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--connections", type=count, default=16, metavar="N", help="concurrent connections (default 16)"
    )
    parser.add_argument("--seconds", type=float, default=4.0, metavar="S", help="seconds per measurement (default 4)")
    parser.add_argument(
        "--runs", type=count, default=3, metavar="N", help="measurements per contender, in turns (default 3)"
    )
    parser.add_argument("--backend", choices=BACKENDS[1:], help="compare only this backend with sql (default: all)")


def run(scratch: Scratch, args: argparse.Namespace) -> Figures:
    figures = Figures(f"A site of {PROCESSES} processes, {args.connections} connections", "requests a second")
    with scratch.machinery("sql") as registry:
        _fill(scratch, registry)
    with ExitStack() as stack:
        loaders = [stack.enter_context(closing(Child())) for _ in range(PROCESSES)]
        contenders: dict[str, _Contender] = {}
        for backend in ("sql", args.backend) if args.backend else BACKENDS:
            url = stack.enter_context(scratch.copy(scratch.database))
            settings = scratch.settings(backend) | {"sqlalchemy.url": url}
            sites = [serving(scratch, args.ini, backend, site_app, settings) for _ in range(PROCESSES)]
            served = [stack.enter_context(site) for site in sites]
            requests = _sign_in(scratch, served[0], backend)
            for name in MIXES:
                contenders[f"{backend}, {name}"] = _Contender(backend, name, served, loaders, requests, args)
        figures.add(rotate(scratch.progress, contenders, args.runs, "Load"))
    for contender, found in contenders.items():
        if found.backend == "sql":
            continue
        figures.compare(f"{contender} / sql", contender, f"sql, {found.mix}", least=LEAST[found.mix])
        stale = sum(found.from_sql[reason] for reason in FRESH) / max(found.pages, 1)
        figures.claim(f"{contender}: pages from SQL for freshness", stale, most=MOST_STALE)
        reasons = ", ".join(f"{reason} {number:,}" for reason, number in sorted(found.from_sql.items()))
        figures.notes.append(f"{contender}: {found.pages:,} responses; from SQL: {reasons or 'none'}")
    return figures


@dataclass
class _Contender:
    """A mix of requests to the processes of one backend."""

    backend: str
    mix: str
    served: list[Served]
    loaders: list[Child]
    requests: dict[str, list[bytes]]  # by kind
    args: argparse.Namespace
    from_sql: "Counter[str]" = field(default_factory=Counter)  # pages, by reason
    pages: int = 0

    def __post_init__(self) -> None:
        self._chance = random.Random(f"{self.backend}, {self.mix}")  # noqa: S311 (no secret)

    def __call__(self) -> float:
        """The requests per second of all processes."""
        before = self._reasons()
        each = max(1, self.args.connections // len(self.served))
        for loader, served in zip(self.loaders, self.served, strict=True):
            loader.begin(load, served.address, self._drawn(), each, self.args.seconds, WARM_UP)
        loads: list[Load] = [loader.result() for loader in self.loaders]
        self.from_sql += self._reasons() - before
        self.pages += sum(one.answers for one in loads)
        return sum(one.rate for one in loads)

    def _drawn(self, number: int = 2000) -> list[bytes]:
        """A random sequence of requests."""
        mix = MIXES[self.mix]
        weights = mix | {"home": 100 - sum(mix.values())}
        kinds = self._chance.choices(list(weights), list(weights.values()), k=number)
        return [self._chance.choice(self.requests[kind]) for kind in kinds]

    def _reasons(self) -> "Counter[str]":
        total: Counter[str] = Counter()
        for served in self.served:
            found = served.child.call(fallbacks, self.backend)
            total.update({reason: int(number) for reason, number in found.items()})
        return total


def _fill(scratch: Scratch, registry: Any) -> None:
    chance = random.Random(1)  # noqa: S311 (no secret)
    with bulk_rows(registry.database.engine, scratch.progress) as rows:
        authors = rows.people(AUTHORS)
        readers = rows.people(READERS, "reader", registry["passwords"].hash(PASSWORD))
        pairs = [(reader, author) for reader in readers for author in chance.sample(authors, FOLLOWEES)]
        pairs += [(author, reader) for author in authors[:100] for reader in readers]
        rows.follows(pairs, len(pairs))
        by = [*authors, *readers] * TWEETS_EACH
        rows.tweets(((generate_id(), author, "Of everyday size, as most are.") for author in by), len(by))


def _sign_in(scratch: Scratch, site: Served, backend: str) -> dict[str, list[bytes]]:
    """The requests of the users of one site, by kind."""
    chance = random.Random(2)  # noqa: S311 (no secret)
    kinds: dict[str, list[bytes]] = {"home": [], "post": [], "follow": [], "profile": []}
    scratch.progress.phase(f"{backend}: people sign in", READERS)
    for number in range(READERS):
        with closing(Browser(site.address)) as browser:
            sign_in(browser, f"reader{number + 1}", backend)
            kinds["home"].append(browser.request("/"))
            kinds["profile"].append(browser.request(f"/@user{chance.randint(1, AUTHORS)}"))
            kinds["post"].append(browser.form("/tweets", message="Of everyday size, as most are."))
            for _ in range(3):
                author = f"user{chance.randint(1, AUTHORS)}"
                kinds["follow"] += browser.form(f"/@{author}/follow"), browser.form(f"/@{author}/unfollow")
        scratch.progress.advance(1)
    return kinds
