"""The options of `tweeter bench animation`, and its report."""

import argparse
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

from tweeter.bench.animation.page import sentence, write_page
from tweeter.bench.animation.record import DOTS, Recording, record
from tweeter.bench.scratch import Scratch
from tweeter.console.commands import CommandError, check_writable, count

LEAST = 60_000  # followers; of fewer, most writes are in buffers when the relay is killed


def add_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--followers", type=count, default=200_000, metavar="N", help="followers of the author (default 200000)"
    )
    parser.add_argument(
        "--output", type=Path, default=Path("fan-out.html"), metavar="FILE", help="the page (default fan-out.html)"
    )


class Found(NamedTuple):
    """The Report (`tweeter.bench.figures`) of a recording, written to a file."""

    recording: Recording
    path: Path

    @property
    def code(self) -> int:
        """The exit code: 1 if a timeline differs from SQL's, or a page lacked the tweet."""
        return 0 if self.recording.right else 1

    def show(self) -> None:
        print(f"{sentence(self.recording)}\nThe animation is {self.path}.")

    def data(self) -> dict[str, Any]:
        return {"recording": msgspec.to_builtins(self.recording)}


def run(scratch: Scratch, args: argparse.Namespace) -> Found:
    if args.followers < LEAST:
        raise CommandError(f"--followers must be at least {LEAST:,}: the relay is killed in the middle of the fan-out.")
    check_writable(args.output)
    recording = record(scratch, args.followers, DOTS)
    write_page(recording, args.output)
    return Found(recording, args.output)
