"""Links replies to their parents.

Most replies get their parent when they are written. The rest is linked at the end: replies dated before their parents,
existing replies whose parent only this file names, and replies of earlier files, if this one has their parents.
"""

# ruff: noqa: S608 (nothing but our own words is put into the SQL)

from collections.abc import Sequence
from functools import partial
from pathlib import Path

from tweeter.bulk.database import BulkDatabase
from tweeter.bulk.load.stage import Complaints

LINKS_AT_ONCE = 1_000


def arrange_links(database: BulkDatabase) -> None:
    """Creates load_links for replies, and load_acts for reposts and likes.

    They contain for each `n` its target's source id, and the target's `n` if it is in the file.
    """
    with database.staging():
        for table, kinds in (("load_links", "o.kind = 'tweet'"), ("load_acts", "o.kind <> 'tweet'")):
            database.create(table, "n INTEGER PRIMARY KEY, line INTEGER, target TEXT, target_n INTEGER")
            database.execute(
                f"""
                INSERT INTO {table} (n, line, target, target_n)
                SELECT o.n, t.line, t.target, tt.n
                FROM load_tweets AS t
                JOIN load_order AS o ON o.line = t.line
                LEFT JOIN load_tweets AS ts ON ts.source = t.target
                LEFT JOIN load_order AS tt ON tt.line = ts.line
                WHERE t.target IS NOT NULL AND {kinds}
                ORDER BY o.n
                """
            )
    database.analyze("load_links", "load_acts")


def write_links(database: BulkDatabase, path: Path, warnings: Complaints) -> None:
    """Adds the missing parents. Records and reports parents that no file has contained so far."""
    database.analyze("load_given")
    for after, last, _ in database.batches("load_links", LINKS_AT_ONCE):
        database.commit(partial(_add_parents, database, after, last))
    with database.staging():
        lines = database.execute(
            f"SELECT l.line, l.target, {_PARENT} AS found {_LINKS} WHERE t.parent_id IS NULL ORDER BY l.line"
        )
        for line, parent, found in lines:
            circle = f"{parent!r} is a descendant of this reply"
            why = circle if found is not None else f"there is no tweet {parent!r} yet"
            warnings.add(path, line, f"{why}; loaded without a parent")


def link_earlier_replies(database: BulkDatabase) -> None:
    """Adds the parents of replies that an earlier command loaded before their parents."""
    after = -1
    while rows := database.commit(partial(_add_late_parents, database, after)):
        after = rows[-1][0]


def _add_parents(database: BulkDatabase, after: int, last: int, again: bool) -> int:
    here = "WHERE l.n > :after AND l.n <= :last AND t.parent_id IS NULL"
    found = database.execute(f"SELECT g.id, {_PARENT} {_LINKS} {here} ORDER BY l.n", after=after, last=last).all()
    if any(parent is None for _, parent in found):
        database.execute(
            f"""
            INSERT INTO unlinked (tweet_id, parent)
            SELECT g.id, l.target {_LINKS} {here} AND {_PARENT} IS NULL
            ON CONFLICT (tweet_id) DO UPDATE SET parent = excluded.parent WHERE unlinked.parent <> excluded.parent
            """,
            after=after,
            last=last,
        )
    return _link(database, [(child, parent) for child, parent in found if parent is not None])


def _add_late_parents(database: BulkDatabase, after: int, again: bool) -> Sequence[tuple[int, int]]:
    rows: Sequence[tuple[int, int]] = database.execute(
        """
        SELECT u.tweet_id, i.tweet_id FROM unlinked AS u JOIN imported AS i ON i.source_id = u.parent
        WHERE u.tweet_id > :after ORDER BY u.tweet_id LIMIT :limit
        """,
        after=after,
        limit=LINKS_AT_ONCE,
    ).all()
    _link(database, rows)
    for child, _ in rows:
        database.execute("DELETE FROM unlinked WHERE tweet_id = :child", child=child)
    return rows


def _link(database: BulkDatabase, links: Sequence[tuple[int, int]]) -> int:
    """Sets the parents of replies that have none. Returns their number."""
    added = 0
    for child, parent in links:
        # Walking up a conversation must terminate, so links that would create a cycle are skipped.
        if database.execute(_IS_ABOVE, child=child, parent=parent).first() is None:
            link = "UPDATE tweets SET parent_id = :parent WHERE id = :child AND parent_id IS NULL"
            if database.execute(link, child=child, parent=parent).rowcount:
                count = "UPDATE tweets SET replies_count = replies_count + 1 WHERE id = :parent"
                database.execute(count, parent=parent)
                added += 1
    return added


_LINKS = """
    FROM load_links AS l JOIN load_given AS g ON g.n = l.n JOIN tweets AS t ON t.id = g.id
    LEFT JOIN load_given AS p ON p.n = l.target_n
    LEFT JOIN imported AS i ON i.source_id = l.target AND l.target_n IS NULL
    """
_PARENT = "COALESCE(p.id, i.tweet_id)"

_IS_ABOVE = """
    WITH RECURSIVE above(id) AS (
        SELECT CAST(:parent AS BIGINT)
        UNION
        SELECT tweets.parent_id FROM above JOIN tweets ON tweets.id = above.id WHERE tweets.parent_id IS NOT NULL
    )
    SELECT 1 FROM above WHERE id = :child
    """
