"""Reads the files into temporary tables: everything is read and checked before anything is written."""

from collections import Counter
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import TypeVar

from tweeter import text
from tweeter.bulk.database import BulkDatabase
from tweeter.bulk.load.files import LONGEST_LINE, read_lines, size
from tweeter.bulk.load.parse import BadLine, is_number, parse_follow, parse_tweet, username_of
from tweeter.console.commands import CommandError
from tweeter.console.progress import Progress

T = TypeVar("T")

ROWS_AT_ONCE = 10_000
NAMES_REMEMBERED = 50_000
PRINTED = 20  # printed problems of each kind; the others are only counted


class Complaints:
    """Prints the first problems of a kind, and counts all."""

    def __init__(self, progress: Progress) -> None:
        self._progress = progress
        self.count = 0

    def add(self, path: Path, line: int, reason: str) -> None:
        self.count += 1
        if self.count <= PRINTED:
            self._progress.say(f"{path}:{line}: {reason}")
        elif self.count == PRINTED + 1:
            self._progress.say("(more of these are counted, not printed)")


class Stage:
    """Fills the temporary tables load_names, load_follows, load_tweets, load_mentions and load_hashtags."""

    def __init__(self, database: BulkDatabase, progress: Progress, strict: bool, message_limit: int) -> None:
        self._database = database
        self._progress = progress
        self._strict = strict
        self._message_limit = message_limit
        self.bad_lines = Complaints(progress)
        with database.staging():
            self._names = Rows(database, "load_names", "n INTEGER PRIMARY KEY, key TEXT, name TEXT, number INTEGER")
            self._follows = Rows(database, "load_follows", "follower TEXT, followee TEXT")
            self._tweets = Rows(
                database,
                "load_tweets",
                "line INTEGER PRIMARY KEY, kind TEXT, author TEXT, ms INTEGER, message TEXT, folded TEXT, source TEXT,"
                " target TEXT, rank INTEGER",
            )
            self._mentions = Rows(database, "load_mentions", "line INTEGER, name TEXT")
            self._hashtags = Rows(database, "load_hashtags", "line INTEGER, tag TEXT")
        self._keys: dict[str, str] = {}
        self._count = 0
        self.follows = 0
        self.lines = Counter[str]()  # of the tweets file, by kind
        self.any_source = self.any_target = False
        # Sums of +1 and -1 for successive lines of different times: whether the dates increase, and the ids with them.
        self.dates_rise = self.ids_rise = 0

    def read_follows(self, path: Path) -> None:
        """Raises CommandError for an unreadable file and, if strict, for a bad line."""
        with self._database.staging():
            for _, (follower, followee) in self._read(path, parse_follow):
                self.follows += 1
                self._follows.add((self._key(follower), self._key(followee)))
            self._flush()

    def read_tweets(self, path: Path) -> None:
        """Raises the same errors as `read_follows`."""
        add, add_mention, add_hashtag = self._tweets.add, self._mentions.add, self._hashtags.add
        before, rank_before = 0, None
        with self._database.staging():
            for number, tweet in self._read(path, partial(parse_tweet, message_limit=self._message_limit)):
                name, epoch_ms, message, source, target, kind = tweet
                rank = int(source) if source is not None and is_number(source) and len(source) < 19 else None
                if kind == "like":
                    source = None  # nothing refers to a like
                if before and epoch_ms != before:
                    self.dates_rise += 1 if epoch_ms > before else -1
                    if rank is not None and rank_before is not None:
                        self.ids_rise += 1 if (rank > rank_before) == (epoch_ms > before) else -1
                before, rank_before = epoch_ms, rank
                self.lines[kind] += 1
                self.any_source = self.any_source or source is not None
                self.any_target = self.any_target or target is not None
                add((number, kind, self._key(name), epoch_ms, message, text.fold(message), source, target, rank))
                mentions, hashtags = text.entities(message)
                for mentioned in mentions:
                    add_mention((number, mentioned))
                for tag in hashtags:
                    add_hashtag((number, tag))
            self._flush()

    def check_names(self) -> None:
        """Raises CommandError if two users of the files would get the same username."""
        with self._database.staging():
            keys = self._database.execute(
                "SELECT key FROM load_names GROUP BY key HAVING min(number) <> max(number) ORDER BY key"
            ).scalars().all()  # fmt: skip
        if keys:
            more = f" ({len(keys) - 1:,} more such pairs)" if len(keys) > 1 else ""
            raise CommandError(
                f"The files name {keys[0][1:]} and {keys[0]}{more}. A name of digits is prefixed with `u`, so "
                "both would become one user. Rename one of them. Nothing was loaded."
            )

    def _key(self, name: str) -> str:
        """The username in lower case. Adds a row to load_names unless the name was seen recently."""
        key = self._keys.get(name)
        if key is None:
            if len(self._keys) >= NAMES_REMEMBERED:
                self._keys.clear()
            username = username_of(name)
            key = self._keys[name] = username.lower()
            self._count += 1
            self._names.add((self._count, key, username, int(is_number(name))))
        return key

    def _read(self, path: Path, parse: Callable[[bytes], T | None]) -> Iterator[tuple[int, T]]:
        """The parsed lines that are not empty, with their numbers. Reports bad lines."""
        self._progress.phase(f"Reading {path.name} (bytes)", size(path))
        good = bad = 0
        for number, line in read_lines(path, self._progress.advance):
            try:
                if line is None:
                    raise BadLine(f"longer than {LONGEST_LINE:,} bytes")
                parsed = parse(line)
            except BadLine as error:
                if self._strict:
                    raise CommandError(f"{path}:{number}: {error}\nNothing was loaded, because of --strict.") from None
                self.bad_lines.add(path, number, str(error))
                bad += 1
                continue
            if parsed is not None:
                good += 1
                yield number, parsed
        if bad and not good:
            raise CommandError(f"Every line of {path} is bad. Nothing was loaded.")

    def _flush(self) -> None:
        for rows in (self._names, self._follows, self._tweets, self._mentions, self._hashtags):
            rows.flush()


class Rows:
    """A new temporary table, and buffered rows for it."""

    def __init__(self, database: BulkDatabase, table: str, columns: str) -> None:
        database.create(table, columns)
        self._database = database
        self._table = table
        self._columns = [column.split()[0] for column in columns.split(", ")]
        self._rows: list[tuple[object, ...]] = []

    def add(self, row: tuple[object, ...]) -> None:
        self._rows.append(row)
        if len(self._rows) >= ROWS_AT_ONCE:
            self.flush()

    def flush(self) -> None:
        if self._rows:
            self._database.insert_rows(self._table, self._columns, self._rows)
            self._rows.clear()
