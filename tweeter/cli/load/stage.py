"""From the files into temporary tables: everything is read, and checked, before anything is written."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tweeter import text
from tweeter.cli.common import CommandError
from tweeter.cli.load.database import BulkDatabase
from tweeter.cli.load.files import LONGEST_LINE, read_lines, size
from tweeter.cli.load.parse import BadLine, parse_follow, parse_tweet
from tweeter.cli.progress import Progress

ROWS_AT_ONCE = 10_000
NAMES_REMEMBERED = 50_000
PRINTED = 20  # complaints of each kind that are printed; the others are counted


class Complaints:
    """Prints the first of a kind, counts all."""

    def __init__(self, progress: Progress) -> None:
        self._progress = progress
        self.count = 0

    def add(self, path: Path, line: int, reason: str) -> None:
        self.count += 1
        if self.count <= PRINTED:
            self._progress.say(f"{path}:{line}: {reason}")
        elif self.count == PRINTED + 1:
            self._progress.say("(and more, which are only counted)")


class Stage:
    """Fills the temporary tables load_names, load_follows, load_tweets, load_mentions and load_hashtags."""

    def __init__(self, database: BulkDatabase, progress: Progress, strict: bool, message_limit: int) -> None:
        self._database = database
        self._progress = progress
        self._strict = strict
        self._message_limit = message_limit
        self.bad_lines = Complaints(progress)
        self._tables = {
            "load_names": Rows(database, "load_names", ("n", "key", "name")),
            "load_follows": Rows(database, "load_follows", ("follower", "followee")),
            "load_tweets": Rows(
                database, "load_tweets", ("line", "author", "ms", "message", "folded", "source", "parent")
            ),
            "load_mentions": Rows(database, "load_mentions", ("line", "name")),
            "load_hashtags": Rows(database, "load_hashtags", ("line", "tag")),
        }
        with database.staging():
            database.create("load_names", "n INTEGER, key TEXT, name TEXT")
            database.create("load_follows", "follower TEXT, followee TEXT")
            database.create(
                "load_tweets",
                "line INTEGER PRIMARY KEY, author TEXT, ms INTEGER, message TEXT, folded TEXT, source TEXT,"
                " parent TEXT",
            )
            database.create("load_mentions", "line INTEGER, name TEXT")
            database.create("load_hashtags", "line INTEGER, tag TEXT")
        self._keys: dict[str, str] = {}
        self._names = 0
        self.tweets = self.follows = 0
        self.any_source = self.any_parent = False

    def read_follows(self, path: Path) -> None:
        """Raises CommandError for a file that can't be read and, if strict, for a bad line."""
        add = self._tables["load_follows"].add
        with self._reading(path):
            for number, line in self._lines(path):
                try:
                    pair = parse_follow(line)
                except BadLine as error:
                    self._complain(path, number, error)
                    continue
                if pair:
                    self.follows += 1
                    add((self._key(pair[0]), self._key(pair[1])))

    def read_tweets(self, path: Path) -> None:
        """As `read_follows`."""
        add = self._tables["load_tweets"].add
        add_mention, add_hashtag = self._tables["load_mentions"].add, self._tables["load_hashtags"].add
        with self._reading(path):
            for number, line in self._lines(path):
                try:
                    tweet = parse_tweet(line, self._message_limit)
                except BadLine as error:
                    self._complain(path, number, error)
                    continue
                if tweet is None:
                    continue
                username, epoch_ms, message, source, parent = tweet
                self.tweets += 1
                self.any_source = self.any_source or source is not None
                self.any_parent = self.any_parent or parent is not None
                add((number, self._key(username), epoch_ms, message, text.fold(message), source, parent))
                names, tags = text.entities(message)
                for name in names:
                    add_mention((number, name))
                for tag in tags:
                    add_hashtag((number, tag))

    def _key(self, username: str) -> str:
        """The name in lower case; whoever was not met lately becomes a row of load_names."""
        key = self._keys.get(username)
        if key is None:
            if len(self._keys) >= NAMES_REMEMBERED:
                self._keys.clear()
            key = self._keys[username] = username.lower()
            self._names += 1
            self._tables["load_names"].add((self._names, key, username))
        return key

    def _lines(self, path: Path) -> Iterator[tuple[int, bytes]]:
        for number, line in read_lines(path, self._progress.advance):
            if line is None:
                self._complain(path, number, BadLine(f"longer than {LONGEST_LINE:,} bytes"))
            else:
                yield number, line

    @contextmanager
    def _reading(self, path: Path) -> Iterator[None]:
        self._progress.phase(f"Reading {path.name} (bytes)", size(path))
        with self._database.staging():
            yield
            for rows in self._tables.values():
                rows.flush()

    def _complain(self, path: Path, number: int, error: BadLine) -> None:
        if self._strict:
            raise CommandError(f"{path}:{number}: {error}\nNothing was loaded, because of --strict.")
        self.bad_lines.add(path, number, str(error))


class Rows:
    """Rows on their way into a table."""

    def __init__(self, database: BulkDatabase, table: str, columns: tuple[str, ...]) -> None:
        self._database = database
        self._table = table
        self._columns = columns
        self._rows: list[tuple[object, ...]] = []

    def add(self, row: tuple[object, ...]) -> None:
        self._rows.append(row)
        if len(self._rows) >= ROWS_AT_ONCE:
            self.flush()

    def flush(self) -> None:
        if self._rows:
            self._database.insert_rows(self._table, self._columns, self._rows)
            self._rows.clear()
