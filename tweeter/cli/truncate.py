"""`tweeter truncate`: removes old ids from materialized timelines, like the clean-up of the talk."""

import argparse
from datetime import timedelta
from functools import partial
from typing import Any

from tweeter import ids, outbox
from tweeter.console.commands import CommandError, add_ini, open_site
from tweeter.console.progress import progress
from tweeter.db.chunks import in_chunks
from tweeter.db.sessions import begin_immediate
from tweeter.models.base import now
from tweeter.outbox import consumers
from tweeter.values import Truncated


def add_parser(subparsers: Any) -> None:
    parser = subparsers.add_parser(
        "truncate",
        help="remove old tweets from the materialized timelines",
        description="""Removes older ids from the materialized timelines of all stores and processes, by an event in the
        outbox. The tweets themselves stay; SQL serves pages that far back. Delivered events that are older than
        tweeter.outbox.keep_hours are deleted from the outbox.""",
    )
    add_ini(parser)
    parser.add_argument("--days", type=float, default=30.0, help="the days to keep (default 30)")


def run(args: argparse.Namespace) -> int:
    if not args.days >= 0:
        raise CommandError("--days must not be negative.")
    with open_site(args.ini) as site:
        try:
            moment = now() - timedelta(days=args.days)
            before = ids.first_id(moment)
        except (ValueError, OverflowError):
            raise CommandError("--days goes back beyond the first possible tweet (2006).") from None
        keep = timedelta(hours=site.settings["tweeter.outbox.keep_hours"])
        with site.sessions.begin() as session:
            begin_immediate(session)
            outbox.record(session, Truncated(before))
        pruned = 0
        with progress() as shown:
            shown.phase("Old outbox events", None)
            for chunk in in_chunks(site.sessions, partial(consumers.prune, keep=keep)):
                pruned += chunk
                shown.advance(chunk)
    print(
        f"Ids older than {moment:%Y-%m-%d %H:%M} UTC are removed from materialized timelines; "
        f"{pruned:,} old outbox events deleted."
    )
    return 0
