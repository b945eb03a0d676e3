"""Writes tweets, mentions and hashtags from the temporary tables.

Tweets are written in the order of time. So an interrupted load has written a prefix, and a repeated one continues from
there with the same ids. Within a millisecond (most archives have a resolution of seconds) tweets are ordered by their
ids if these are numbers that increase with time, else by line, which is backwards in a file with the newest tweets
first. In either case a reply follows its parent.
"""

# ruff: noqa: S608 (nothing but our own words is put into the SQL)

from functools import partial
from typing import NamedTuple

from tweeter import ids
from tweeter.cli.load.allocate import Allocator
from tweeter.cli.load.database import BulkDatabase
from tweeter.cli.load.order import prepare_order
from tweeter.cli.load.stage import Stage
from tweeter.console.progress import Progress


class Written(NamedTuple):
    tweets: int = 0
    mentions: int = 0


def arrange(database: BulkDatabase, stage: Stage) -> int:
    """Creates load_order: `n` by time; `twin`, the first of all identical lines; `occurrence`, its number among these.

    Returns the number of lines omitted because their id occurred before.
    """
    with database.staging():
        # Two lines with the same id are the same tweet.
        repeated: int = database.execute(
            """
            DELETE FROM load_tweets WHERE source IS NOT NULL
            AND line NOT IN (SELECT min(line) FROM load_tweets WHERE source IS NOT NULL GROUP BY source)
            """
        ).rowcount
        database.create(
            "load_order",
            "n INTEGER PRIMARY KEY, line INTEGER, user_id INTEGER, ms INTEGER, twin INTEGER, occurrence INTEGER",
        )
        database.create("load_given", "n INTEGER PRIMARY KEY, id INTEGER, fresh INTEGER")
        database.create("load_who", "n INTEGER, user_id INTEGER")
        database.create("load_there", "user_id INTEGER, ms INTEGER, message TEXT, id INTEGER")
        if not database.postgresql:  # PostgreSQL uses a hash join, and cannot index the longest messages
            database.execute("CREATE INDEX load_there_same ON load_there (user_id, ms, message)")
    database.analyze("load_tweets")
    join, order = prepare_order(database, stage)
    places = [f"place_{number}" for number in range(len(order))]
    with database.staging():
        database.execute(
            f"""
            INSERT INTO load_order (n, line, user_id, ms, twin, occurrence)
            SELECT row_number() OVER (ORDER BY ms, {", ".join(places)}) AS n, line, user_id, ms, twin, occurrence
            FROM (
                SELECT t.line, users.id AS user_id, ms,
                    first_value(t.line) OVER same AS twin, row_number() OVER same AS occurrence,
                    {", ".join(map("{} AS {}".format, order, places))}
                FROM load_tweets AS t JOIN users ON username_key = author {join}
                WINDOW same AS (PARTITION BY ms, users.id, message ORDER BY {", ".join(order)})
            ) AS lines
            ORDER BY n
            """
        )
        database.execute("CREATE INDEX load_order_line ON load_order (line)")
    database.analyze("load_order")
    with database.staging():
        # Mentioned users, as far as they exist.
        database.execute(
            """
            INSERT INTO load_who (n, user_id)
            SELECT o.n, users.id
            FROM load_mentions AS m
            JOIN load_order AS o ON o.line = m.line
            JOIN users ON users.username_key = m.name
            ORDER BY o.n
            """
        )
        database.execute("CREATE INDEX load_who_n ON load_who (n)")
        database.execute("CREATE INDEX load_hashtags_line ON load_hashtags (line)")
    database.analyze("load_who", "load_hashtags")
    return repeated


def write_tweets(database: BulkDatabase, progress: Progress, has_sources: bool, has_links: bool) -> Written:
    """Adds new tweets with their mentions, hashtags and counters. Returns the numbers."""
    with database.staging():
        total = database.execute("SELECT count(*) FROM load_order").scalar_one()
    progress.phase("Writing tweets", total)
    step = _Step(database, has_sources, has_links)
    written = Written()
    for after, last, count in database.batches("load_order"):
        new = database.commit(partial(step.write, after, last), changed=any)
        written = Written(written.tweets + new.tweets, written.mentions + new.mentions)
        progress.advance(count)
    return written


class _Step:
    """One batch, within a transaction."""

    def __init__(self, database: BulkDatabase, has_sources: bool, has_links: bool) -> None:
        self._database = database
        self._has_sources = has_sources
        self._add = f"""
            INSERT INTO tweets (id, user_id, message, folded, date, parent_id)
            SELECT g.id, o.user_id, t.message, t.folded, {database.date("o.ms")},
                {"COALESCE(p.id, i.tweet_id)" if has_links else "NULL"}
            FROM load_given AS g
            JOIN load_order AS o ON o.n = g.n
            JOIN load_tweets AS t ON t.line = o.line
            {_PARENTS if has_links else ""}
            WHERE g.n > :after AND g.n <= :last AND g.fresh = 1
            ORDER BY g.n
            """

    def write(self, after: int, last: int, again: bool) -> Written:
        execute, batch = self._database.execute, {"after": after, "last": last}
        # In a repeated transaction, without users whose accounts were closed since.
        still_open = "AND EXISTS (SELECT 1 FROM users WHERE id = {}.user_id AND NOT closed)" if again else ""
        author, named = still_open.format("o"), still_open.format("w")
        rows = execute(
            f"""
            SELECT n, ms, twin, occurrence FROM load_order AS o
            WHERE n > :after AND n <= :last {author}
            ORDER BY n
            """,
            **batch,
        ).all()
        if not rows:
            return Written()
        allocator = Allocator(self._database, after, last)
        perhaps = [row.n for row in rows if allocator.taken(row.ms)]
        existing = self._existing(perhaps[0], perhaps[-1], allocator.longest_spill()) if perhaps else {}
        given, new = [], 0
        for n, ms, twin, occurrence in rows:
            there = existing.get(twin, ())
            if occurrence <= len(there):
                given.append((n, there[occurrence - 1], 0))
            else:
                given.append((n, allocator.next(ms), 1))
                new += 1
        self._database.insert_rows("load_given", ("n", "id", "fresh"), given)
        mentions = 0
        if new:
            execute(self._add, **batch)
            mentions = execute(_ADD_MENTIONS + named, **batch).rowcount
            execute(_ADD_HASHTAGS, **batch)
            execute(_COUNT, **batch)
        if self._has_sources:
            execute(_KEEP_SOURCES, **batch)
        return Written(new, mentions)

    def _existing(self, first: int, last: int, blocks: int) -> dict[int, list[int]]:
        """For the `twin` of each line that exists on the site: the ids of its tweets, in order.

        Searches so many milliseconds, beginning with the tweet's own.
        """
        database, batch = self._database, {"first": first, "last": last}
        same_moment = f"""
            tweets.user_id = w.user_id
            AND tweets.id >= (w.ms - {ids.EPOCH_MS}) << {ids.SEQUENCE_BITS}
            AND tweets.id < (w.ms - {ids.EPOCH_MS} + {blocks}) << {ids.SEQUENCE_BITS}
            AND tweets.date = {database.date("w.ms")}
            """
        if database.postgresql:
            # OFFSET 0 forces a look-up by author and time, whatever the planner estimates.
            found = f"JOIN LATERAL (SELECT id, message FROM tweets WHERE {same_moment} OFFSET 0) AS tweets ON true"
        else:
            found = f"JOIN tweets ON {same_moment}"
        database.empty("load_there")
        database.execute(
            f"""
            INSERT INTO load_there (user_id, ms, message, id)
            SELECT w.user_id, w.ms, tweets.message, tweets.id
            FROM (SELECT DISTINCT user_id, ms FROM load_order WHERE n >= :first AND n <= :last) AS w
            {found}
            """,
            **batch,
        )
        rows = database.execute(
            """
            SELECT w.twin, there.id
            FROM (SELECT DISTINCT twin, user_id, ms FROM load_order WHERE n >= :first AND n <= :last) AS w
            JOIN load_tweets AS t ON t.line = w.twin
            JOIN load_there AS there
            ON there.user_id = w.user_id AND there.ms = w.ms AND there.message = t.message
            ORDER BY w.twin, there.id
            """,
            **batch,
        )
        existing: dict[int, list[int]] = {}
        for twin, id_ in rows:
            existing.setdefault(twin, []).append(id_)
        return existing


# The parent of a line: an earlier line (by time) of the same file, else a tweet of an earlier load with that id.
# Later lines have no id yet; `write_links` adds them at the end.
_PARENTS = """
    LEFT JOIN load_links AS l ON l.n = g.n
    LEFT JOIN load_given AS p ON p.n = l.parent_n AND l.parent_n < l.n
    LEFT JOIN imported AS i ON i.source_id = l.parent AND l.parent_n IS NULL
    """

_ADD_MENTIONS = """
    INSERT INTO mentions (user_id, tweet_id)
    SELECT w.user_id, g.id
    FROM load_given AS g JOIN load_who AS w ON w.n = g.n
    WHERE g.n > :after AND g.n <= :last AND g.fresh = 1
    """

_ADD_HASHTAGS = """
    INSERT INTO hashtags (tag, tweet_id)
    SELECT h.tag, g.id
    FROM load_given AS g
    JOIN load_order AS o ON o.n = g.n
    JOIN load_hashtags AS h ON h.line = o.line
    WHERE g.n > :after AND g.n <= :last AND g.fresh = 1
    """

_COUNT = """
    UPDATE users SET tweets_count = tweets_count + steps.tweets
    FROM (
        SELECT o.user_id, count(*) AS tweets
        FROM load_given AS g JOIN load_order AS o ON o.n = g.n
        WHERE g.n > :after AND g.n <= :last AND g.fresh = 1
        GROUP BY o.user_id
    ) AS steps
    WHERE users.id = steps.user_id
    """

_KEEP_SOURCES = """
    INSERT INTO imported (source_id, tweet_id)
    SELECT t.source, g.id
    FROM load_given AS g
    JOIN load_order AS o ON o.n = g.n
    JOIN load_tweets AS t ON t.line = o.line
    WHERE g.n > :after AND g.n <= :last AND t.source IS NOT NULL
    ON CONFLICT (source_id) DO UPDATE SET tweet_id = excluded.tweet_id
    WHERE imported.tweet_id <> excluded.tweet_id
    """
