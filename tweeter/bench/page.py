"""The warm home page as HTML, signed in, compared with Pyramid's own "hello" and with plain templates of constants.

Everything is included: session, user, timeline, tweets, the log. Each server is waitress with the settings of the ini
file and the loop of `tweeter.serve`, in a process of its own; another process generates the load. Unless
stated otherwise, the page is from redis.
"""

import argparse
import http.client
import json
import re
import statistics
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, closing
from typing import Any

from tweeter.bench.breakdown import breakdown
from tweeter.bench.browser import Address, Answer, Browser
from tweeter.bench.children import Child
from tweeter.bench.figures import Figures, rotate
from tweeter.bench.load import Load, load
from tweeter.bench.plain import bare, hello, in_site
from tweeter.bench.readers import FEW, MOST, RECENT, constants, fill, sign_in, token_of
from tweeter.bench.scratch import Scratch
from tweeter.bench.web import Served, serving, site_app
from tweeter.console.commands import CommandError, count, counts

FIRST, LARGE = SIZES = (20, MOST)  # tweets
LEAST = (1.3, 3.0)  # targets, relative to the rival in the site
OF_HELLO = {"redis": 0.25, "memory": 0.25, "memcached": 0.2, "table": 0.1}  # targets for a page of 20 tweets
LARGE_OF_HELLO = 0.15
API_OF_PAGE = 1.3  # target for 20 statuses in JSON, relative to the page of the same tweets
OF_THE_BEST = 0.95  # target for any number of connections but one, relative to the best rate
OURS, IN_SITE, BARE, HELLO = "tweeter", "plain templates", "bare templates of ready parts", "hello"
COMPRESSED = "tweeter, gzip"
API = "the API"
MANY_FOLLOWEES = "tweeter, 20 tweets, many followees"
WARM_UP = 0.3  # seconds before each measurement


def add_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--followees",
        type=count,
        default=5000,
        metavar="N",
        help=f"followees of the second reader; the first has {FEW} (default 5000)",
    )
    parser.add_argument(
        "--connections", type=count, default=16, metavar="N", help="concurrent connections (default 16)"
    )
    parser.add_argument(
        "--others",
        type=counts,
        default=(1, 8, 128),
        metavar="N,…",
        help="further numbers of connections (default 1,8,128)",
    )
    parser.add_argument("--seconds", type=float, default=2.0, metavar="S", help="seconds per measurement (default 2)")
    parser.add_argument(
        "--runs", type=count, default=5, metavar="N", help="measurements per contender, in turns (default 5)"
    )
    parser.add_argument("--profile", type=count, metavar="N", help="profile N requests and print where the time goes")


def run(scratch: Scratch, args: argparse.Namespace) -> Figures:
    if min(FEW, args.followees) * RECENT < MOST:
        raise CommandError(f"--followees must be at least {-(-MOST // RECENT)}, so that the pages have enough tweets.")
    figures = Figures("The warm home page", "requests a second")
    settings = scratch.settings("redis")
    asked = sorted({args.connections, *args.others})
    with ExitStack() as stack:
        registry = stack.enter_context(scratch.machinery("sql"))
        identities = fill(scratch, registry, args.followees)
        shown = constants(registry, identities[0])

        def server(name: str, make_app: Callable[..., Any], *more: Any) -> Served:
            return stack.enter_context(serving(scratch, args.ini, name, make_app, *more))

        def reader(number: int, backend: str) -> Browser:
            browser = stack.enter_context(closing(Browser(sites[backend].address)))
            sign_in(browser, identities[number].username, backend)
            return browser

        sites = {
            backend: server(backend, site_app, scratch.settings(backend) | {"tweeter.api": True})
            for backend in OF_HELLO
        }
        rivals = {
            BARE: (server("bare", bare, settings, str(scratch.folder / "bare"), shown), "/"),
            IN_SITE: (server("in_site", in_site, settings, str(scratch.folder / "in_site"), shown), "/constants"),
        }
        greeter = server("hello", hello, settings)
        site = sites["redis"]
        few = {backend: reader(0, backend) for backend in sites}
        many = reader(1, "redis")
        generator = stack.enter_context(closing(Child()))
        loads: list[Load] = []
        computed: dict[str, list[float]] = {}  # CPU milliseconds of the server per request

        def ask(name: str, served: Served, request: bytes, connections: int = args.connections) -> None:
            def run() -> float:
                before = served.cpu()
                loads.append(generator.call(load, served.address, request, connections, args.seconds, WARM_UP))
                computed.setdefault(name, []).append(1000 * (served.cpu() - before) / loads[-1].answers)
                return loads[-1].rate

            contenders[name] = run

        contenders: dict[str, Callable[[], float]] = {}
        for connections in asked:
            ask(_kept(HELLO, connections), greeter, few["redis"].request("/"), connections)
            for backend, each in sites.items():
                ask(_kept(backend, connections), each, few[backend].request(f"/?limit={FIRST}"), connections)
        for size in SIZES:
            path = f"/?limit={size}"
            ask(_named(OURS, size), site, few["redis"].request(path))
            ask(_named(COMPRESSED, size), site, few["redis"].request(path, "gzip"))
            for rival, (served, start) in rivals.items():
                with closing(few["redis"].at(served.address)) as there:
                    _check_same(few["redis"].get(path), there.get(f"{start}?limit={size}"), size)
                ask(_named(rival, size), served, few["redis"].request(f"{start}?limit={size}"))
        application = _statuses(site.address, token_of(few["redis"]), few["redis"].get(f"/?limit={FIRST}"))
        ask(_named(API, FIRST), site, application)
        ask(MANY_FOLLOWEES, site, many.request(f"/?limit={FIRST}"))
        figures.add(rotate(scratch.progress, contenders, args.runs, "Pages"))
        for size in SIZES if args.profile else ():
            scratch.progress.phase(f"Profile, {size} tweets", None)
            parts = generator.call(breakdown, settings, f"/?limit={size}", few["redis"].cookie, args.profile)
            figures.shares[f"A page of {size} tweets: its time, without the web server"] = parts
    _compare(figures, args, asked)
    figures.notes += _of_the_machine(loads, computed)
    return figures


def _compare(figures: Figures, args: argparse.Namespace, asked: Sequence[int]) -> None:
    greeting = _kept(HELLO, args.connections)
    for backend, least in OF_HELLO.items():
        figures.compare(f"20 tweets from {backend} / hello", _kept(backend, args.connections), greeting, least)
    figures.compare("100 tweets from redis / hello", _named(OURS, LARGE), greeting, LARGE_OF_HELLO)
    for backend in OF_HELLO:
        rates = {connections: statistics.median(figures.runs[_kept(backend, connections)]) for connections in asked}
        for connections, rate in rates.items():
            name = f"{backend}: {connections} connections / the best of {', '.join(map(str, asked))}"
            figures.claim(name, rate / max(rates.values()), least=OF_THE_BEST if connections > 1 else None)
    for size, least in zip(SIZES, LEAST, strict=True):
        figures.compare(f"{size} tweets: tweeter / {IN_SITE}", _named(OURS, size), _named(IN_SITE, size), least)
        figures.compare(f"{size} tweets: tweeter / {BARE}", _named(OURS, size), _named(BARE, size))
        figures.compare(f"{size} tweets: gzip / uncompressed", _named(COMPRESSED, size), _named(OURS, size), least=0.9)
    first = _named(OURS, FIRST)
    figures.compare(f"{FIRST} tweets: the API / the page", _named(API, FIRST), first, API_OF_PAGE)
    figures.compare(f"{args.followees:,} followees / {FEW} followees", MANY_FOLLOWEES, first, least=0.95)


def _named(contender: str, size: int) -> str:
    return f"{contender}, {size} tweets"


def _kept(contender: str, connections: int) -> str:
    return f"{contender}, {connections} connection{'' if connections == 1 else 's'}"


def _of_the_machine(loads: list[Load], computed: dict[str, list[float]]) -> Iterator[str]:
    for name, milliseconds in computed.items():
        yield f"{name}: {statistics.median(milliseconds):.2f} ms of server CPU time per request"
    yield f"The load generator was busy for at most {max(load.busy for load in loads):.0%} of the time."
    if unanswered := max(load.unanswered for load in loads):
        yield f"{unanswered} connections got no response: see waitress' connection_limit in the ini file."


def _check_same(ours: Answer, rival: Answer, size: int) -> None:
    """Raises CommandError unless both pages show exactly the same tweets, `size` of them."""
    one, other = (re.findall(r"<article.*?</article>", page.text, re.DOTALL) for page in (ours, rival))
    if one != other or len(one) != size:
        raise CommandError(f"The plain page does not show the same {size} tweets: {len(one)} and {len(other)}.")


def _statuses(address: Address, token: str, page: Answer) -> bytes:
    """An application's request for the statuses of a page. Raises CommandError if the API returns others."""
    path, bearer = f"/api/v1/timelines/home?limit={FIRST}", f"Bearer {token}"
    with closing(http.client.HTTPConnection(*address, timeout=60)) as connection:
        connection.request("GET", path, headers={"Authorization": bearer})
        found = [int(each["id"]) for each in json.load(connection.getresponse())]
    if found != page.tweets:
        raise CommandError(f"The API returns {found}, and the page shows {page.tweets}.")
    return f"GET {path} HTTP/1.1\r\nHost: localhost\r\nAuthorization: {bearer}\r\n\r\n".encode("ascii")
