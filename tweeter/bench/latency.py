"""Latency under offered load: home pages and posts over HTTP, at rates that climb until each backend's knee.

Requests leave at moments fixed beforehand, as those of many independent readers, and their latency counts from that
moment. The rate grows until 1 % of the requests take longer than the limit, or less than 95 % of the rate is achieved;
the last rate before is the knee. A rate that fails is offered a second time. Backends take turns at each rate. The
generator, the site, the database and the stores share this machine, so the rates are those of all of it.
"""

import argparse
from collections.abc import Sequence
from typing import Any, NamedTuple

from tweeter.bench.scratch import Scratch
from tweeter.console.commands import count, counts, natural


class Climbing(NamedTuple):
    """What is offered. `mixes` are pairs: the number of the site's processes, and the percentage of posts."""

    mixes: Sequence[tuple[int, int]] = ((1, 0), (1, 1), (1, 10), (1, 30), (2, 0), (2, 10))
    first: float = 50.0  # requests per second
    factor: float = 1.5  # from one rate to the next
    most: int = 12  # rates
    seconds: float = 3.0  # at each rate
    limit: float = 0.25  # seconds: the most that the 99th percentile may be
    people: int = 20_000
    tweets_each: int = 10
    readers: int = 200


QUICK = Climbing(((1, 10),), 100.0, 2.0, seconds=0.5, people=2_000, tweets_each=5, readers=30)


def add_options(parser: argparse.ArgumentParser) -> None:
    from tweeter.bench.report.command import words

    whole = Climbing()
    parser.add_argument("--quick", action="store_true", help="short steps of one mix (10 %% posts, one process)")
    parser.add_argument("--processes", type=counts, metavar="N,…", help="processes of the site (default 1,2)")
    parser.add_argument("--posts", type=_percentages, metavar="N,…", help="percentages of posts (default 0,1,10,30)")
    parser.add_argument(
        "--first", type=count, default=int(whole.first), metavar="N", help="requests/s to begin with (default 50)"
    )
    parser.add_argument("--seconds", type=float, default=whole.seconds, metavar="S", help="at each rate (default 3)")
    parser.add_argument(
        "--limit", type=count, default=round(whole.limit * 1000), metavar="MS",
        help="the most milliseconds that the 99th percentile may take (default 250)",
    )  # fmt: skip
    parser.add_argument("--people", type=count, default=whole.people, metavar="N", help="of the site (default 20,000)")
    parser.add_argument("--readers", type=count, default=whole.readers, metavar="N", help="signed in (default 200)")
    parser.add_argument("--backends", type=words, metavar="NAMES", help="backends, for example sql,redis (default all)")
    parser.add_argument("--seed", type=natural, default=1, metavar="N", help="of data and arrivals (default 1)")


def run(scratch: Scratch, args: argparse.Namespace) -> Any:
    # The site's graph and the plots need the packages of an extra.
    from tweeter.bench.climb import climb
    from tweeter.bench.report.command import backends_of
    from tweeter.bench.report.latency import Shown

    backends = backends_of(scratch, args.backends)
    if args.quick:
        asked = QUICK
    else:
        asked = Climbing(
            first=args.first, seconds=args.seconds, limit=args.limit / 1000, people=args.people, readers=args.readers
        )
    if args.processes or args.posts:
        mixes = [(n, percent) for n in args.processes or (1, 2) for percent in args.posts or (0, 1, 10, 30)]
        asked = asked._replace(mixes=mixes)
    return Shown(climb(scratch, args.ini, backends, asked, args.seed))


def _percentages(text: str) -> tuple[int, ...]:
    found = tuple(natural(word) for word in text.split(","))
    if max(found) > 100:
        raise argparse.ArgumentTypeError("a percentage of posts is at most 100")
    return found
