"""`tweeter load`: loads users, follows and tweets from files."""

import argparse
from pathlib import Path

from tweeter.bulk.load import load
from tweeter.console.commands import add_ini, open_site
from tweeter.console.progress import progress
from tweeter.services.checks import check_password

DESCRIPTION = """
Loads users, follows and tweets from files, plain or gzipped. Loading is idempotent: existing rows are not
changed, and the same command completes an interrupted load. Bad lines are skipped and reported; the exit
code is 1 if every line of a file is bad.
"""

FORMATS = """
follows: one `follower followee` per line; a # starts a comment.
tweets: one JSON object per line, {"user": …, "date": …, "message": …, "id": …, "parent": …}.
The date is seconds since 1970, or ISO 8601 (UTC if it has no offset), from 2006 to tomorrow. id and parent
are optional: a reply names the id of its parent, which may be in another file, loaded before or after.
Tweets of the same millisecond are ordered by id if ids are numbers, else by line; replies come after their parents.
A name of digits is prefixed with `u`.
A message may have ten times the characters and code points of the site's limit for posts.
"""


def add_parser(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> argparse.ArgumentParser:
    parser = subparsers.add_parser(
        "load",
        help="load people, follows and tweets from files",
        description=DESCRIPTION,
        epilog=FORMATS,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add_ini(parser)
    parser.add_argument("--follows", metavar="FILE", type=_file, help="follows; - is stdin")
    parser.add_argument("--tweets", metavar="FILE", type=_file, help="tweets as JSON lines; - is stdin")
    parser.add_argument("--password", metavar="P", help="the password of all new users; without it they cannot sign in")
    parser.add_argument(
        "--strict",
        action="store_true",
        help="load nothing if any line is bad: all files are checked before anything is written",
    )
    parser.set_defaults(usage_error=parser.error)
    return parser


def run(args: argparse.Namespace) -> int:
    if args.follows is None and args.tweets is None:
        args.usage_error("give at least one of --follows and --tweets")
    if args.password is not None:
        check_password(args.password)
    with open_site(args.ini) as site, progress() as bar:
        password_hash = "" if args.password is None else site.passwords.hash(args.password)
        lines = load(site, bar, args.follows, args.tweets, password_hash, args.strict)
    print("\n".join(lines))
    return 0


def _file(name: str) -> Path:
    return Path("/dev/stdin" if name == "-" else name)
