"""The warm home page as HTML, signed in, beside a page that plain templates make of the same tweets as constants.

Everything is included: session, user, timeline, tweets, the log. Both are served by waitress with the settings of the
ini file, each in a process of its own; another process keeps connections busy. The backend is redis.
"""

import argparse
import http.client
import re
import statistics
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from itertools import count as numbers
from typing import Any

from pyramid.registry import Registry
from sqlalchemy import select

from tweeter.bench.breakdown import breakdown
from tweeter.bench.browser import Address, Answer, Browser
from tweeter.bench.children import Child
from tweeter.bench.figures import Figures, rotate
from tweeter.bench.load import Load, load
from tweeter.bench.plain import Constants, bare, in_site
from tweeter.bench.rows import bulk_rows
from tweeter.bench.scratch import Scratch
from tweeter.bench.web import Served, serving, site_app
from tweeter.cli.common import CommandError, count
from tweeter.ids import first_id_of_ms
from tweeter.interfaces import ITimelines
from tweeter.models import User
from tweeter.security import Identity
from tweeter.values import Cursor

FEW = 10  # followees
SIZES = (20, 100)  # tweets
LEAST = (1.3, 3.0)  # times what the rival in the site does
OURS, IN_SITE, BARE = "tweeter", "plain templates", "bare templates of ready parts"
MANY_FOLLOWEES, MANY_CONNECTIONS = "tweeter, 20 tweets, many followees", "tweeter, 20 tweets, many connections"
RECENT = 80  # tweets of each of the few: both timelines are full, and differ by the followees alone
PASSWORD = "only for measuring"  # noqa: S105 (nobody else can reach the site)
WARM = 30  # seconds that it may take until the store answers
WARM_UP = 0.3  # seconds before each measurement

MESSAGES = (
    "The kettle has opinions about the weather, and so have I.",
    "Reading @user{} on small machines: the cheapest request is the one nobody makes. #slowweb",
    "Notes are at https://example.org/notes/{} if anybody wants them, crossings-out & all.",
    "Second coffee. The deploy went out before the first <3",
)


def add_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--followees", type=count, default=5000, metavar="N", help=f"beside {FEW} (default 5000)")
    parser.add_argument("--connections", type=count, default=16, metavar="N", help="kept alive (default 16)")
    parser.add_argument(
        "--many", type=count, default=128, metavar="N", help="connections to compare with (default 128)"
    )
    parser.add_argument("--seconds", type=float, default=3.0, metavar="S", help="of each measurement (default 3)")
    parser.add_argument("--runs", type=count, default=5, metavar="N", help="of each contender, in turns (default 5)")
    parser.add_argument("--profile", type=count, metavar="N", help="say what the time of N requests was spent on")


def run(scratch: Scratch, args: argparse.Namespace) -> Figures:
    if min(FEW, args.followees) * RECENT < max(SIZES):
        raise CommandError(f"--followees must be {-(-max(SIZES) // RECENT)} at least: the pages need as many tweets.")
    figures = Figures("The warm home page", "requests a second")
    settings = scratch.settings("redis")
    with ExitStack() as stack:
        registry = stack.enter_context(scratch.machinery("sql"))
        identities = _fill(scratch, registry, args.followees)
        constants = _constants(registry, identities[0])

        def server(name: str, make_app: Callable[..., Any], *more: Any) -> Served:
            log = str(scratch.folder / f"{name}.log")
            return stack.enter_context(serving(args.ini, log, make_app, settings, *more))

        site = server("site", site_app)
        rivals = {
            BARE: (server("bare", bare, str(scratch.folder / "bare"), constants), "/"),
            IN_SITE: (server("in_site", in_site, str(scratch.folder / "in_site"), constants), "/constants"),
        }
        few, many = (_sign_in(stack, site.address, identity) for identity in identities)
        generator = stack.enter_context(closing(Child()))
        loads: list[Load] = []
        computed: dict[str, list[float]] = {}  # milliseconds of the server's processor for each request

        def ask(name: str, served: Served, request: bytes, connections: int = args.connections) -> None:
            def run() -> float:
                before = served.cpu()
                loads.append(generator.call(load, served.address, request, connections, args.seconds, WARM_UP))
                computed.setdefault(name, []).append(1000 * (served.cpu() - before) / loads[-1].answers)
                return loads[-1].rate

            contenders[name] = run

        contenders: dict[str, Callable[[], float]] = {}
        for size in SIZES:
            ask(_named(OURS, size), site, few.request(f"/?limit={size}"))
            for rival, (served, path) in rivals.items():
                with closing(few.at(served.address)) as there:
                    _check_same(few.get(f"/?limit={size}"), there.get(f"{path}?limit={size}"), size)
                ask(_named(rival, size), served, few.request(f"{path}?limit={size}"))
        ask(MANY_FOLLOWEES, site, many.request(f"/?limit={SIZES[0]}"))
        ask(MANY_CONNECTIONS, site, few.request(f"/?limit={SIZES[0]}"), args.many)
        figures.add(rotate(scratch.progress, contenders, args.runs, "Pages"))
        for size in SIZES if args.profile else ():
            scratch.progress.phase(f"Profile, {size} tweets", None)
            parts = generator.call(breakdown, settings, f"/?limit={size}", few.cookie, args.profile)
            figures.shares[f"A page of {size} tweets: its time, without the web server"] = parts
    _compare(figures, args)
    figures.notes += _of_the_machine(loads, computed)
    return figures


def _compare(figures: Figures, args: argparse.Namespace) -> None:
    for size, least in zip(SIZES, LEAST, strict=True):
        figures.compare(f"{size} tweets: tweeter / {IN_SITE}", _named(OURS, size), _named(IN_SITE, size), least)
        figures.compare(f"{size} tweets: tweeter / {BARE}", _named(OURS, size), _named(BARE, size))
    first = _named(OURS, SIZES[0])
    figures.compare(f"{args.followees:,} followees / {FEW} followees", MANY_FOLLOWEES, first, least=0.95)
    figures.compare(f"{args.many} connections / {args.connections} connections", MANY_CONNECTIONS, first, least=0.8)


def _named(contender: str, size: int) -> str:
    return f"{contender}, {size} tweets"


def _of_the_machine(loads: list[Load], computed: dict[str, list[float]]) -> Iterator[str]:
    for name, milliseconds in computed.items():
        yield f"{name}: {statistics.median(milliseconds):.2f} ms of the server's processor for each request"
    yield f"The process that asks was busy for {max(load.busy for load in loads):.0%} of the time at most."
    if unanswered := max(load.unanswered for load in loads):
        yield f"{unanswered} connections were never answered: see waitress' connection_limit in the ini file."


def _fill(scratch: Scratch, registry: Registry, followees: int) -> tuple[Identity, Identity]:
    """Two readers, one of whom follows few, the other many; the newest tweets are the same for both."""
    moment = numbers(time.time_ns() // 1_000_000 - 30 * 24 * 3600 * 1000, 60_000)  # a tweet a minute
    few = min(FEW, followees)
    with bulk_rows(registry["engine"], scratch.progress) as rows:
        authors = rows.people(followees)
        readers = rows.people(2, "reader", registry["passwords"].hash(PASSWORD))
        pairs = [(readers[0], author) for author in authors[:few]] + [(readers[1], author) for author in authors]
        rows.follows(pairs, len(pairs))
        by = [*authors, *(authors[n % few] for n in range(few * RECENT))]
        tweets = [(first_id_of_ms(next(moment)), by[n], MESSAGES[n % len(MESSAGES)].format(n)) for n in range(len(by))]
        rows.tweets(tweets, len(tweets))
    with registry["sessions"]() as session:
        columns = [getattr(User, name) for name in Identity._fields]
        found = session.execute(select(*columns).where(User.id.in_(readers)).order_by(User.id)).all()
    one, other = (Identity(*row) for row in found)
    return one, other


def _sign_in(stack: ExitStack, site: Address, identity: Identity) -> Browser:
    """Signs in, and reads until the store answers. Raises CommandError where it does not."""
    browser = stack.enter_context(closing(Browser(site)))
    browser.sign_in(identity.username, PASSWORD)
    deadline = time.monotonic() + WARM
    while True:
        answer = browser.get(f"/?limit={max(SIZES)}")
        if answer.answered_by == "redis":
            return browser
        if answer.status != http.client.OK or time.monotonic() > deadline:
            raise CommandError(f"The site does not answer from redis: {answer.status}")
        time.sleep(0.1)


def _constants(registry: Registry, reader: Identity) -> Constants:
    page = registry.getUtility(ITimelines).home(reader.id, Cursor(limit=max(SIZES)))
    return Constants(reader, page.tweets, f"/?before={page.older}")


def _check_same(ours: Answer, rival: Answer, size: int) -> None:
    """Raises CommandError unless both show the same tweets, to the letter, and as many as they were asked for."""
    one, other = (re.findall(r"<article.*?</article>", page.text, re.DOTALL) for page in (ours, rival))
    if one != other or len(one) != size:
        raise CommandError(f"The rival does not show the same {size} tweets: {len(one)} and {len(other)}.")
