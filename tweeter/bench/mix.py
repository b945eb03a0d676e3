"""A site under load over HTTP: concurrent posts, follows and pages, on each backend compared with `sql`.

Two processes of the site share a database and a store; each is waitress with the settings of the ini file. Signed-in
users post, follow, unfollow and read. Requests are drawn at random; each connection sends the next one when it has the
response to the last. The share of pages from SQL is reported by the reason why a store did not serve them.
"""

import argparse
import random
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from typing import Any, NamedTuple

from tweeter.bench.browser import Browser
from tweeter.bench.children import Child
from tweeter.bench.figures import Figures, Ratio, rotate
from tweeter.bench.load import Load, load
from tweeter.bench.readers import PASSWORD, sign_in_as
from tweeter.bench.rows import bulk_rows
from tweeter.bench.scratch import Scratch
from tweeter.bench.web import Served, serving, site_app
from tweeter.console.commands import count
from tweeter.ids import generate_id
from tweeter.metrics import fallbacks

BACKENDS = ("sql", "redis", "memcached", "memory")
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
    parser.add_argument("--connections", type=count, default=16, metavar="N", help="in all (default 16)")
    parser.add_argument("--seconds", type=float, default=4.0, metavar="S", help="of each measurement (default 4)")
    parser.add_argument("--runs", type=count, default=3, metavar="N", help="of each contender, in turns (default 3)")
    parser.add_argument("--backend", choices=BACKENDS[1:], help="only this one beside sql (default all)")


class _Requests(NamedTuple):
    """The requests of the users of one site, as bytes."""

    kinds: dict[str, list[bytes]]

    def drawn(self, mix: dict[str, int], chance: random.Random, number: int = 2000) -> list[bytes]:
        """A random sequence of requests of a mix."""
        weights = mix | {"home": 100 - sum(mix.values())}
        kinds = chance.choices(list(weights), list(weights.values()), k=number)
        return [chance.choice(self.kinds[kind]) for kind in kinds]


def run(scratch: Scratch, args: argparse.Namespace) -> Figures:
    figures = Figures(f"A site of {PROCESSES} processes, {args.connections} connections", "requests a second")
    backends = ("sql", args.backend) if args.backend else BACKENDS
    with scratch.machinery("sql") as registry:
        _fill(scratch, registry)
    with ExitStack() as stack:
        loaders = [stack.enter_context(closing(Child())) for _ in range(PROCESSES)]
        sites: dict[str, list[Served]] = {}
        contenders: dict[str, Callable[[], float]] = {}
        from_sql: dict[str, Counter[str]] = {}
        pages: Counter[str] = Counter()
        for backend in backends:
            url = stack.enter_context(scratch.copy(scratch.database))
            settings = scratch.settings(backend) | {"sqlalchemy.url": url}
            log = str(scratch.folder / f"{backend}.log")
            served = [stack.enter_context(serving(args.ini, log, site_app, settings)) for _ in range(PROCESSES)]
            sites[backend] = served
            requests = _sign_in(scratch, stack, served[0], backend)
            for name, mix in MIXES.items():
                contenders[f"{backend}, {name}"] = _contender(
                    f"{backend}, {name}", served, loaders, requests, mix, args, from_sql, pages
                )
        figures.add(rotate(scratch.progress, contenders, args.runs, "Load"))
    for backend in backends[1:]:
        for name in MIXES:
            contender = f"{backend}, {name}"
            figures.compare(f"{contender} / sql", contender, f"sql, {name}", least=LEAST[name])
            stale = sum(from_sql[contender][reason] for reason in FRESH) / max(pages[contender], 1)
            figures.ratios.append(Ratio(f"{contender}: pages from SQL for freshness", stale, most=MOST_STALE))
            reasons = ", ".join(f"{reason} {number:,}" for reason, number in sorted(from_sql[contender].items()))
            figures.notes.append(f"{contender}: {pages[contender]:,} responses; from SQL: {reasons or 'none'}")
    return figures


def _contender(
    name: str,
    served: list[Served],
    loaders: list[Child],
    requests: _Requests,
    mix: dict[str, int],
    args: argparse.Namespace,
    from_sql: dict[str, Counter[str]],
    pages: "Counter[str]",
) -> Callable[[], float]:
    backend = name.partition(",")[0]
    chance = random.Random(name)  # noqa: S311 (no secret)
    from_sql[name] = Counter()

    def measured() -> float:
        before = _reasons(served, backend)
        each = max(1, args.connections // len(served))
        for loader, one in zip(loaders, served, strict=True):
            loader.begin(load, one.address, requests.drawn(mix, chance), each, args.seconds, WARM_UP)
        loads: list[Load] = [loader.result() for loader in loaders]
        from_sql[name] += _reasons(served, backend) - before
        pages[name] += sum(each.answers for each in loads)
        return sum(each.rate for each in loads)

    return measured


def _reasons(served: list[Served], backend: str) -> "Counter[str]":
    total: Counter[str] = Counter()
    for one in served:
        total.update({reason: int(number) for reason, number in one.child.call(fallbacks, backend).items()})
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


def _sign_in(scratch: Scratch, stack: ExitStack, site: Served, backend: str) -> _Requests:
    chance = random.Random(2)  # noqa: S311 (no secret)
    kinds: dict[str, list[bytes]] = {"home": [], "post": [], "follow": [], "profile": []}
    scratch.progress.phase(f"{backend}: people sign in", READERS)
    for number in range(READERS):
        browser = stack.enter_context(closing(Browser(site.address)))
        sign_in_as(browser, f"reader{number + 1}", backend)
        kinds["home"].append(browser.request("/"))
        kinds["profile"].append(browser.request(f"/@user{chance.randint(1, AUTHORS)}"))
        kinds["post"].append(browser.form("/tweets", message="Of everyday size, as most are."))
        kinds["follow"] += _follows(browser, chance)
        browser.close()
        scratch.progress.advance(1)
    return _Requests(kinds)


def _follows(browser: Browser, chance: random.Random) -> Iterator[bytes]:
    for _ in range(3):
        author = f"user{chance.randint(1, AUTHORS)}"
        yield browser.form(f"/@{author}/follow")
        yield browser.form(f"/@{author}/unfollow")
