"""A populated site, written into an empty migrated database within seconds."""

import time
from collections.abc import Iterable, Iterator
from contextlib import closing
from typing import Any, NamedTuple

import numpy as np
from sqlalchemy import Engine, Table, text
from sqlalchemy.schema import CreateIndex, DropIndex

from tweeter import ids
from tweeter.bench.graphs import Graph, Numbers, pick, popularity
from tweeter.cli.load.database import BulkDatabase
from tweeter.console.progress import Progress
from tweeter.models import Base
from tweeter.text import fold

ROWS_AT_ONCE = 50_000
DAYS = 30  # days before now over which the tweets are spread
TEXTS = 1_000
# Lengths of tweets: most are short, with a peak at the limit.
LONGEST = 140
SYLLABLES = [consonant + vowel for consonant in "bdfgklmnprst" for vowel in "aeio"]


class Written(NamedTuple):
    """The contents of the database. Users are the rows 1, 2, 3…, numbered from 0; `u1` is the first one's name."""

    users: int
    follows: int
    tweet_ids: Numbers


def write_world(engine: Engine, graph: Graph, tweets: int, seed: int, progress: Progress) -> Written:
    """Writes users, relationships with their counters, and tweets of the last 30 days; activity varies widely.

    Indexes and statistics are in the state of a long-running site.
    """
    random = np.random.default_rng([seed, tweets])
    authors = pick(popularity(graph.users, random), tweets, random)
    epoch_ms, tweet_ids = _moments(tweets, random)
    messages = _messages(random)
    texts = random.integers(0, TEXTS, tweets)
    progress.phase("Writing people and tweets", graph.users + len(graph.followers) + tweets)
    tables = [Base.metadata.tables[name] for name in ("relationships", "tweets")]
    with closing(BulkDatabase(engine)) as database:
        if database.postgresql:
            with database.staging():
                database.execute("SET session_replication_role = replica")  # the rows are valid: skips their checks
        for table in tables:
            _indexes(database, engine, table, DropIndex)
        counts = (
            np.bincount(authors, minlength=graph.users), graph.followers_of_each(), graph.followees_of_each(),
        )  # fmt: skip
        now = _dates(np.array([time.time_ns() // 1_000_000]))[0]
        for part in _parts(graph.users):
            rows = (
                (n + 1, f"u{n + 1}", f"u{n + 1}", f"User {n + 1}", f"user {n + 1}", "", "", 0, *each, now)
                for n, *each in zip(
                    range(part.start, part.stop), *(count[part].tolist() for count in counts), strict=True
                )
            )
            _insert(database, progress, "users", _USER_COLUMNS, rows, part)
        for part in _parts(len(graph.followers)):
            pairs = zip((graph.followers[part] + 1).tolist(), (graph.followees[part] + 1).tolist(), strict=True)
            _insert(database, progress, "relationships", ("from_user_id", "to_user_id"), pairs, part)
        for part in _parts(tweets):
            columns = (tweet_ids[part].tolist(), (authors[part] + 1).tolist(), texts[part].tolist(),
                       _dates(epoch_ms[part]))  # fmt: skip
            rows = (
                (id_, user, messages[n], date, fold(messages[n])) for id_, user, n, date in zip(*columns, strict=True)
            )
            _insert(database, progress, "tweets", ("id", "user_id", "message", "date", "folded"), rows, part)
        progress.phase("Indexes and statistics", None)
        for table in tables:
            _indexes(database, engine, table, CreateIndex)
        if database.postgresql:
            with database.staging():
                database.execute("SELECT setval(pg_get_serial_sequence('users', 'id'), :last)", last=graph.users)
    with engine.connect() as connection:
        # On PostgreSQL also sets the visibility map, for index-only scans.
        vacuum = "VACUUM ANALYZE" if engine.dialect.name == "postgresql" else "ANALYZE"
        connection.execution_options(isolation_level="AUTOCOMMIT").execute(text(vacuum))
    return Written(graph.users, len(graph.followers), tweet_ids)


_USER_COLUMNS = (
    "id", "username", "username_key", "display_name", "folded_name", "bio", "password_hash", "auth_version",
    "tweets_count", "followers_count", "following_count", "date",
)  # fmt: skip


def _parts(count: int) -> Iterator[slice]:
    for start in range(0, count, ROWS_AT_ONCE):
        yield slice(start, min(count, start + ROWS_AT_ONCE))


def _insert(
    database: BulkDatabase, progress: Progress, table: str, columns: tuple[str, ...], rows: Iterable[tuple[Any, ...]],
    part: slice,
) -> None:  # fmt: skip
    with database.staging():
        database.insert_rows(table, columns, rows)
    progress.advance(part.stop - part.start)


def _indexes(database: BulkDatabase, engine: Engine, table: Table, statement: Any) -> None:
    """Drops or creates the indexes: one sort is faster than a million insertions."""
    with database.staging():
        for index in sorted(table.indexes, key=lambda index: index.name or ""):
            database.execute(str(statement(index).compile(dialect=engine.dialect)))


def _moments(count: int, random: np.random.Generator) -> tuple[Numbers, Numbers]:
    """Milliseconds since 1970 in ascending order, and an id for each."""
    now = time.time_ns() // 1_000_000
    ms = np.sort(random.integers(now - DAYS * 86_400_000, now - 1_000, count))
    order = np.arange(count)
    # Ids increase even if two tweets share a millisecond.
    tweet_ids = np.maximum.accumulate(((ms - ids.EPOCH_MS) << ids.SEQUENCE_BITS) - order) + order
    return ms, tweet_ids


def _dates(epoch_ms: Numbers) -> list[str]:
    """Moments in the format that both databases accept for UTCDateTime."""
    return [f"{date[:10]} {date[11:]}000" for date in np.datetime_as_string(epoch_ms.astype("M8[ms]"), unit="ms")]


def _messages(random: np.random.Generator) -> list[str]:
    lengths = np.minimum(np.maximum(8, random.gamma(2.2, 32, TEXTS)), LONGEST).astype(int)
    words = ["".join(pair) for pair in random.choice(SYLLABLES, (TEXTS, 2))]
    babble = " ".join(words)
    starts = random.integers(0, len(babble) - LONGEST, TEXTS)
    return [babble[start : start + length].strip() for start, length in zip(starts, lengths, strict=True)]
