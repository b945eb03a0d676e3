"""`tweeter bench`: benchmarks on a scratch site with servers of its own."""

import argparse
import importlib
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path
from types import ModuleType
from typing import Any

from tweeter.bench.figures import machine, save
from tweeter.bench.scratch import Scratch
from tweeter.console.commands import CommandError, add_ini, check_writable, read_settings
from tweeter.console.progress import progress

BENCHMARKS = (
    "report", "delivery", "celery", "page", "memory", "fill", "outage", "relay", "mix", "latency", "replicas",
    "celebrities", "likes", "search", "chaos", "animation", "streaming",
)  # fmt: skip
READERS = ("compare", "model")  # of reports
DEFAULT = "report"  # the default benchmark

EXTRA = ("numpy", "matplotlib")  # packages of the extra, which a site does not need

FLAGS = frozenset(("--quick",))  # options without a value

SECRETIVE = frozenset(("database", "redis", "memcached"))  # arguments that may contain passwords

DESCRIPTION = """
Measures on a scratch site: its database and servers are private and removed at the end, unless others
are given. It uses the settings of the ini file; the site's own database and stores are not touched.
"""


def add_parser(subparsers: Any) -> None:
    parser = subparsers.add_parser(
        "bench", help="measure pages, posts, memory and outages on a scratch site", description=DESCRIPTION
    )
    whats = parser.add_subparsers(title="the benchmark", metavar="WHAT", dest="what", required=True)
    for name in BENCHMARKS:
        module = _module(name)
        line = (module.__doc__ or "").partition("\n")[0]
        what = whats.add_parser(
            name,
            help=line[0].lower() + line[1:].rstrip("."),
            description=module.__doc__,
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )
        add_ini(what)
        module.add_options(what)
        _add_servers(what)
    compare = whats.add_parser("compare", help="compare two reports; `--compare` does the same")
    compare.add_argument("before", metavar="BEFORE", type=Path, help="the JSON file of a report")
    compare.add_argument("after", metavar="AFTER", type=Path, help="the JSON file of a later report")
    model = whats.add_parser("model", help="predict other points from a report, and what large sites need")
    _module("model").add_options(model)


def run(args: argparse.Namespace) -> int:
    try:
        return _run(args)
    except ModuleNotFoundError as error:
        if (name := str(error.name).partition(".")[0]) not in EXTRA:
            raise
        raise CommandError(
            f"{name} is not installed. It belongs to the extra `bench`: pip install '.[bench]' in a checkout, or "
            f"pip install 'tweeter-{version('tweeter')}-py3-none-any.whl[bench]' beside the wheel."
        ) from error


def _run(args: argparse.Namespace) -> int:
    if args.what == "compare":
        _module("report.compare").show(args.before, args.after)
        return 0
    if args.what == "model":
        return int(_module("model").show(args))
    settings = read_settings(args.ini)
    if args.json:
        check_writable(Path(args.json))
    with progress() as shown, Scratch(settings, shown, args.database, args.redis, args.memcached) as scratch:
        report = _module(args.what).run(scratch, args)
        servers = scratch.versions()
    report.show()
    facts = machine()
    print(
        f"On {facts['cpus']} CPUs ({facts['cpu']}), Python {facts['python']}, SQLAlchemy {facts['sqlalchemy']}, "
        f"redis-py {facts['redis']}; " + ", ".join(f"{name} {version}" for name, version in servers.items())
    )
    if args.json:
        save(args.json, report, servers, {key: value for key, value in vars(args).items() if key not in SECRETIVE})
    return getattr(report, "code", 0)


def in_order(words: Sequence[str]) -> list[str]:
    """Moves the benchmark to the front of the command line, so that words may be in any order.

    The default is the report; `--compare` compares two reports.
    """
    if "--compare" in words:
        return ["compare", *(word for word in words if word != "--compare")]
    for place, word in enumerate(words):
        # The word after an option is its value: a backend may have the name of a benchmark.
        option = words[place - 1] if place else ""
        if word in (*BENCHMARKS, *READERS) and (option in FLAGS or not option.startswith("--")):
            return [word, *words[:place], *words[place + 1 :]]
    # A first word that is not a file is an unknown benchmark: argparse lists the known ones.
    file = any(mark in word for word in words[:1] for mark in "-./#")
    return [DEFAULT, *words] if file and set(words) - {"-h", "--help"} else list(words)


def _add_servers(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("servers to measure on")
    group.add_argument(
        "--database", metavar="URL", help="sqlite, postgresql (default if installed), or the URL of an empty database"
    )
    group.add_argument("--redis", metavar="URL", help="a Redis server, instead of a private one")
    group.add_argument("--memcached", metavar="HOST:PORT,…", help="memcached servers, instead of a private one")
    group.add_argument("--json", metavar="FILE", help="write the raw numbers as JSON, too")


def _module(name: str) -> ModuleType:
    return importlib.import_module(f"tweeter.bench.{name}")
