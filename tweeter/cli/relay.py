"""`tweeter relay`: delivers events to the shared stores in a process of its own."""

import argparse
import sys
import time
from contextlib import ExitStack
from typing import Any, NamedTuple

from pyramid.registry import Registry

import tweeter
from tweeter.console.commands import CommandError, add_ini, open_site
from tweeter.delivery import materialized
from tweeter.errors import BackendUnavailable
from tweeter.outbox import consumers
from tweeter.outbox.checkpoint import FRESH, Checkpoint, decode
from tweeter.outbox.log import Log, Position
from tweeter.outbox.site import site_identity

COUNTED = 100_000  # the maximal count of pending events
IDLE = 0.5  # seconds; after SIGSTOP and SIGCONT a signal may reach another thread, and interrupts no sleep


class Status(NamedTuple):
    """The delivery to a shared store: its lease holder and its progress."""

    store: str
    holder: str  # the host and process id of the relay; empty if there is none now
    age: float | None  # seconds since the log was last read to its end; None without a checkpoint
    behind: int  # events that are not applied
    in_flight: int
    problem: str = ""  # why the store is unreachable

    @property
    def live(self) -> bool:
        return not self.problem and self.age is not None and self.age < FRESH

    def __str__(self) -> str:
        if self.problem:
            return f"{self.store}: {self.problem}"
        if self.age is None:
            return f"{self.store}: no checkpoint; no relay has delivered to it yet"
        state = f"delivered by {self.holder}" if self.holder else "no relay holds the lease"
        return (
            f"{self.store}: {state}; {self.behind:,} events behind, {self.in_flight} in flight, "
            f"checkpoint {self.age:.1f} s old"
        )


def add_parser(subparsers: Any) -> None:
    parser = subparsers.add_parser(
        "relay",
        help="deliver to the shared stores in a process of its own",
        description="""Delivers committed events to the shared stores (Redis, memcached) that the ini file names, and to
        streams (`tweeter.pushpin`), until SIGTERM or Ctrl-C. Any number of relays may run: a lease elects one for each
        store, and another takes over within a second. With `tweeter.delivery = relay` the web processes leave delivery
        to it. It also prunes the outbox and removes the rows of closed accounts.""",
    )
    add_ini(parser)
    parser.add_argument(
        "--status",
        action="store_true",
        help="print the lease holder and the progress of each store; exit code 1 if any is over a second behind or "
        "unreachable",
    )


def run(args: argparse.Namespace) -> int:
    with open_site(args.ini) as site, ExitStack() as stack:
        delivery = "celery" if site.settings["tweeter.delivery"] == "celery" else "inline"
        own = {"tweeter.delivery": delivery, "tweeter.sql_timeout_ms": 0}
        streams = bool(site.settings["tweeter.pushpin"])  # what they send is rendered as the site does it
        parts = tweeter.everything if streams and not args.status else tweeter.machinery
        registry = stack.enter_context(tweeter.site(site.settings | own, deliver=False, parts=parts))
        stores = [timelines for timelines in materialized(registry) if not timelines.store.private]
        if not stores and not streams:
            raise CommandError(
                f"There is nothing to deliver to: {args.ini} names no shared store. Each process of the site "
                "delivers to its own memory store."
            )
        if args.status:
            found = [_status(registry, timelines) for timelines in stores]
            print(*found, sep="\n")
            return 0 if all(status.live for status in found) else 1
        try:
            tweeter.start(registry)
            names = [*(each.name for each in stores), *(["streams"] if streams else [])]
            print(
                f"Delivering to {', '.join(names)}. Stop it with Ctrl-C or SIGTERM.",
                file=sys.stderr,
            )
            while True:
                time.sleep(IDLE)
        except KeyboardInterrupt:
            return 0


def _status(registry: Registry, timelines: Any) -> Status:
    site = site_identity(registry.database.sessions)
    timelines.set_site(site.id)
    problem = ""
    checkpoint: Checkpoint | None = None
    try:
        timelines.store.run_id()
        checkpoint = decode(timelines.store.checkpoint())
    except BackendUnavailable as error:
        problem = str(error)
    with registry.database.sessions() as session:
        connection = session.connection()
        if checkpoint is None and not problem:
            row = consumers.read(connection, consumers.name_of(timelines.store.identity))
            checkpoint = decode(row.checkpoint) if row else None
        batch = Log(connection).read(checkpoint.position if checkpoint else Position(), COUNTED)
    if checkpoint is None:
        return Status(timelines.name, "", None, len(batch.events), 0, problem)
    age = checkpoint.age(batch.time)
    holder = checkpoint.holder if age < FRESH else ""
    return Status(timelines.name, holder, age, len(batch.events), len(checkpoint.in_flight), problem)
