"""`tweeter init`: the folder of a production site, with its ini file and its secret. Needs no checkout."""

import argparse
import os
import re
import secrets
import shlex
from pathlib import Path
from typing import Any

import tweeter
from tweeter.console.commands import CommandError
from tweeter.console.migrations import migrations
from tweeter.db.options import engine_of
from tweeter.plugins import load
from tweeter.timelines import BACKENDS

SQLITE = "sqlite:///%(here)s/tweeter.sqlite"
_PACKAGE = Path(tweeter.__file__).parent


def add_parser(subparsers: Any) -> None:
    parser = subparsers.add_parser(
        "init",
        help="write the ini file and the secret of a production site",
        description="""Makes the folder of a production site: production.ini, with comments on its settings, and the
        file `secret` with a new random key, which signs cookies. Only the owner can read them. Existing files are
        not overwritten.""",
    )
    parser.add_argument("folder", metavar="DIR", type=Path, help="the folder; it is created if it does not exist")
    parser.add_argument("--database", metavar="URL", help="sqlalchemy.url; without it a SQLite file in the folder")
    parser.add_argument("--backend", metavar="NAME", help="tweeter.timelines; by default the one of a single process")


def run(args: argparse.Namespace) -> int:
    if args.backend is not None:
        load("tweeter.timelines", args.backend, BACKENDS)
    if args.database is not None:
        if not args.database.isprintable():
            raise CommandError("The URL of the database contains a line break or another control character.")
        engine_of({"sqlalchemy.url": args.database}).dispose()
    ini, secret = args.folder / "production.ini", args.folder / "secret"
    for file in (ini, secret):
        if os.path.lexists(file):
            raise CommandError(f"{file} exists already; nothing was changed.")
    text = _ini(SQLITE if args.database is None else args.database.replace("%", "%%"), args.backend)
    args.folder.mkdir(parents=True, exist_ok=True)
    _write(secret, secrets.token_hex(32) + "\n")
    _write(ini, text)
    name = shlex.quote(str(ini))
    print(f"Wrote {ini} and {secret}. Next:\n  alembic -c {name} upgrade head\n  pserve {name}")
    return 0


def _ini(database: str, backend: str | None) -> str:
    """The production.ini of the wheel, or of a checkout, with these values."""
    source = next(
        folder / "production.ini" for folder in (_PACKAGE, _PACKAGE.parent) if (folder / "production.ini").exists()
    )
    text = source.read_text(encoding="utf-8")
    lines = {
        "sqlalchemy.url": f"sqlalchemy.url = {database}",
        "tweeter.secret": "tweeter.secret_file = %(here)s/secret",
        "script_location": f"script_location = {migrations().replace('%', '%%')}",
    }
    if backend is not None:
        lines["tweeter.timelines"] = f"tweeter.timelines = {backend}"
    for name, line in lines.items():
        text, found = re.subn(rf"^{re.escape(name)} = .*$", line.replace("\\", r"\\"), text, flags=re.MULTILINE)
        if found != 1:
            raise CommandError(f"{source} must set {name} once.")
    return text


def _write(file: Path, text: str) -> None:
    with os.fdopen(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8") as stream:
        stream.write(text)
