"""`tweeter user add|password|suspend|unsuspend|close`: account administration."""

import argparse
import getpass
import sys
from collections.abc import Callable

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from tweeter.console.commands import CommandError, Site, add_ini, ini_first, open_site
from tweeter.console.progress import progress
from tweeter.db.chunks import in_chunks
from tweeter.models import Mention
from tweeter.services.checks import check_password
from tweeter.services.closing import remove_some
from tweeter.services.recounting import recount_some

_SUSPENDED = {
    ("suspend", True): "Suspended {}.",
    ("suspend", False): "{} is suspended already.",
    ("unsuspend", True): "{} is not suspended any more.",
    ("unsuspend", False): "{} is not suspended.",
}


def add_parser(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> argparse.ArgumentParser:
    parser = subparsers.add_parser("user", help="add an account, change its password, suspend or close it")
    verbs = parser.add_subparsers(
        title="action", metavar="add|password|suspend|unsuspend|close", dest="verb", required=True
    )
    for verb, help_ in (
        ("add", "add an account"),
        ("password", "give an account a new password; it ends all its sessions"),
        ("suspend", "hide an account, its tweets and follows from every page, and end its sessions"),
        ("unsuspend", "show a suspended account again, as it was"),
        ("close", "delete an account with its tweets, its followers and follows"),
    ):
        command = verbs.add_parser(verb, help=help_, description=f"{help_[0].upper()}{help_[1:]}.")
        add_ini(command)
        command.add_argument("name", metavar="NAME", help="the username; INI and NAME may come in any order")
        if verb == "close":
            command.add_argument("--yes", action="store_true", help="do not ask for confirmation")
        elif verb in ("add", "password"):
            command.add_argument(
                "--password",
                metavar="P",
                help="default: the command prompts for it, or reads the first line of stdin if that is not a terminal",
            )
    return parser


def run(args: argparse.Namespace) -> int:
    ini, name = ini_first(args.ini, args.name)
    name = name.removeprefix("@")
    with open_site(ini) as site:
        if args.verb == "close":
            with site.acting() as actions:
                username = actions.find(name).username
            # Asked outside of the transaction, so that no lock is held while the user decides.
            if not args.yes and not _confirmed(username):
                raise CommandError(f"{username} was not closed.")
            _close(site, name)
            print(f"Closed {username}.")
        elif args.verb == "add":
            password = _password(args.password)
            with site.acting() as actions:
                username = actions.sign_up(name, password).username
            print(f"Added {username}.")
        elif args.verb in ("suspend", "unsuspend"):
            with site.acting() as actions:
                user = actions.find(name)
                username = user.username
                changed = actions.suspend(user.id) if args.verb == "suspend" else actions.unsuspend(user.id)
            _recount(site, username)
            print(_SUSPENDED[args.verb, changed].format(username))
        else:
            with site.acting() as actions:
                user_id = actions.find(name).id
            password = _password(args.password)
            with site.acting() as actions:
                username = actions.set_password(user_id, password).username
            print(f"{username} has a new password.")
    return 0


def _close(site: Site, name: str) -> None:
    """Closes the account and removes its rows, together with those of other closed accounts."""
    with site.acting() as actions:
        user = actions.find(name)
        rows = 1 + user.tweets_count + user.followers_count + user.following_count
        actions.close_account(user.id)
    with site.sessions() as session:
        rows += session.scalar(select(func.count()).where(Mention.user_id == user.id)) or 0
    left = f"{name} is closed. The running site removes its other rows; so does closing another account."
    _in_chunks(site, "Removing rows", rows, remove_some, left)


def _recount(site: Site, username: str) -> None:
    """Adapts the counters of others, also what an earlier command or a bulk load has left to do."""
    left = f"The running site does the rest for {username}; so does the same command."
    _in_chunks(site, "Adapting counters", None, recount_some, left)


def _in_chunks(site: Site, phase: str, rows: int | None, work: Callable[[Session], int], left: str) -> None:
    """Does the work on these rows, with its progress. If it is interrupted, it says what is `left` to others."""
    with progress() as shown:
        shown.phase(phase, rows)
        try:
            for done in in_chunks(site.sessions, work):
                shown.advance(done)
        except KeyboardInterrupt:
            shown.say(left)
            raise


def _password(given: str | None) -> str:
    """Raises CommandError or Refused for an unusable password."""
    if given is None and not sys.stdin.isatty():
        given = sys.stdin.readline().rstrip("\r\n")
    elif given is None:
        try:
            given = getpass.getpass("Password: ")
            check_password(given)
            repeated = getpass.getpass("Once more: ")
        except EOFError:
            raise CommandError("No password was given.") from None
        if repeated != given:
            raise CommandError("The two passwords differ.")
    if not given:
        raise CommandError("No password was given.")
    check_password(given)
    return given


def _confirmed(username: str) -> bool:
    print(
        f"Close the account of {username}, with all tweets and followers? [y/N] ", end="", file=sys.stderr, flush=True
    )
    return sys.stdin.readline().strip().lower() in {"y", "yes"}
