"""How long SQL takes to fill a cold home timeline, by the number of followees and how much they tweet.

`measure` makes a table of it for each kind of followee:

    quiet    the third of the people who tweet least
    any      drawn from all
    active   the sixteenth who tweet most

One half of the sites has people who tweet equally often; on the other half, as on real ones, the n-th most active
tweets 1/n as often as the first.
"""

import statistics
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from time import perf_counter
from typing import NamedTuple

from sqlalchemy import Engine, text
from sqlalchemy.orm import Session

from tweeter.models import Base
from tweeter.models.meta import make_engine, make_sessions
from tweeter.servers import PostgreSQL
from tweeter.timelines import plans, queries
from tweeter.values import Cursor, Timeline

FOLLOWEES = (10, 30, 100, 300, 1000, 1500, 3000, 5000)
# Whose tweet it is, of so many users; user 1 is the most active.
AUTHORS = {"power law": "greatest(1, floor(:users ^ random()))", "uniform": "1 + floor(random() * :users)"}
# The first and the last of whom one follows, as parts of all users.
KINDS = {"quiet": (0.67, 1.0), "any": (0.0, 1.0), "active": (0.0, 0.0625)}
TOO_LONG = 0.5  # seconds, after which a plan is not measured again on the same kind of reader
SPACING = 5000  # milliseconds between tweets
FIRST = 600_000_000_000  # milliseconds after the epoch of ids


class Row(NamedTuple):
    """Milliseconds for readers of one kind: median and 95th percentile of each plan, the one that is used first."""

    site: str
    kind: str
    followees: int
    ids: int  # the fewest that a fill began with
    milliseconds: dict[str, tuple[float, float]]

    @property
    def ratio(self) -> float:
        """How many times as long the talk's join takes."""
        return self.milliseconds["join"][0] / self.milliseconds["fill"][0]


def measure(
    users: int = 100_000,
    tweets: int = 10_000_000,
    followees: Sequence[int] = FOLLOWEES,
    readers: int = 10,
    runs: int = 3,
    capacity: int = 800,
    tell: Callable[[str], None] = lambda line: None,
) -> list[Row]:
    """Rows for each site, kind and number of followees that there can be; on a PostgreSQL server of its own.

    Makes sites of `users` and `tweets`, and of each kind `readers` who follow so many. Each reader's timeline is read
    `runs` times by every plan in turn, after once that is not counted. `tell` is called with each line of the table,
    as soon as it is known. Ten million tweets take four minutes and 4 GB of disk.
    """
    rows = []
    with _server() as server:
        for number, (site, author) in enumerate(AUTHORS.items()):
            server.execute(f"CREATE DATABASE fill_{number}")
            engine = make_engine(server.url(f"fill_{number}"))
            try:
                groups = build(engine, author, users, tweets, followees, readers)
                for (kind, count), some in groups.items():
                    rows.append(measure_readers(engine, site, kind, count, some, runs, capacity))
                    tell(line(rows[-1]))
            finally:
                engine.dispose()
            server.execute(f"DROP DATABASE fill_{number}")
    return rows


def line(row: Row) -> str:
    """A row as text: "power law, quiet, 300 followees: fill 3.1 ms (95th percentile 3.4) …"."""
    times = ", ".join(f"{plan} {median:.1f} ms ({late:.1f})" for plan, (median, late) in row.milliseconds.items())
    return f"{row.site}, {row.kind}, {row.followees} followees: {times}; join / fill {row.ratio:.1f}; {row.ids} ids"


def build(
    engine: Engine, author: str, users: int, tweets: int, followees: Sequence[int], readers: int
) -> dict[tuple[str, int], list[int]]:
    """Fills an empty database; the ids of readers by kind and number of followees."""
    Base.metadata.create_all(engine)  # does nothing where migrations were run
    groups: dict[tuple[str, int], list[int]] = {}
    with engine.begin() as connection:

        def run(statement: str, **values: object) -> None:
            connection.execute(text(statement), values)

        run("SELECT setseed(0.5)")
        # Rows that are known to be right are not checked one by one, and an index is made quicker than it is kept.
        run("SET LOCAL session_replication_role = replica")
        run("DROP INDEX ix_tweets_user_id_id")
        run(
            "INSERT INTO users (username, username_key, display_name, bio, password_hash, auth_version, tweets_count,"
            " followers_count, following_count, date)"
            " SELECT 'u' || n, 'u' || n, 'User ' || n, '', '', 0, 0, 0, 0, now() FROM generate_series(1, :users) n",
            users=users,
        )
        run(
            f"INSERT INTO tweets SELECT (:first + n * :spacing) << 12, {author}, 'Tweet number ' || n || ' of many',"  # noqa: S608
            " '2025-01-01'::timestamptz + make_interval(secs => n * :spacing / 1000.0), NULL"
            " FROM generate_series(1, CAST(:tweets AS bigint)) n",
            users=users, tweets=tweets, first=FIRST, spacing=SPACING,
        )  # fmt: skip
        for kind, (first, last) in KINDS.items():
            for count in followees:
                if count >= (last - first) * users:
                    continue
                for _ in range(readers):
                    reader = users + 1 + sum(map(len, groups.values()))
                    groups.setdefault((kind, count), []).append(reader)
                    run(
                        "INSERT INTO relationships SELECT :reader, n"
                        " FROM generate_series(CAST(:first AS bigint), :last) n ORDER BY random() LIMIT :count",
                        reader=reader, first=int(first * users) + 1, last=int(last * users), count=count,
                    )  # fmt: skip
        run("CREATE INDEX ix_tweets_user_id_id ON tweets (user_id, id)")
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.execute(text("VACUUM ANALYZE"))
    return groups


def measure_readers(
    engine: Engine, site: str, kind: str, followees: int, readers: Sequence[int], runs: int, capacity: int
) -> Row:
    """The row of some readers who follow equally many."""
    sessions = make_sessions(engine)
    cursor = Cursor(limit=capacity + 1)
    fewest = []

    def fill(session: Session, reader: int) -> None:
        fewest.append(len(plans.fill(session, Timeline.home(reader), capacity)[0]))

    contenders: dict[str, Callable[[Session, int], object]] = {
        "fill": fill,
        "recent": lambda session, reader: plans.recent(session, reader, cursor, plans.RECENT_OF_MANY),
        "heads": lambda session, reader: plans.heads(session, reader, cursor, plans.HEADS),
        "join": lambda session, reader: queries.read_ids(session, Timeline.home(reader), capacity + 1),
    }
    seconds: dict[str, list[float]] = {name: [] for name in contenders}
    for run in range(runs + 1):
        for reader in readers:
            for name, read in contenders.items():
                if seconds[name] and seconds[name][-1] > TOO_LONG:
                    continue
                with sessions() as session:
                    session.connection()  # begins
                    began = perf_counter()
                    read(session, reader)
                    took = perf_counter() - began
                if run or took > TOO_LONG:
                    seconds[name].append(took)
    return Row(
        site, kind, followees, min(fewest), {name: (_ms(took, 0.5), _ms(took, 0.95)) for name, took in seconds.items()}
    )


def _ms(seconds: Sequence[float], part: float) -> float:
    if part == 0.5 or len(seconds) < 2:
        return statistics.median(seconds) * 1000
    return statistics.quantiles(seconds, n=100, method="inclusive")[round(part * 100) - 1] * 1000


@contextmanager
def _server() -> Iterator[PostgreSQL]:
    """PostgreSQL with room for the indexes in its memory, as it would have."""
    server = PostgreSQL()
    try:
        server.start()
        for option, value in {"shared_buffers": "2GB", "maintenance_work_mem": "512MB", "max_wal_size": "8GB"}.items():
            server.execute(f"ALTER SYSTEM SET {option} = '{value}'")
        server.stop()
        server.start()
        yield server
    finally:
        server.close()
