"""Bulk inserts of users, follows and tweets by the million, for sites without other writers."""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing, contextmanager
from datetime import datetime, timedelta
from functools import lru_cache
from itertools import repeat, starmap
from typing import Any

from sqlalchemy import Engine, text
from sqlalchemy.schema import CreateIndex, DropIndex

from tweeter.batches import batched
from tweeter.bulk.database import BulkDatabase
from tweeter.console.progress import Progress
from tweeter.ids import date_of
from tweeter.models import Base
from tweeter.models.base import now
from tweeter.text import entities, fold

AT_ONCE = 50_000
COUNTERS = (
    ("tweets_count", "tweets", "user_id"),
    ("followers_count", "relationships WHERE uncounted IS NULL", "to_user_id"),
    ("following_count", "relationships WHERE uncounted IS NULL", "from_user_id"),
)
SEARCH = "SELECT indexdef FROM pg_indexes WHERE indexname = 'ix_tweets_search'"  # which the models do not have
TABLES = ("users", "relationships", "tweets", "hashtags")


@lru_cache(maxsize=1000)  # made messages recur
def _read(message: str) -> tuple[str, set[str]]:
    return fold(message), entities(message).hashtags


class Rows:
    """Inserts without the site's rules: names are not checked, and no events are recorded."""

    def __init__(self, engine: Engine, progress: Progress) -> None:
        self._database = BulkDatabase(engine)
        self._engine = engine
        self._progress = progress
        self._counted = False
        self._search = ""

    def people(
        self,
        count: int,
        prefix: str = "user",
        password_hash: str = "",
        counters: Iterable[tuple[int, int, int]] | None = None,
    ) -> range:
        """Adds so many users, user1, user2, … Returns their ids.

        `counters` are the tweets, followers and followees of every user: nothing is counted at the end.
        """
        columns = (
            "username", "username_key", "display_name", "folded_name", "bio", "password_hash", "auth_version",
            "tweets_count", "followers_count", "following_count", "date",
        )  # fmt: skip
        self._counted = counters is not None
        date = self._date(now() - timedelta(days=365))
        names = (f"{prefix}{n}" for n in range(1, count + 1))
        rows = (
            (name, name.lower(), name, name.lower(), "", password_hash, 0, *counted, date)
            for name, counted in zip(names, counters or repeat((0, 0, 0)), strict=False)
        )
        self._insert("users", "People", columns, rows, count)
        with self._database.staging():
            last = int(self._database.execute("SELECT max(id) FROM users").scalar_one())
        return range(last - count + 1, last + 1)

    def follows(self, pairs: Iterable[tuple[int, int]], count: int) -> None:
        """Inserts pairs of follower and followee."""
        self._insert("relationships", "Follows", ("from_user_id", "to_user_id"), pairs, count)

    def tweets(self, tweets: Iterable[tuple[int, int, str]], count: int) -> None:
        """Inserts tweets: id, author and message of each; the date is the id's."""
        hashtags: list[tuple[str, int]] = []

        def row(id_: int, user_id: int, message: str) -> tuple[Any, ...]:
            folded, tags = _read(message)
            if tags:
                hashtags.extend((tag, id_) for tag in tags)
            return id_, user_id, message, self._date(date_of(id_)), folded

        columns = ("id", "user_id", "message", "date", "folded")
        self._insert("tweets", "Tweets", columns, starmap(row, tweets), count)
        self._insert("hashtags", "Hashtags", ("tag", "tweet_id"), hashtags, len(hashtags))
        with self._database.staging():
            new = "SELECT DISTINCT tag FROM hashtags WHERE tag NOT IN (SELECT tag FROM tags)"
            self._database.execute(f"INSERT INTO tags (tag) {new}")

    def begin(self) -> None:
        """Drops indexes and checks: one sort at the end is faster than a million insertions, and the rows are valid."""
        self._indexes(DropIndex)
        if self._database.postgresql:
            with self._database.staging():
                self._database.execute("SET session_replication_role = replica")
                self._search = self._database.execute(SEARCH).scalar_one()
                self._database.execute("DROP INDEX ix_tweets_search")

    def finish(self, indexes: bool) -> None:
        """Updates the counters and the planner's statistics, after the indexes."""
        self._progress.phase("Indexes, counters, statistics", None)
        if indexes:
            self._indexes(CreateIndex)
            if self._search:
                with self._database.staging():
                    self._database.execute(self._search)
        with self._database.staging():
            for counter, rows, column in () if self._counted else COUNTERS:
                self._database.execute(
                    f"UPDATE users SET {counter} = found.n "  # noqa: S608 (our own words)
                    f"FROM (SELECT {column} AS id, count(*) AS n FROM {rows} GROUP BY {column}) AS found "
                    f"WHERE users.id = found.id AND users.{counter} <> found.n"
                )
        if self._database.postgresql:
            # As autovacuum would have done on a site that grew to this size: enables index-only scans.
            with self._engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
                connection.execute(text(f"VACUUM ANALYZE {', '.join(TABLES)}"))
        else:
            self._database.analyze(*TABLES)

    def close(self) -> None:
        self._database.close()

    def _indexes(self, statement: Any) -> None:
        with self._database.staging():
            for table in (Base.metadata.tables[name] for name in ("relationships", "tweets")):
                for index in sorted(table.indexes, key=lambda index: str(index.name)):
                    self._database.execute(str(statement(index).compile(dialect=self._engine.dialect)))

    def _date(self, date: datetime) -> datetime | str:
        """A date in UTC as the driver stores it: see `UTCDateTime`."""
        return date if self._database.postgresql else date.isoformat(" ", "microseconds")[:26]

    def _insert(
        self, table: str, name: str, columns: Sequence[str], rows: Iterable[tuple[Any, ...]], count: int
    ) -> None:
        self._progress.phase(name, count)
        for some in batched(rows, AT_ONCE):
            with self._database.staging():
                self._database.insert_rows(table, columns, some)
            self._progress.advance(len(some))


@contextmanager
def bulk_rows(engine: Engine, progress: Progress, indexes: bool = True) -> Iterator[Rows]:
    """Inserts rows; counters and statistics are updated at the end of the block.

    With `indexes=False`, for a new site, there are no indexes and no checks until then.
    """
    with closing(Rows(engine, progress)) as rows:
        if not indexes:
            rows.begin()
        yield rows
        rows.finish(not indexes)
