"""The options of `tweeter bench chaos`, and its run."""

import argparse
import logging
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path

from tweeter.bench.chaos.cluster import BROKERS, FANS, PASSWORD, Cluster
from tweeter.bench.chaos.fans import Fans
from tweeter.bench.chaos.faults import KINDS, PATIENCE, Faults
from tweeter.bench.chaos.history import History
from tweeter.bench.chaos.person import Person
from tweeter.bench.chaos.report import SHOWN, VERIFIED, Found, line
from tweeter.bench.chaos.visitor import Visitor
from tweeter.bench.scratch import Scratch
from tweeter.console.commands import CommandError
from tweeter.outbox.checkpoint import FRESH

REST = 0.1  # seconds between two pages of a person
PAUSE = 1.5  # seconds between two faults
SAMPLE = 30  # of so many fans one is verified


def add_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--seconds", type=float, default=60.0, metavar="S", help="seconds of load (default 60)")
    parser.add_argument("--broker", choices=BROKERS, default="redis", help="the broker (default redis)")
    parser.add_argument(
        "--fault", choices=KINDS, action="append", help="kill only this; can be repeated (default: all in turn)"
    )
    parser.add_argument("--seed", type=int, default=1, help="the seed of what the users do (default 1)")
    parser.add_argument("--logs", type=Path, metavar="DIR", help="keep the logs of all servers in this folder")


def run(scratch: Scratch, args: argparse.Namespace) -> Found:
    if args.database not in (None, "postgresql") or args.redis or args.memcached:
        raise CommandError("Servers are killed: give no --database, --redis or --memcached.")
    if args.logs:
        args.logs.mkdir(parents=True, exist_ok=True)
    logging.disable(logging.ERROR)  # this process reads pages, too, and logs every outage
    scratch.progress.phase("Starting servers", None)
    cluster = Cluster(scratch, args.ini, args.broker)
    history = History(cluster.people)
    try:
        with ExitStack() as stack:
            visitors = [
                stack.enter_context(closing(Visitor(name, history, cluster.sites, args.seed + number)))
                for number, name in enumerate([*cluster.people.values(), cluster.people[min(cluster.people)]])
            ]
            for visitor in visitors:
                visitor.sign_in(PASSWORD)
            *visitors, watcher = visitors
            faults = Faults(cluster, history, watcher)
            _await_health(faults)
            people = _people(scratch, cluster, history, visitors, args.seed)
            fans = Fans(cluster.settings, cluster.fans, history)
            scratch.progress.phase("Seconds of load", round(args.seconds))
            turns, passed = faults.in_turn(args.fault or KINDS), 0
            ends = (began := time.monotonic()) + args.seconds
            with _living(history, [*(person.live for person in people), fans.live]):
                while not history.over.wait(min(PAUSE, max(0.0, ends - time.monotonic()))) and time.monotonic() < ends:
                    scratch.progress.say(line(faults.strike(next(turns))))
                    scratch.progress.advance(round(time.monotonic() - began) - passed)
                    passed = round(time.monotonic() - began)
            ended = time.monotonic()
            verified = _verify(scratch, cluster, history, ended)
            time.sleep(max(0.0, ended + FRESH - time.monotonic()))
            for person in people:
                person.check_at_rest()
            return Found(history.tallies, history.wrong, ended - began, verified)
    finally:
        for name, text in cluster.logs().items() if args.logs else ():
            (args.logs / f"{name}.log").write_text(text, encoding="utf-8")


def _people(
    scratch: Scratch, cluster: Cluster, history: History, visitors: Sequence[Visitor], seed: int
) -> list[Person]:
    """The last one only reads, and follows all others."""
    *writers, reader = cluster.people
    people = [
        Person(me, history, visitor, scratch.database, seed + me, rest=REST)
        for me, visitor in zip(writers, visitors, strict=False)
    ]
    reads = Person(reader, history, visitors[-1], scratch.database, seed, follows=writers, writes=False, rest=REST)
    return [*people, reads]


@contextmanager
def _living(history: History, lives: Sequence[Callable[[], None]]) -> Iterator[None]:
    """Each runs in a thread of its own, until the end of the block."""
    threads = [threading.Thread(target=history.run, args=[live]) for live in lives]
    try:
        for thread in threads:
            thread.start()
        yield
    finally:
        history.over.set()
        for thread in threads:
            thread.join()


def _await_health(faults: Faults) -> None:
    """Raises CommandError if the cluster does not work."""
    deadline = time.monotonic() + PATIENCE
    while ailing := faults.ailing():
        if time.monotonic() > deadline:
            raise CommandError(f"The cluster does not start: {ailing}.")
        time.sleep(0.05)


def _verify(scratch: Scratch, cluster: Cluster, history: History, ended: float) -> float:
    """Runs `tweeter verify` until it finds no difference; returns the seconds since the end of the load."""
    names = [*cluster.people.values(), *(f"fan{number}" for number in range(1, min(FANS.values()), SAMPLE))]
    users = [word for name in names for word in ("--user", name)]
    command = [sys.executable, "-m", "tweeter.cli", "verify", str(cluster.ini), *users]
    while True:
        done = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603 (our own command)
        took = time.monotonic() - ended
        if done.returncode == 0 and took <= VERIFIED:
            return took
        found = "; ".join((done.stderr + done.stdout).splitlines()[-SHOWN:])
        scratch.progress.say(f"tweeter verify, {took:.1f} s after the end: {found}")
        if took > VERIFIED:
            history.complain(
                f"tweeter verify was not clean {VERIFIED:g} s after the end; {took:.1f} s after it: {found}"
            )
            return took
