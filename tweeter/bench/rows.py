"""Bulk inserts of users, follows and tweets by the million, for sites without other writers."""

from collections.abc import Iterable, Iterator
from contextlib import closing, contextmanager
from datetime import timedelta
from itertools import islice, starmap
from typing import Any

from sqlalchemy import Engine, text

from tweeter.cli.load.database import BulkDatabase
from tweeter.console.progress import Progress
from tweeter.ids import date_of
from tweeter.models import Base, Hashtag, Relationship, Tweet, User
from tweeter.models.base import now
from tweeter.text import entities, fold

AT_ONCE = 50_000
TABLES = ("users", "relationships", "tweets", "hashtags")


class Rows:
    """Inserts without the site's rules: names are not checked, and no events are recorded."""

    def __init__(self, engine: Engine, progress: Progress) -> None:
        self._database = BulkDatabase(engine)
        self._engine = engine
        self._dialect = engine.dialect
        self._progress = progress

    def people(self, count: int, prefix: str = "user", password_hash: str = "") -> range:
        """Adds so many users, user1, user2, … Returns their ids."""
        columns = (
            "username", "username_key", "display_name", "folded_name", "bio", "password_hash", "auth_version",
            "tweets_count", "followers_count", "following_count", "date",
        )  # fmt: skip
        date = now() - timedelta(days=365)
        names = (f"{prefix}{n}" for n in range(1, count + 1))
        rows = ((name, name.lower(), name, name.lower(), "", password_hash, 0, 0, 0, 0, date) for name in names)
        self._insert(User, "People", columns, rows, count)
        with self._database.staging():
            last = int(self._database.execute("SELECT max(id) FROM users").scalar_one())
        return range(last - count + 1, last + 1)

    def follows(self, pairs: Iterable[tuple[int, int]], count: int) -> None:
        """Inserts pairs of follower and followee."""
        self._insert(Relationship, "Follows", ("from_user_id", "to_user_id"), pairs, count)

    def tweets(self, tweets: Iterable[tuple[int, int, str]], count: int) -> None:
        """Inserts tweets: id, author and message of each; the date is the id's."""
        hashtags: list[tuple[str, int]] = []

        def row(id_: int, user_id: int, message: str) -> tuple[Any, ...]:
            hashtags.extend((tag, id_) for tag in entities(message).hashtags)
            return id_, user_id, message, date_of(id_), fold(message)

        columns = ("id", "user_id", "message", "date", "folded")
        self._insert(Tweet, "Tweets", columns, starmap(row, tweets), count)
        self._insert(Hashtag, "Hashtags", ("tag", "tweet_id"), hashtags, len(hashtags))

    def finish(self) -> None:
        """Updates the counters and the planner's statistics."""
        self._progress.phase("Counting", None)
        with self._database.staging():
            for counter, table, column in (
                ("tweets_count", "tweets", "user_id"),
                ("followers_count", "relationships", "to_user_id"),
                ("following_count", "relationships", "from_user_id"),
            ):
                self._database.execute(
                    f"UPDATE users SET {counter} = found.n "  # noqa: S608 (our own words)
                    f"FROM (SELECT {column} AS id, count(*) AS n FROM {table} GROUP BY {column}) AS found "
                    f"WHERE users.id = found.id AND users.{counter} <> found.n"
                )
        self._progress.phase("Analyzing", None)
        if self._database.postgresql:
            # As autovacuum would have done on a site that grew to this size: enables index-only scans.
            with self._engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
                connection.execute(text(f"VACUUM ANALYZE {', '.join(TABLES)}"))
        else:
            self._database.analyze(*TABLES)

    def close(self) -> None:
        self._database.close()

    def _insert(
        self, model: type[Base], name: str, columns: tuple[str, ...], rows: Iterable[tuple[Any, ...]], count: int
    ) -> None:
        self._progress.phase(name, count)
        types = [model.__table__.c[column].type.dialect_impl(self._dialect) for column in columns]
        binds = [type_.bind_processor(self._dialect) for type_ in types]
        if any(binds):
            rows = (tuple(bind(v) if bind else v for bind, v in zip(binds, row, strict=True)) for row in rows)
        pending = iter(rows)
        while some := list(islice(pending, AT_ONCE)):
            with self._database.staging():
                self._database.insert_rows(model.__tablename__, columns, some)
            self._progress.advance(len(some))


@contextmanager
def bulk_rows(engine: Engine, progress: Progress) -> Iterator[Rows]:
    """Inserts rows; counters and statistics are updated at the end of the block."""
    with closing(Rows(engine, progress)) as rows:
        yield rows
        rows.finish()
