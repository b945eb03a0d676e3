"""`tweeter verify`: compares the backend's timelines with SQL."""

import argparse
import random
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from itertools import islice
from typing import Any

from sqlalchemy import func, select

import tweeter
from tweeter.console.commands import CommandError, add_ini, natural, open_site, trouble
from tweeter.console.progress import progress
from tweeter.db.sessions import SessionFactory
from tweeter.interfaces import IDelivery, IMaterializedTimelines, ITimelineKinds, ITimelines
from tweeter.models import User
from tweeter.services.people import find_user
from tweeter.timelines.verify import PAGES, Verifier

SHOWN = 20  # printed differences
CATCH_UP = 30.0  # seconds
CAUGHT_UP = 5.0
IDS_AT_ONCE = 10_000


def add_parser(subparsers: Any) -> None:
    parser = subparsers.add_parser(
        "verify",
        help="compare the backend's timelines with SQL",
        description=f"""Reads the site's timelines, and those of a sample of the users, of every timeline kind, from the
        backend that the ini file names. Compares {PAGES} pages in full with SQL, and the ids of all materialized ones.
        Prints the differences; exit code 1 if there are any.""",
    )
    add_ini(parser)
    which = parser.add_mutually_exclusive_group()
    which.add_argument("--sample", type=natural, default=100, metavar="N", help="number of random users (default 100)")
    which.add_argument("--all", action="store_true", help="all users")
    which.add_argument("--user", action="append", metavar="NAME", help="a user; can be repeated")
    parser.add_argument("--store", metavar="BACKEND", help="compare another backend, for example a shadow")
    parser.add_argument("--seed", type=int, help="the seed of the sample; the same seed gives the same users")
    parser.add_argument(
        "--repair",
        action="store_true",
        help="make timelines that differ cold, so that they are backfilled; the exit code is 1 if any still differs",
    )


def run(args: argparse.Namespace) -> int:
    with ExitStack() as stack:
        site = stack.enter_context(open_site(args.ini))
        shown = stack.enter_context(progress())
        total, users = _users(site.sessions, args)
        store = {"tweeter.timelines": args.store} if args.store else {}
        registry = stack.enter_context(tweeter.site(site.settings | {"tweeter.sql_timeout_ms": 0} | store))
        timelines = registry.getUtility(ITimelines)
        delivery = registry.getUtility(IDelivery)
        if not delivery.drain(CATCH_UP):
            raise CommandError(f"{timelines.name} can't be used: {trouble(timelines)}")
        kinds = registry.getUtility(ITimelineKinds)
        verifier = Verifier(timelines, kinds, registry.database.sessions, lambda: delivery.drain(CAUGHT_UP))
        owned = sum(kind.owned and kind.of_users for kind in kinds.values())
        shared = sum(not kind.owned for kind in kinds.values())
        shown.phase("Timelines", shared + owned * total)
        compared = wrong = repaired = 0
        for timeline in kinds.timelines(users, registry.database.sessions):
            verdict = verifier.verify(timeline, args.repair)
            compared += 1
            shown.advance(kinds[timeline.kind].of_users)
            if verdict.differences:
                wrong += 1
                repaired += verdict.repaired
                if wrong <= SHOWN:
                    for difference in verdict.differences:
                        shown.say(f"{timeline.key}: {difference}{' (repaired)' if verdict.repaired else ''}")
    if wrong > SHOWN:
        print(f"… and {wrong - SHOWN:,} more timelines that differ", file=sys.stderr)
    print(f"{timelines.name}: {compared:,} timelines compared with SQL, {_count_of(wrong, repaired)}.")
    if IMaterializedTimelines.providedBy(timelines) and timelines.store.private:
        print(
            f"{timelines.name} is private to each process: this verified the backfills of this process, "
            "not the timelines of a running site."
        )
    return 1 if wrong > repaired else 0


def _count_of(wrong: int, repaired: int) -> str:
    if not wrong:
        return "no difference"
    return f"{wrong:,} differ" + (f", {repaired:,} of them repaired" if repaired else "")


def _users(sessions: SessionFactory, args: argparse.Namespace) -> tuple[int, Iterator[int]]:
    """The number of users to verify, and their ids."""
    if args.user:
        with sessions() as session:
            found = {name: find_user(session, name.removeprefix("@")) for name in args.user}
        if missing := [name for name, user in found.items() if user is None]:
            raise CommandError(f"Unknown users: {', '.join(missing)}.")
        ids = {user.id for user in found.values() if user}
        return len(ids), iter(ids)
    with sessions() as session:
        count = session.scalar(select(func.count()).select_from(User).where(~User.closed)) or 0
    if args.all:
        return count, _every_user(sessions)
    sample = _sample(_every_user(sessions), args.sample, random.Random(args.seed))  # noqa: S311 (no secret)
    return len(sample), iter(sample)


def _sample(ids: Iterator[int], size: int, chance: random.Random) -> list[int]:
    """A uniform random sample of the ids (reservoir sampling): only `size` of them are in memory."""
    sample = list(islice(ids, size))
    for number, id_ in enumerate(ids, size):
        place = chance.randrange(number + 1)
        if place < size:
            sample[place] = id_
    chance.shuffle(sample)
    return sample


def _every_user(sessions: SessionFactory) -> Iterator[int]:
    """Reads chunks of ids in separate transactions: one long transaction would block other sessions."""
    last = 0
    while True:
        query = select(User.id).where(User.id > last, ~User.closed).order_by(User.id).limit(IDS_AT_ONCE)
        with sessions() as session:
            ids = session.scalars(query).all()
        if not ids:
            return
        yield from ids
        last = ids[-1]
