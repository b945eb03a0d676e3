"""The options of `tweeter bench report`, and the run with its files."""

import argparse
from pathlib import Path
from typing import Any, NamedTuple

from tweeter.bench.latency import QUICK as QUICK_CLIMB
from tweeter.bench.latency import Climbing
from tweeter.bench.plan import FULL, QUICK
from tweeter.bench.report.spreadsheet import write_csv
from tweeter.bench.schema import Result, label, write_json
from tweeter.bench.scratch import DATABASES, SEVERAL_DATABASES, Scratch
from tweeter.bench.workloads import REPLAY, SYNTHETIC, find
from tweeter.bulk.load.files import size
from tweeter.console.commands import CommandError, check_writable, natural
from tweeter.devtools.servers import NotInstalled
from tweeter.plugins import built_in, load
from tweeter.timelines import BACKENDS

NAME = "bench"  # stem of the file names
KINDS = ("json", "csv", "html")


def add_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--quick", action="store_true", help="smaller sizes; takes less than two minutes")
    parser.add_argument(
        "--seed", type=natural, default=1, metavar="N", help="the seed of the synthetic sites (default 1)"
    )
    parser.add_argument(
        "--backends", type=words, metavar="NAMES", help="backends, for example sql,redis,my.module (default: all)"
    )
    parser.add_argument(
        "--workloads",
        type=words,
        metavar="NAMES",
        help=f"some of {', '.join((*SYNTHETIC, REPLAY))}, or dotted names (default: all)",
    )
    parser.add_argument("--follows", type=Path, metavar="FILE", help="with --tweets: your own graph to replay")
    parser.add_argument(
        "--tweets", type=Path, metavar="FILE", help="your own tweets to replay; both files as for `tweeter load`"
    )
    parser.add_argument(
        "--output", type=Path, default=Path("bench"), metavar="FOLDER", help="the folder of the report (default bench)"
    )


class Found(NamedTuple):
    """The Report (`tweeter.bench.figures`) of a run, written to a folder."""

    result: Result
    folder: Path

    @property
    def code(self) -> int:
        """The exit code: 1 if a page was wrong."""
        return 1 if self.result.differed else 0

    def show(self) -> None:
        from tweeter.bench.report import terminal

        terminal.show(self.result)
        print(f"The report is {self.folder / NAME}.html, its numbers are beside it.")

    def data(self) -> dict[str, Any]:
        return {"report": str(self.folder / f"{NAME}.json")}


def run(scratch: Scratch, args: argparse.Namespace) -> Found:
    """Measures, and writes the files."""
    if args.database not in (None, *DATABASES):
        raise CommandError(SEVERAL_DATABASES)
    recording = _recording(args)
    names = SYNTHETIC if args.workloads is None else [name for name in args.workloads if name != REPLAY]
    backends = backends_of(scratch, args.backends)
    # Plots and graphs need the packages of an extra.
    from tweeter.bench.report.measure import Session, measure
    from tweeter.bench.report.page import write_html

    workloads = [find(name) for name in names]
    args.output.mkdir(parents=True, exist_ok=True)
    files = {kind: args.output / f"{NAME}.{kind}" for kind in KINDS}
    check_writable(*files.values())
    plan = QUICK if args.quick else FULL
    climbing = QUICK_CLIMB if args.quick else Climbing()
    result = measure(Session(scratch, args.ini, plan, climbing, args.quick, args.seed, backends, workloads, recording))
    write_json(result, files["json"])
    write_csv(result, files["csv"])
    write_html(result, files["html"])
    return Found(result, args.output)


def _recording(args: argparse.Namespace) -> tuple[Path, Path] | None:
    """The files to replay, if any."""
    files = [path for path in (args.follows, args.tweets) if path]
    if len(files) == 1 or (not files and REPLAY in (args.workloads or ())):
        raise CommandError("A replay needs both --follows and --tweets.")
    for path in files:
        size(path)  # reports a missing file now, not after everything else
    return (files[0], files[1]) if files and (args.workloads is None or REPLAY in args.workloads) else None


def backends_of(scratch: Scratch, names: list[str] | None) -> list[str]:
    """The named backends; else all built-in ones whose servers are installed, SQL first."""
    if names is not None:
        for name in names:
            load("--backends", name, BACKENDS)
        if len({label(name) for name in names}) < len(names):
            raise CommandError("Two of the backends have the same name; a report could not tell them apart.")
        for name in names:
            with scratch.machinery(name):
                pass  # fails now for an unavailable backend, not after measuring others
        return names
    found = []
    for name in sorted(built_in(BACKENDS), key=lambda name: (name != "sql", name)):
        try:
            scratch.settings(name)
            found.append(name)
        except NotInstalled as error:
            scratch.progress.say(f"{name} is skipped: {error}")
    return found


def words(text: str) -> list[str]:
    names = list(dict.fromkeys(text.replace(",", " ").split()))
    if not names:
        raise argparse.ArgumentTypeError("names are missing")
    return names
