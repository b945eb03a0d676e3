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
import statistics
from collections.abc import Callable, Sequence
from time import perf_counter
from typing import NamedTuple

from sqlalchemy import Engine, text
from sqlalchemy.orm import Session

from tweeter.bench.figures import Figures, Ratio, percentile
from tweeter.bench.scratch import Scratch
from tweeter.console.commands import CommandError, count
from tweeter.db.engines import make_engine
from tweeter.db.sessions import make_sessions
from tweeter.devtools.servers import NotInstalled
from tweeter.models import Base
from tweeter.timelines import plans
from tweeter.timelines.kinds import built_in_kinds
from tweeter.values import Cursor

FOLLOWEES = (10, 30, 100, 300, 1000, 1500, 3000, 5000)
# The author of a tweet, among so many users; user 1 is the most active.
AUTHORS = {"power law": "greatest(1, floor(:users ^ random()))", "uniform": "1 + floor(random() * :users)"}
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
    parser.add_argument("--users", type=count, default=100_000, metavar="N", help="of each site (default 100000)")
    parser.add_argument("--tweets", type=count, default=10_000_000, metavar="N", help="of each (default 10000000)")
    parser.add_argument(
        "--followees", type=_counts, default=FOLLOWEES, metavar="N,…", help=f"default {','.join(map(str, FOLLOWEES))}"
    )
    parser.add_argument("--readers", type=count, default=10, metavar="N", help="who follow so many (default 10)")
    parser.add_argument("--runs", type=count, default=3, metavar="N", help="of each plan, in turns (default 3)")


def run(scratch: Scratch, args: argparse.Namespace) -> Figures:
    if args.database not in (None, "postgresql"):
        raise CommandError("Fills are measured on PostgreSQL, two sites on one server: give no --database.")
    if not any(_possible(kind, followees, args.users) for kind in KINDS for followees in args.followees):
        raise CommandError(f"Nobody can follow so many of {args.users:,} users.")
    scratch.postgresql_options |= ROOM
    figures = Figures(f"Fills of cold home timelines, of {args.users:,} users and {args.tweets:,} tweets", "ms")
    capacity = scratch.settings("sql")["tweeter.capacity"]
    for site, author in AUTHORS.items():
        scratch.progress.phase(f"Making a site, {site}", None)
        url = scratch.new_database()
        engine = make_engine(url)
        try:
            if engine.dialect.name != "postgresql":
                raise NotInstalled("postgres", "postgresql")
            groups = build(engine, author, args.users, args.tweets, args.followees, args.readers)
            scratch.progress.phase(f"Filling, {site}", len(groups))
            rows = []
            for (kind, followees), readers in groups.items():
                rows.append(measure_readers(engine, site, kind, followees, readers, args.runs, capacity))
                scratch.progress.advance(1)
        finally:
            engine.dispose()
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
            figures.ratios.append(Ratio(f"{site}, {kind}: {name}, of the slowest", worst, most=LONGEST, unit="ms"))
        figures.ratios.append(Ratio(f"{site}, {kind}: join / fill, at best", max(row.ratio for row in some)))


def _possible(kind: str, followees: int, users: int) -> bool:
    first, last = KINDS[kind]
    return followees < (last - first) * users


def _counts(text: str) -> tuple[int, ...]:
    return tuple(count(word) for word in text.split(","))


def line(row: Row) -> str:
    """A row as text: "power law, quiet, 300 followees: fill 3.1 ms (95th percentile 3.4) …"."""
    times = ", ".join(f"{plan} {median:.1f} ms ({late:.1f})" for plan, (median, late) in row.milliseconds.items())
    return f"{row.site}, {row.kind}, {row.followees} followees: {times}; join / fill {row.ratio:.1f}; {row.ids} ids"


def build(
    engine: Engine, author: str, users: int, tweets: int, followees: Sequence[int], readers: int
) -> dict[tuple[str, int], list[int]]:
    """Populates an empty database. Returns the ids of readers by kind and number of followees."""
    Base.metadata.create_all(engine)  # does nothing after migrations
    groups: dict[tuple[str, int], list[int]] = {}
    people = int(max(last for _, last in KINDS.values()) * users)
    with engine.begin() as connection:

        def run(statement: str, **values: object) -> None:
            connection.execute(text(statement), values)

        run("SELECT setseed(0.5)")
        # The rows are valid, so checks are skipped; building an index at the end is faster than maintaining it.
        run("SET LOCAL session_replication_role = replica")
        run("DROP INDEX ix_tweets_user_id_id")
        run(
            "INSERT INTO users (username, username_key, display_name, folded_name, bio, password_hash, auth_version,"
            " tweets_count, followers_count, following_count, date)"
            " SELECT 'u' || n, 'u' || n, 'User ' || n, 'user ' || n, '', '', 0, 0, 0, 0, now()"
            " FROM generate_series(1, :people) n",
            people=people,
        )
        run(
            "INSERT INTO tweets SELECT (CAST(:first AS bigint) - n) << 12, :users + 1 + n / :old * 2,"
            " 'Tweet number ' || n, '2020-01-01', NULL, 'tweet number ' || n"
            " FROM generate_series(1, (:people - :users) / 2 * :old - 1) n",
            users=users, people=people, old=OLD, first=FIRST,
        )  # fmt: skip
        run(
            f"INSERT INTO tweets SELECT (:first + n * :spacing) << 12, {author}, 'Tweet number ' || n || ' of many',"  # noqa: S608
            " '2025-01-01'::timestamptz + make_interval(secs => n * :spacing / 1000.0), NULL,"
            " 'tweet number ' || n || ' of many'"
            " FROM generate_series(1, CAST(:tweets AS bigint)) n",
            users=users, tweets=tweets, first=FIRST, spacing=SPACING,
        )  # fmt: skip
        for kind, (first, last) in KINDS.items():
            for number in followees:
                if not _possible(kind, number, users):
                    continue
                for _ in range(readers):
                    reader = people + 1 + sum(map(len, groups.values()))
                    groups.setdefault((kind, number), []).append(reader)
                    run(
                        "INSERT INTO relationships SELECT :reader, n"
                        " FROM generate_series(CAST(:first AS bigint), :last) n ORDER BY random() LIMIT :count",
                        reader=reader, first=int(first * users) + 1, last=int(last * users), count=number,
                    )  # fmt: skip
                    if kind == "silent":
                        run(
                            "INSERT INTO relationships SELECT :reader, n"
                            " FROM generate_series(CAST(:last AS bigint), :last + :count - 1) n",
                            reader=reader, last=int(KINDS["quiet"][0] * users) + 1, count=SPEAKING,
                        )  # fmt: skip
        run("CREATE INDEX ix_tweets_user_id_id ON tweets (user_id, id)")
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.execute(text("VACUUM ANALYZE"))
    return groups


def measure_readers(
    engine: Engine, site: str, kind: str, followees: int, readers: Sequence[int], runs: int, capacity: int
) -> Row:
    """The row of readers with equally many followees."""
    sessions = make_sessions(engine)
    cursor = Cursor(limit=capacity + 1)
    home = built_in_kinds()["home"]
    fewest = []

    def fill(session: Session, reader: int) -> None:
        fewest.append(len(home.backfill(session, reader, capacity).ids))

    contenders: dict[str, Callable[[Session, int], object]] = {
        "fill": fill,
        "recent": lambda session, reader: plans.recent(session, reader, cursor, plans.RECENT_OF_MANY),
        "heads": lambda session, reader: plans.heads(session, reader, cursor, plans.HEADS),
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
