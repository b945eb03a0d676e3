"""Backfill of cold home timelines on PostgreSQL, by the number of followees and how much they tweet.

Each row measures readers with equally many followees of one kind:

    quiet    the third of the users who tweet least
    any      drawn from all users
    active   the sixteenth who tweet most
    silent   users who never tweeted, or not for years, and five quiet ones

There are two sites: on one, all users tweet equally often; on the other, as on real sites, the n-th most active tweets
1/n as often as the first. Every plan in turn reads each reader's timeline; the first reads are not counted. Ten million
tweets take some minutes and 4 GB of disk.
"""

import argparse
import random
import statistics
from collections.abc import Callable, Sequence
from itertools import chain
from time import perf_counter
from typing import NamedTuple

from sqlalchemy import Engine
from sqlalchemy.orm import Session

from tweeter.bench.figures import Figures, percentile
from tweeter.bench.machinery import engine_at
from tweeter.bench.scratch import Scratch
from tweeter.bulk.rows import bulk_rows
from tweeter.console.commands import CommandError, count, counts
from tweeter.console.progress import Progress
from tweeter.db.sessions import make_sessions
from tweeter.devtools.servers import NotInstalled
from tweeter.ids import SEQUENCE_BITS
from tweeter.models import Base
from tweeter.timelines import plans
from tweeter.timelines.kinds.home import Home
from tweeter.values import Cursor

FOLLOWEES = (10, 30, 100, 300, 1000, 1500, 3000, 5000)
# The author of a tweet, among so many users, by a random number; user 1 is the most active.
Author = Callable[[int, float], int]
AUTHORS: dict[str, Author] = {
    "power law": lambda users, chance: int(users**chance),
    "uniform": lambda users, chance: 1 + int(users * chance),
}
# The range of possible followees, as fractions of all users.
KINDS = {"quiet": (0.67, 1.0), "any": (0.0, 1.0), "active": (0.0, 0.0625), "silent": (1.0, 1.25)}
SPEAKING = 5  # quiet followees of a silent reader
OLD = 3  # tweets of every second silent user, older than all others
LONGEST = 8  # milliseconds: target for the median and for the 95th percentile of a backfill
# So that the indexes fit into PostgreSQL's memory, as in production.
ROOM = {"shared_buffers": "2GB", "maintenance_work_mem": "512MB", "max_wal_size": "8GB"}
TOO_LONG = 0.5  # seconds; a slower plan is not measured again on this kind of reader
SPACING = 5000  # milliseconds between tweets
FIRST = 600_000_000_000  # milliseconds after the epoch of ids


class Row(NamedTuple):
    """Milliseconds for one kind of reader: median and 95th percentile of each plan, the one in use first."""

    site: str
    kind: str
    followees: int
    ids: int  # the fewest ids of a backfill
    milliseconds: dict[str, tuple[float, float]]
    fills: list[float]  # milliseconds of each backfill

    @property
    def ratio(self) -> float:
        """The time of the talk's join, relative to the backfill."""
        return self.milliseconds["join"][0] / self.milliseconds["fill"][0]


def add_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--users", type=count, default=100_000, metavar="N", help="users per site (default 100000)")
    parser.add_argument(
        "--tweets", type=count, default=10_000_000, metavar="N", help="tweets per site (default 10000000)"
    )
    parser.add_argument(
        "--followees",
        type=counts,
        default=FOLLOWEES,
        metavar="N,…",
        help=f"numbers of followees (default {','.join(map(str, FOLLOWEES))})",
    )
    parser.add_argument(
        "--readers", type=count, default=10, metavar="N", help="readers per number of followees (default 10)"
    )
    parser.add_argument("--runs", type=count, default=3, metavar="N", help="runs per plan, in turns (default 3)")


def run(scratch: Scratch, args: argparse.Namespace) -> Figures:
    if args.database not in (None, "postgresql"):
        raise CommandError("Backfills are measured on PostgreSQL, two sites on one server: give no --database.")
    if not any(_possible(kind, followees, args.users) for kind in KINDS for followees in args.followees):
        raise CommandError(f"No user can follow so many of {args.users:,} users.")
    scratch.postgresql_options |= ROOM
    figures = Figures(f"Backfills of cold home timelines, of {args.users:,} users and {args.tweets:,} tweets", "ms")
    capacity = scratch.settings("sql")["tweeter.capacity"]
    for site, author in AUTHORS.items():
        scratch.progress.say(f"Creating a site, {site}")
        url = scratch.new_database()
        rows = []
        with engine_at(url) as engine:
            if engine.dialect.name != "postgresql":
                raise NotInstalled("postgres", "postgresql")
            groups = build(engine, author, args.users, args.tweets, args.followees, args.readers, scratch.progress)
            scratch.progress.phase(f"Filling, {site}", len(groups))
            for (kind, followees), readers in groups.items():
                rows.append(measure_readers(engine, site, kind, followees, readers, args.runs, capacity))
                scratch.progress.advance(1)
        scratch.drop(url)
        _tell(figures, site, rows)
    return figures


def _tell(figures: Figures, site: str, rows: Sequence[Row]) -> None:
    for row in rows:
        figures.add({f"{site}, {row.kind}, {row.followees:,} followees": row.fills})
        figures.notes.append(line(row))
    for kind in dict.fromkeys(row.kind for row in rows):
        some = [row for row in rows if row.kind == kind]
        for place, name in enumerate(("median", "95th percentile")):
            worst = max(row.milliseconds["fill"][place] for row in some)
            figures.claim(f"{site}, {kind}: {name}, of the slowest", worst, most=LONGEST, unit="ms")
        figures.claim(f"{site}, {kind}: join / fill, at best", max(row.ratio for row in some))


def _possible(kind: str, followees: int, users: int) -> bool:
    first, last = KINDS[kind]
    return followees < (last - first) * users


def line(row: Row) -> str:
    """A row as text: "power law, quiet, 300 followees: fill 3.1 ms (95th percentile 3.4) …"."""
    times = ", ".join(f"{plan} {median:.1f} ms ({late:.1f})" for plan, (median, late) in row.milliseconds.items())
    return f"{row.site}, {row.kind}, {row.followees} followees: {times}; join / fill {row.ratio:.1f}; {row.ids} ids"


def build(
    engine: Engine, author: Author, users: int, tweets: int, followees: Sequence[int], readers: int, progress: Progress
) -> dict[tuple[str, int], list[int]]:
    """Populates an empty database. Returns the ids of readers by kind and number of followees."""
    Base.metadata.create_all(engine)  # does nothing after migrations
    chance = random.Random(1)  # noqa: S311 (no secret)
    groups: dict[tuple[str, int], list[int]] = {}
    with bulk_rows(engine, progress, indexes=False) as rows:
        people = rows.people(int(max(last for _, last in KINDS.values()) * users), "u")
        silent = people[users::2]
        old = ((FIRST - n, silent[n // OLD]) for n in range(1, len(silent) * OLD))
        new = ((FIRST + n * SPACING, author(users, chance.random())) for n in range(1, tweets + 1))
        dated = enumerate(chain(old, new), 1)
        rows.tweets(((ms << SEQUENCE_BITS, by, f"Tweet number {n}") for n, (ms, by) in dated), tweets)
        pairs: list[tuple[int, int]] = []
        for kind, (first, last) in KINDS.items():
            for number in followees:
                if not _possible(kind, number, users):
                    continue
                found = rows.people(readers, f"{kind}{number}_")
                groups[kind, number] = list(found)
                for reader in found:
                    pairs += (
                        (reader, n) for n in chance.sample(people[int(first * users) : int(last * users)], number)
                    )
                    if kind == "silent":
                        quiet = int(KINDS["quiet"][0] * users)
                        pairs += ((reader, n) for n in people[quiet : quiet + SPEAKING])
        rows.follows(pairs, len(pairs))
    return groups


def measure_readers(
    engine: Engine, site: str, kind: str, followees: int, readers: Sequence[int], runs: int, capacity: int
) -> Row:
    """The row of readers with equally many followees."""
    sessions = make_sessions(engine)
    cursor = Cursor(limit=capacity + 1)
    home = Home()
    fewest = []

    def fill(session: Session, reader: int) -> None:
        fewest.append(len(home.backfill(session, reader, capacity).ids))

    contenders: dict[str, Callable[[Session, int], object]] = {
        "fill": fill,
        "recent": lambda session, reader: home.plans.recent(session, reader, cursor, plans.RECENT_OF_MANY),
        "heads": lambda session, reader: home.plans.heads(session, reader, cursor, plans.HEADS),
        "join": lambda session, reader: home.read_ids(session, reader, capacity + 1),
    }
    seconds: dict[str, list[float]] = {name: [] for name in contenders}
    for run in range(runs + 1):
        for reader in readers:
            for name, read in contenders.items():
                if seconds[name] and seconds[name][-1] > TOO_LONG:
                    continue
                with sessions() as session:
                    session.connection()  # starts the transaction
                    began = perf_counter()
                    read(session, reader)
                    took = perf_counter() - began
                if run or took > TOO_LONG:
                    seconds[name].append(took)
    taken = {name: [1000 * second for second in some] for name, some in seconds.items()}
    milliseconds = {name: (statistics.median(some), percentile(some, 95)) for name, some in taken.items()}
    return Row(site, kind, followees, min(fewest), milliseconds, taken["fill"])
