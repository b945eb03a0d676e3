"""`tweeter load`: bulk loading of users, follows and tweets from files.

It has three steps, each with at most a batch in memory: files are read into temporary tables (`stage`), ordered there
(`tweets.arrange`), and written in short transactions, each of which leaves a consistent site (`people`, `tweets`,
`links`). Existing rows are not changed. Loading is idempotent, and a repeated load continues where it was interrupted.
"""

import argparse
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path

from sqlalchemy.exc import SQLAlchemyError

from tweeter.cli.load.database import BulkDatabase
from tweeter.cli.load.links import arrange_links, link_earlier_replies, write_links
from tweeter.cli.load.people import write_follows, write_users
from tweeter.cli.load.stage import Complaints, Stage
from tweeter.cli.load.tweets import arrange, write_tweets
from tweeter.console.commands import Site, add_ini, open_site
from tweeter.console.progress import Progress, progress
from tweeter.db.sessions import SessionFactory
from tweeter.outbox.site import end_load, site_id
from tweeter.services.checks import check_password

DESCRIPTION = """
Loads people, follows and tweets from files, plain or gzipped. Loading is idempotent: what the site has already is left
alone, and a load that was interrupted is completed by the same command. Bad lines are skipped and reported; the exit
code is 1 if every line of a file is bad.
"""

FORMATS = """
follows: one `follower followee` a line; what follows a # is a comment.
tweets: one JSON object a line, {"user": …, "date": …, "message": …, "id": …, "parent": …}.
The date is seconds since 1970, or ISO 8601 (UTC where it has no offset), from 2006 to tomorrow. id and parent
are optional: a reply names the id of its parent, which may be in another file, loaded before or after.
Tweets of the same millisecond are ordered by id where ids are numbers, else by line; replies come after their parents.
A name made of digits gets a `u` before it.
A message may have ten times the characters and code points that one may post.
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
    parser.add_argument("--follows", metavar="FILE", type=_file, help="who follows whom; - is stdin")
    parser.add_argument("--tweets", metavar="FILE", type=_file, help="tweets as JSON lines; - is stdin")
    parser.add_argument(
        "--password", metavar="P", help="with it one can sign in as any user that is new; else as none of them"
    )
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


@contextmanager
def _loading(sessions: SessionFactory) -> Iterator[list[bool]]:
    """At the end of the block, even if it is interrupted, makes all timelines of running sites cold, once.

    Until then they show the old pages. An error that ends the block gets a note on what is loaded. The list is
    non-empty once writing has begun.
    """
    writing: list[bool] = []
    try:
        site_id(sessions)  # creates the row in which changes are noted
        yield writing
    except BaseException as error:
        if isinstance(error, KeyboardInterrupt | SQLAlchemyError | OSError):
            kept = "What was loaded by then is kept. The same command completes the load."
            error.add_note(kept if writing else "Nothing was loaded.")
        with suppress(SQLAlchemyError):
            end_load(sessions)
        raise
    end_load(sessions)


def load(
    site: Site,
    bar: Progress,
    follows: Path | None,
    tweets: Path | None,
    password_hash: str = "",
    strict: bool = False,
) -> list[str]:
    """Loads the files. Returns the lines of the summary.

    Raises CommandError for an unreadable file and, if strict, for a bad line.
    """
    with _loading(site.sessions) as writing, closing(BulkDatabase(site.engine)) as database:
        stage = Stage(database, bar, strict, site.settings["tweeter.message_limit"])
        if follows:
            stage.read_follows(follows)
        if tweets:
            stage.read_tweets(tweets)
        stage.check_names()
        writing.append(True)
        users = write_users(database, bar, password_hash)
        pairs, new_follows = write_follows(database, bar) if stage.follows else (0, 0)
        repeated, new_tweets, unknown = 0, 0, Complaints(bar)
        if tweets and stage.tweets:
            bar.phase("Sorting tweets", None)
            repeated = arrange(database, stage)
            if stage.any_parent:
                arrange_links(database)
            new_tweets = write_tweets(database, bar, stage.tweets - repeated, stage.any_source, stage.any_parent)
            if stage.any_parent:
                write_links(database, tweets, unknown)
            if stage.any_source:
                link_earlier_replies(database)
        bar.phase("Analyzing", None)
        database.analyze("users", "relationships", "tweets", "mentions", "hashtags")
    lines = [f"Loaded {users:,} users, {new_follows:,} follows, {new_tweets:,} tweets."]
    lines += _counted("Already there", follows=pairs - new_follows, tweets=stage.tweets - repeated - new_tweets)
    lines += _counted("More than once in the files", follows=stage.follows - pairs, tweets=repeated)
    if stage.bad_lines.count:
        lines.append(f"Bad lines, skipped: {stage.bad_lines.count:,}.")
    if unknown.count:
        lines.append(f"Replies loaded without a parent: {unknown.count:,}.")
    return lines


def _file(name: str) -> Path:
    return Path("/dev/stdin" if name == "-" else name)


def _counted(what: str, **counts: int) -> list[str]:
    found = [f"{count:,} {name}" for name, count in counts.items() if count]
    return [f"{what}: {', '.join(found)}."] if found else []
