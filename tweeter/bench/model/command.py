"""The options and the output of `tweeter bench model`."""

import argparse
from collections.abc import Iterable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from tweeter.bench import figures
from tweeter.bench.figures import Ratio, Table, duration
from tweeter.bench.schema import Result, label, read_json
from tweeter.console.commands import CommandError, counts

SIZES = {"redis": 8460.0, "memcached": 6550.0, "memory": 6680.0, "table": 77_000.0}
USERS = (1_000_000, 100_000_000, 1_000_000_000)
ASSUMED: Mapping[str, tuple[float, str]] = {
    "active": (0.2, "share of the users who read on a day; only their timelines are warm"),
    "pages": (20.0, "home pages of an active user a day"),
    "posts": (0.5, "posts of an active user a day"),
    "peak": (3.0, "the busiest second, as a multiple of the average"),
    "followers": (100.0, "followers and followees of a user, on average"),
    "capacity": (800, "ids in a timeline"),
    "replicas": (2, "copies of each timeline"),
    "load": (0.5, "share of a CPU that may be used at the peak"),
    "cpus": (64, "CPUs of a machine"),
    "gigabytes": (256, "memory of a machine"),
    "celebrity": (7_000_000, "followers of the celebrity whose post is timed; all of them are active"),
    "threshold": (100_000, "hybrid: authors with more followers are merged when a page is read"),
    "tweet": (400, "bytes of a tweet on its way from the store to the site"),
    "page": (5_000, "bytes of a compressed page on its way to its reader"),
    "events": (8_000, "posts a second that one relay delivers to few followers, by `tweeter bench relay`"),
    "follow": (90, "bytes of a follow in SQL: a row of two integers and two indexes"),
}
SHARES = ("active", "load")  # at most 1


def add_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("report", metavar="REPORT", type=Path, help="the JSON file of a report, with latency")
    parser.add_argument(
        "--delivery", type=_by_number, default={}, metavar="N=RATE,…",
        help="measured deliveries to redis: timelines a second, by followers (100000=400000,7000000=300000)",
    )  # fmt: skip
    parser.add_argument(
        "--memory", type=_by_number, default={}, metavar="IDS=BYTES,…",
        help="measured bytes of a timeline in redis, by ids; three or more, by `tweeter bench memory --entries`",
    )  # fmt: skip
    parser.add_argument(
        "--sizes", type=_sizes, default=SIZES, metavar="NAME=BYTES,…",
        help="bytes of a timeline of 800 ids, by `tweeter bench memory` "
        f"(default {','.join(f'{name}={size:g}' for name, size in SIZES.items())})",
    )  # fmt: skip
    parser.add_argument(
        "--users",
        type=counts,
        default=USERS,
        metavar="N,…",
        help="sizes of the site (default 1, 100 and 1,000 million)",
    )
    group = parser.add_argument_group("assumptions about the site")
    for name, (default, meaning) in ASSUMED.items():
        group.add_argument(
            f"--{name}", type=_share if name in SHARES else _positive, default=default, metavar="N",
            help=f"{meaning} (default {_exact(default)})",
        )  # fmt: skip


def show(args: argparse.Namespace) -> int:
    """Prints predictions and needs. Raises CommandError for a file that is not a report, or has no latency."""
    result = read_json(args.report)
    # The model needs the packages of an extra.
    from tweeter.bench.model.fits import latency_of
    from tweeter.bench.model.needs import Assumptions, designs
    from tweeter.bench.noise import noise_of
    from tweeter.bench.report.latency import disturbance

    latency = latency_of(result)
    given = Assumptions(**{name: getattr(args, name) for name in ASSUMED})
    every = designs(result, args.delivery, args.sizes, given)
    if not every:
        raise CommandError("No backend of the report held a rate with both mixes of posts.")
    figures.show(*filter(None, [noise_of(result), disturbance(latency)]))
    _show_predictions(result, args.delivery, args.memory)
    _show_needs(every, given, args.users)
    _show_published(every, args.sizes)
    return 0


def _show_predictions(result: Result, deliveries: Mapping[int, float], memory: Mapping[int, float]) -> None:
    from tweeter.bench.model.predictions import TARGET, predictions, rows_of

    parts = predictions(result, deliveries, memory)
    for part in parts:
        rows = rows_of(part)
        head = ("", "backend", "predicted", "measured", "error", "")
        styles = {number: "red" for number, row in enumerate(rows) if row[-1]}
        good = sum(abs(point.error) <= TARGET for point in part.points)
        figures.show(
            Table(f"{part.heading}; {part.unit}", head, rows, styles=styles),
            f"Fitted: {part.basis}. {good} of {len(part.points)} within {TARGET:.0%}.",
        )
    points = [point for part in parts for point in part.points]
    within = sum(abs(point.error) <= TARGET for point in points) / max(1, len(points))
    figures.show(str(Ratio(f"share of {len(points)} predictions within {TARGET:.0%}", within, least=1)))
    if not deliveries:
        figures.show("The report has no delivery to more followers than its series; --delivery adds measured rates.")
    if len(memory) < 3:
        figures.show("The report has the memory of timelines of one size only; --memory adds measured sizes.")


def _show_needs(every: list[Any], given: Any, sizes: Iterable[int]) -> None:
    from tweeter.bench.model.needs import limits

    costs = [
        [
            design.name, *(_ms(use) for use in (design.site, design.sql, design.store)),
            f"{design.delivery * 1e6:.2g}" if design.delivery else "", f"{design.timeline:,.0f}",
        ]
        for design in every
    ]  # fmt: skip
    full = [limits(design, given) for design in every]
    rows = [
        [part, *(_big(found[part]) if part in found else "" for found in full)]
        for part in dict.fromkeys(part for found in full for part in found)
    ]
    rows.append(["first", *(_first(found) for found in full)])
    head = ("", "site", "PostgreSQL", "store", "delivery", "timeline")
    figures.show(
        Table("CPU ms of a page and of a post; µs of a delivery; bytes of a timeline", head, costs, left=1),
        "Assumed: " + "; ".join(f"{name} {_exact(getattr(given, name))}" for name in ASSUMED) + ".",
        Table("Users at which one of each is full", ("", *(design.name for design in every)), rows, left=1),
    )
    for users in sizes:
        figures.show(_needs_table(every, given, users))


def _needs_table(every: list[Any], given: Any, users: int) -> Table:
    from tweeter.bench.model.needs import machines, needs

    columns = []
    for design in every:
        rates, found = design.rates(users, given), needs(design, users, given)
        columns.append([
            *map(_big, (*rates, found.site, found.sql, found.store, found.relays)),
            _big(found.memory / 1e9), _big(found.follows / 1e9),
            _big(found.inside * 8 / 1e9), _big(found.outside * 8 / 1e9), _big(machines(found, given)),
            *(duration(seconds) if seconds else "" for seconds in found[-2:]),
        ])  # fmt: skip
    names = (
        "pages/s", "posts/s", "deliveries/s", "CPUs of the site", "CPUs of PostgreSQL", "CPUs of the store", "relays",
        "GB of timelines", "GB of follows in SQL", "Gbit/s between store and site", "Gbit/s to readers", "machines",
        "last of the celebrity's followers, one relay", "all relays",
    )  # fmt: skip
    rows = [[name, *values] for name, *values in zip(names, *columns, strict=True)]
    return Table(f"{users:,} users, at the peak", ("", *(design.name for design in every)), rows, left=1)


def _show_published(every: list[Any], sizes: Mapping[str, float]) -> None:
    from tweeter.bench.model.published import compare, factors

    redis = next((design for design in every if design.name == "redis"), None)
    if redis is None or "redis" not in sizes:
        return
    rows = [
        [each.what, _big(each.twitter), _big(each.model), each.unit, f"{each.ratio:.2g}"]
        for each in compare(redis, sizes["redis"])
    ]
    gap = factors(sizes["redis"])
    figures.show(
        Table("Twitter's published figures", ("", "Twitter", "model", "", "ratio"), rows, left=1),
        "The gap in memory: " + "; ".join(f"{name}: {factor:.2g}" for name, factor in gap.items()) + ".",
    )


def _ms(use: Any) -> str:
    return f"{use.page * 1000:.2f}, {use.post * 1000:.2f}" if use.page or use.post else ""


def _first(found: Mapping[str, float]) -> str:
    return min(found, key=lambda part: found[part], default="")


def _exact(value: float) -> str:
    return f"{value:,.0f}" if value == int(value) else f"{value:g}"


def _big(value: float) -> str:
    """Two significant digits, with a word for millions and billions."""
    for size, word in ((1e9, " billion"), (1e6, " million")):
        if value >= size:
            return f"{float(f'{value / size:.2g}'):,g}{word}"
    return f"{float(f'{value:.2g}'):,g}"


def _positive(text: str) -> float:
    with suppress(ValueError):
        if 0 < (number := float(text)) < float("inf"):
            return number
    raise argparse.ArgumentTypeError(f"{text!r} is not a number greater than 0")


def _share(text: str) -> float:
    if (number := _positive(text)) <= 1:
        return number
    raise argparse.ArgumentTypeError(f"{text} is more than 1, the whole")


def _pairs(text: str) -> dict[str, float]:
    found = {}
    for word in text.split(","):
        name, _, value = word.partition("=")
        found[label(name.strip())] = _positive(value)
    return found


def _sizes(text: str) -> dict[str, float]:
    return SIZES | _pairs(text)


def _by_number(text: str) -> dict[int, float]:
    return {round(_positive(name)): rate for name, rate in _pairs(text).items()}
