"""`tweeter ini`: the ini file of a production site, for installations without a checkout."""

import argparse
from pathlib import Path
from typing import Any

import tweeter
from tweeter.console.commands import CommandError
from tweeter.console.migrations import migrations

_PACKAGE = Path(tweeter.__file__).parent


def add_parser(subparsers: Any) -> None:
    parser = subparsers.add_parser(
        "ini",
        help="write the ini file of a production site",
        description="""Writes the ini file of a production site, with comments on its settings. It does not overwrite
        an existing file.""",
    )
    parser.add_argument("file", metavar="FILE", type=Path, help="the file to write, for example production.ini")


def run(args: argparse.Namespace) -> int:
    source = next(
        folder / "production.ini" for folder in (_PACKAGE, _PACKAGE.parent) if (folder / "production.ini").exists()
    )
    text = source.read_text(encoding="utf-8").replace("%(here)s/alembic", migrations().replace("%", "%%"))
    try:
        with args.file.open("x", encoding="utf-8") as file:
            file.write(text)
    except FileExistsError:
        raise CommandError(f"{args.file} exists already; it was not changed.") from None
    print(
        f"Wrote {args.file}. Next: set TWEETER_SECRET_FILE and SQLALCHEMY_URL, then alembic -c {args.file} upgrade head"
    )
    return 0
