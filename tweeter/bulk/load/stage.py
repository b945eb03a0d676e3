"""Reads the files into temporary tables: everything is read and checked before anything is written."""

from collections import Counter
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

from tweeter import text
from tweeter.bulk.database import BulkDatabase
from tweeter.bulk.load.files import LONGEST_LINE, read_lines, size
from tweeter.bulk.load.imports import RETWEET, parse_account, parse_entry, read_archive
from tweeter.bulk.load.parse import BadLine, LoadedTweet, is_number, parse_follow, parse_tweet, short, username_of
from tweeter.console.commands import CommandError
from tweeter.console.progress import Progress

T = TypeVar("T")
Reader = Callable[[Path, Callable[[int], None]], Iterator[tuple[int, Any]]]

ROWS_AT_ONCE = 10_000
NAMES_REMEMBERED = 50_000
GREATEST_RANK = 2**63 - 1
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
        self.bad_lines, self.strangers = Complaints(progress), Complaints(progress)
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
        self.follows = self.retweets = 0
        self.lines = Counter[str]()  # of the tweets file, by kind
        self.any_source = self.any_target = False
        # Sums of +1 and -1 for successive lines of different times: whether the dates increase, and the ids with them.
        self.dates_rise = self.ids_rise = 0

    def read_follows(self, path: Path) -> None:
        """Raises CommandError for an unreadable file and, if strict, for a bad line."""
        with self._database.staging():
            for _, (follower, followee) in self._read(path, read_lines, parse_follow):
                self.follows += 1
                self._follows.add((self._key(follower), self._key(followee)))
            self._flush()

    def read_accounts(self, path: Path, name: str) -> None:
        """Reads whom a user followed on Mastodon. Accounts that the user cannot follow here are reported.

        Raises the same errors as `read_follows`, and CommandError if there is no such user.
        """
        with self._database.staging():
            user = self._find_user(name)
            for number, followee in self._read(path, read_lines, parse_account):
                if problem := self._cannot_follow(user, followee):
                    self.strangers.add(path, number, problem)
                else:
                    self.follows += 1
                    self._follows.add((user.lower(), followee.lower()))
            self._flush()

    def read_archive(self, path: Path, name: str) -> None:
        """Reads the tweets of a user's Twitter archive. Raises the same errors as `read_accounts`."""
        with self._database.staging():
            user = self._find_user(name)
        self._keys[user] = user.lower()
        self._read_tweets(path, read_archive, partial(parse_entry, name=user, message_limit=self._message_limit))

    def read_tweets(self, path: Path) -> None:
        """Raises the same errors as `read_follows`."""
        self._read_tweets(path, read_lines, partial(parse_tweet, message_limit=self._message_limit))

    def _read_tweets(self, path: Path, read: Reader, parse: Callable[[Any], LoadedTweet | None]) -> None:
        add, add_mention, add_hashtag = self._tweets.add, self._mentions.add, self._hashtags.add
        before, rank_before = 0, None
        with self._database.staging():
            for number, tweet in self._read(path, read, parse):
                name, epoch_ms, message, source, target, kind = tweet
                rank = int(source) if source is not None and is_number(source) and len(source) < 20 else None
                if rank is not None and rank > GREATEST_RANK:
                    rank = None
                if kind == "like":
                    source = None  # nothing refers to a like
                if before and epoch_ms != before:
                    self.dates_rise += 1 if epoch_ms > before else -1
                    if rank is not None and rank_before is not None:
                        self.ids_rise += 1 if (rank > rank_before) == (epoch_ms > before) else -1
                before, rank_before = epoch_ms, rank
                self.lines[kind] += 1
                self.retweets += message.startswith(RETWEET)
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

    def _find_user(self, name: str) -> str:
        found = self._database.execute(_USER, key=name.removeprefix("@").lower()).scalar()
        if found is None:
            raise CommandError(f"There is no user called {short(name)}. Add one: tweeter user add INI NAME")
        return str(found)

    def _cannot_follow(self, user: str, followee: str) -> str:
        key, other = user.lower(), followee.lower()
        if key == other:
            return f"{user} can't follow themselves"
        if self._database.execute(_USER, key=other).scalar() is None:
            return f"there is no user called {short(followee)} here"
        blocked = self._database.execute(_BLOCKED, key=key, other=other).first() is not None
        return f"one of {user} and {followee} blocks the other" if blocked else ""

    def _read(self, path: Path, read: Reader, parse: Callable[[Any], T | None]) -> Iterator[tuple[int, T]]:
        """The parsed lines that are not empty, with their numbers. Reports bad lines."""
        self._progress.phase(f"Reading {path.name} (bytes)", size(path))
        good = bad = 0
        for number, line in read(path, self._progress.advance):
            try:
                if line is None and read is read_lines:  # in an archive, null is an entry
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


_USER = "SELECT username FROM users WHERE username_key = :key AND NOT closed"
_BLOCKED = """
    SELECT 1 FROM blocks JOIN users AS f ON f.id = from_user_id JOIN users AS t ON t.id = to_user_id
    WHERE (f.username_key = :key AND t.username_key = :other) OR (f.username_key = :other AND t.username_key = :key)
    """


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
