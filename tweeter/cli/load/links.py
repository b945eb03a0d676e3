"""Which tweet answers which.

Most answers get their parent when they are written. What is left for the end: answers that are dated before what they
answer, and tweets that were there already without the parent that the file tells.
"""

# ruff: noqa: S608 (nothing but our own words is put into the SQL)

from functools import partial
from pathlib import Path

from tweeter.cli.load.database import BulkDatabase
from tweeter.cli.load.stage import Complaints

LINKS_AT_ONCE = 1_000


def arrange_links(database: BulkDatabase) -> None:
    """Makes load_links: of each `n` that answers something, its parent's name, and `n` if it is in the file."""
    with database.staging():
        database.execute("CREATE INDEX load_tweets_source ON load_tweets (source)")
        database.create("load_links", "n INTEGER PRIMARY KEY, line INTEGER, parent TEXT, parent_n INTEGER")
        database.execute(
            """
            INSERT INTO load_links (n, line, parent, parent_n)
            SELECT o.n, t.line, t.parent, po.n
            FROM load_tweets AS t
            JOIN load_order AS o ON o.line = t.line
            LEFT JOIN load_tweets AS pt ON pt.source = t.parent
            LEFT JOIN load_order AS po ON po.line = pt.line
            WHERE t.parent IS NOT NULL
            ORDER BY o.n
            """
        )
    database.analyze("load_links")


def write_links(database: BulkDatabase, path: Path, warnings: Complaints) -> int:
    """Adds the parents that are still missing; complains of those that nobody knows. Returns how many it added."""
    added = 0
    for after, last, _ in database.batches("load_links", LINKS_AT_ONCE):
        added += database.commit(partial(_add_parents, database, after, last))
    with database.staging():
        unknown = database.execute(
            f"""
            SELECT l.line, l.parent
            FROM load_links AS l JOIN load_given AS g ON g.n = l.n JOIN tweets AS t ON t.id = g.id {_PARENTS}
            WHERE t.parent_id IS NULL ORDER BY l.line
            """
        )
        for line, parent in unknown:
            warnings.add(path, line, f"there is no tweet {parent!r} that it could answer; loaded without a parent")
    return added


def _add_parents(database: BulkDatabase, after: int, last: int, again: bool) -> int:
    missing = database.execute(
        f"""
        SELECT g.id, COALESCE(p.id, i.tweet_id)
        FROM load_links AS l JOIN load_given AS g ON g.n = l.n JOIN tweets AS t ON t.id = g.id {_PARENTS}
        WHERE l.n > :after AND l.n <= :last AND t.parent_id IS NULL AND COALESCE(p.id, i.tweet_id) IS NOT NULL
        ORDER BY l.n
        """,
        after=after,
        last=last,
    ).all()
    added = 0
    for child, parent in missing:
        # Whoever walks up a conversation must arrive: tweets that would answer each other in a circle don't.
        if database.execute(_IS_ABOVE, child=child, parent=parent).first() is None:
            database.execute("UPDATE tweets SET parent_id = :parent WHERE id = :child", child=child, parent=parent)
            added += 1
    return added


_PARENTS = """
    LEFT JOIN load_given AS p ON p.n = l.parent_n
    LEFT JOIN imported AS i ON i.source_id = l.parent AND l.parent_n IS NULL
    """

_IS_ABOVE = """
    WITH RECURSIVE above(id) AS (
        SELECT CAST(:parent AS BIGINT)
        UNION
        SELECT tweets.parent_id FROM above JOIN tweets ON tweets.id = above.id WHERE tweets.parent_id IS NOT NULL
    )
    SELECT 1 FROM above WHERE id = :child
    """
