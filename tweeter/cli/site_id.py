"""`tweeter site-id`: the id that separates the keys of this site from those of others in shared stores."""

import argparse
import sys
from typing import Any

from tweeter.console.commands import add_ini, open_site
from tweeter.outbox.site import renew_site_id, site_id


def add_parser(subparsers: Any) -> None:
    parser = subparsers.add_parser(
        "site-id",
        help="print the site's id in shared stores, or give a copied database its own",
        description="""Prints the id of the site's database. It is part of every key in Redis, memcached and other
        shared stores, so sites with separate databases can share a server. A copy of a database, for staging for
        example, has the id of the original: run `tweeter site-id --new` on the copy before its first use. Otherwise
        both sites write to the same timelines.""",
    )
    add_ini(parser)
    parser.add_argument(
        "--new", action="store_true", help="create a new id and print it; timelines in stores start cold"
    )


def run(args: argparse.Namespace) -> int:
    with open_site(args.ini) as site:
        if args.new:
            print(renew_site_id(site.sessions))
            print("Timelines in shared stores start cold; running processes notice by themselves.", file=sys.stderr)
        else:
            print(site_id(site.sessions))
    return 0
