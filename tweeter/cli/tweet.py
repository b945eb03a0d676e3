"""`tweeter tweet delete`: moderation of single tweets."""

import argparse

from tweeter.console.commands import CommandError, add_ini, ini_first, open_site
from tweeter.ids import MAX_ID
from tweeter.services.moderation import Deleted


def add_parser(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> argparse.ArgumentParser:
    parser = subparsers.add_parser("tweet", help="delete anybody's tweet")
    verbs = parser.add_subparsers(title="action", metavar="delete", dest="verb", required=True)
    command = verbs.add_parser(
        "delete",
        help="delete a tweet for ever, or undo a repost; replies to it stay",
        description="Delete a tweet for ever, as its author can; replies to it stay. The id of a repost undoes that.",
    )
    add_ini(command)
    command.add_argument("id", metavar="ID", help="the number in the tweet's address; INI and ID may come in any order")
    return parser


def run(args: argparse.Namespace) -> int:
    ini, text = ini_first(args.ini, args.id)
    if not (text.isascii() and text.isdecimal() and len(text) < 20 and 0 < int(text) <= MAX_ID):
        raise CommandError(f"{text!r} is not the id of a tweet: it is the number in the tweet's address.")
    with open_site(ini) as site, site.acting() as actions:
        deleted = actions.delete_any(int(text))
    print(_told(deleted))
    return 0


def _told(deleted: Deleted) -> str:
    if not deleted.repost:
        return f"Deleted the tweet of {deleted.username}: {deleted.message}"
    if deleted.of is None:
        return f"Undid the repost of a deleted tweet by {deleted.username}."
    return f"Undid the repost by {deleted.username}. The tweet of {deleted.of} stays: {deleted.message}"
