"""`tweeter static`: the static files of the site, for a web server that serves them itself."""

import argparse
from pathlib import Path
from typing import Any

from tweeter.web.assets import Assets


def add_parser(subparsers: Any) -> None:
    parser = subparsers.add_parser(
        "static",
        help="write the static files for a web server",
        description="""Writes the static files of the site under the names of their URLs, compressed ones beside them
        (.gz, .br). The names contain a fingerprint of the content, so files of several versions can be in one folder:
        during an upgrade, pages of the old version find theirs.""",
    )
    parser.add_argument("folder", metavar="DIR", type=Path, help="the folder; it is created if it does not exist")


def run(args: argparse.Namespace) -> int:
    args.folder.mkdir(parents=True, exist_ok=True)
    for name, body in Assets().files():
        part = args.folder / f".{name}"
        part.write_bytes(body)
        part.replace(args.folder / name)  # a web server may be serving the folder
    return 0
