"""Reposts and likes: which tweets they are about, and which of them are refused.

The rules are those of the site. A repost or like of a repost counts as one of its tweet, and one user reposts or likes
a tweet once. Refused is what is about an unknown tweet, dated before its tweet, or between two users of whom one blocks
the other.
"""

# ruff: noqa: S608 (nothing but our own words is put into the SQL)

from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

from tweeter.bulk.database import BulkDatabase, Conflict
from tweeter.bulk.load.stage import Complaints


class Act(NamedTuple):
    """A repost that is not refused so far. `tweet_id` is None if its tweet, the line `target_n`, has no id yet.

    `id` is that of the repost, if the site has it already.
    """

    user_id: int
    target_n: int | None
    tweet_id: int | None
    id: int | None


class Given(NamedTuple):
    """A row of load_given: the id of a line, and whether it is new. Reposts and likes are `about` a tweet."""

    n: int
    id: int
    fresh: bool
    about: int | None = None


def find_originals(database: BulkDatabase) -> None:
    """Replaces targets that are reposts of the same file by the tweets that these repost.

    Pointer doubling: each step looks twice as far as the last. It is bounded, so it terminates for cycles, too.
    """
    reposts = database.execute("SELECT count(*) FROM load_tweets WHERE kind = 'repost'").scalar_one()
    for _ in range(reposts.bit_length()):
        if not database.execute(
            """
            UPDATE load_tweets SET target = r.target FROM load_tweets AS r
            WHERE r.source = load_tweets.target AND r.kind = 'repost' AND r.line <> load_tweets.line
            """
        ).rowcount:
            return


def find_reposts(database: BulkDatabase, after: int, last: int) -> dict[int, Act]:
    """The reposts of a batch by `n`, without those that are refused."""
    rows = database.execute(
        f"""
        SELECT o.n, o.user_id, a.target_n, tweet.id, there.id
        FROM load_order AS o
        JOIN load_acts AS a ON a.n = o.n
        LEFT JOIN load_order AS e ON e.n = a.target_n AND e.n < o.n
        LEFT JOIN load_given AS g ON g.n = e.n
        LEFT JOIN imported AS i ON i.source_id = a.target AND a.target_n IS NULL
        LEFT JOIN tweets AS tweet ON tweet.id = COALESCE(g.id, i.tweet_id)
        JOIN users AS author ON author.id = COALESCE(tweet.user_id, e.user_id) AND NOT author.closed
        LEFT JOIN tweets AS there ON there.user_id = o.user_id AND there.repost_of_id = tweet.id
        WHERE o.n > :after AND o.n <= :last AND o.kind = 'repost' AND NOT {BLOCKED}
        """,
        after=after,
        last=last,
    )
    return {n: Act(*act) for n, *act in rows}


def count_acts(database: BulkDatabase, counter: str, given: Iterable[Given]) -> None:
    """Adds new reposts or likes to a counter of their tweets. Raises Conflict if one of these was just deleted.

    The update locks the tweets until the commit. So whoever deletes them later finds their reposts and likes.
    """
    counts = Counter(row.about for row in given if row.fresh and row.about is not None)
    if not counts:
        return
    database.empty("load_counts")
    database.insert_rows("load_counts", ("tweet_id", "acts"), sorted(counts.items()))
    counted = database.execute(
        f"UPDATE tweets SET {counter} = {counter} + c.acts FROM load_counts AS c WHERE tweets.id = c.tweet_id"
    ).rowcount
    if counted < len(counts):
        raise Conflict


def report_refused(database: BulkDatabase, path: Path, warnings: Complaints) -> None:
    """Reports the reposts and likes that were not written, with the reasons."""
    with database.staging():
        lines = database.execute(
            f"""
            SELECT a.line, o.kind, a.target, author.id IS NULL, {BLOCKED}
            FROM load_acts AS a
            JOIN load_order AS o ON o.n = a.n
            LEFT JOIN load_given AS done ON done.n = a.n
            LEFT JOIN load_given AS g ON g.n = a.target_n
            LEFT JOIN imported AS i ON i.source_id = a.target AND a.target_n IS NULL
            LEFT JOIN tweets AS tweet ON tweet.id = COALESCE(g.id, i.tweet_id)
            LEFT JOIN users AS author ON author.id = tweet.user_id AND NOT author.closed
            WHERE done.n IS NULL
            ORDER BY a.line
            """
        )
        for line, kind, target, unknown, blocked in lines:
            why = f"there is no tweet {target!r} yet" if unknown else f"it is dated before its tweet {target!r}"
            if blocked:
                why = "one of the two users blocks the other"
            warnings.add(path, line, f"{why}; the {kind} was skipped")


# Of the user of a line (`o`) and the author of its target, one blocks the other.
BLOCKED = """
    EXISTS (
        SELECT 1 FROM blocks AS b
        WHERE (b.from_user_id = o.user_id AND b.to_user_id = author.id)
        OR (b.from_user_id = author.id AND b.to_user_id = o.user_id)
    )
    """
