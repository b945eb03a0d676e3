"""Writes users and relationships from the temporary tables."""

# ruff: noqa: S608 (nothing but our own words is put into the SQL)

import time
from functools import partial

from tweeter.bulk.database import BulkDatabase, Conflict
from tweeter.console.progress import Progress


def write_users(database: BulkDatabase, progress: Progress, password_hash: str) -> int:
    """Adds missing users of the files in their order of appearance. Returns their number."""
    with database.staging():
        # A name may have been seen more than once.
        database.execute("DELETE FROM load_names WHERE n NOT IN (SELECT min(n) FROM load_names GROUP BY key)")
        names = database.execute("SELECT count(*) FROM load_names").scalar_one()
    progress.phase("Writing users", names)
    written = 0
    for after, last, count in database.batches("load_names"):
        written += database.commit(partial(_add_users, database, after, last, password_hash))
        progress.advance(count)
    database.analyze("users")
    return written


def _add_users(database: BulkDatabase, after: int, last: int, password_hash: str, again: bool) -> int:
    added: int = database.execute(
        f"""
        INSERT INTO users (username, username_key, display_name, folded_name, bio, password_hash, auth_version,
            tweets_count, followers_count, following_count, date)
        SELECT name, key, name, key, '', :password_hash, 0, 0, 0, 0, {database.date(str(time.time_ns() // 1_000_000))}
        FROM load_names WHERE n > :after AND n <= :last
        AND NOT EXISTS (SELECT 1 FROM users WHERE username_key = load_names.key)
        ORDER BY n
        """,
        after=after,
        last=last,
        password_hash=password_hash,
    ).rowcount
    return added


def write_follows(database: BulkDatabase, progress: Progress) -> tuple[int, int, int]:
    """Adds new relationships and updates the counters.

    Returns the number of pairs in the files, of new ones, and of those that a block between the two users prevents.
    """
    with database.staging():
        database.create("load_pairs", "n INTEGER PRIMARY KEY, follower_id INTEGER, followee_id INTEGER")
        database.create("load_fresh", "follower_id INTEGER, followee_id INTEGER")
        # In the order of the primary key: fills its pages sequentially, and updates the counter of each follower
        # only once.
        new = database.execute(
            """
            INSERT INTO load_pairs (n, follower_id, followee_id)
            SELECT row_number() OVER (ORDER BY follower_id, followee_id) AS n, follower_id, followee_id
            FROM (
                SELECT DISTINCT follower.id AS follower_id, followee.id AS followee_id
                FROM load_follows
                JOIN users AS follower ON follower.username_key = load_follows.follower
                JOIN users AS followee ON followee.username_key = load_follows.followee
            ) AS pairs
            WHERE NOT EXISTS (
                SELECT 1 FROM relationships AS r
                WHERE r.from_user_id = pairs.follower_id AND r.to_user_id = pairs.followee_id
            )
            ORDER BY n
            """
        ).rowcount
        blocked: int = database.execute(f"DELETE FROM load_pairs WHERE {_BLOCKED}").rowcount
        pairs: int = database.execute(
            "SELECT count(*) FROM (SELECT DISTINCT follower, followee FROM load_follows) AS pairs"
        ).scalar_one()  # fmt: skip
    database.analyze("load_pairs")
    progress.phase("Writing follows", new - blocked)
    written = 0
    for after, last, count in database.batches("load_pairs"):
        written += database.commit(partial(_add_follows, database, after, last))
        progress.advance(count)
    return pairs, written, blocked


def _add_follows(database: BulkDatabase, after: int, last: int, again: bool) -> int:
    database.empty("load_fresh")
    new: int = database.execute(
        f"""
        INSERT INTO load_fresh (follower_id, followee_id)
        SELECT follower_id, followee_id FROM load_pairs AS p
        WHERE n > :after AND n <= :last {_STILL_NEW if again else ""}
        ORDER BY n
        """,
        after=after,
        last=last,
    ).rowcount
    if not new:
        return 0
    ids = database.execute(
        "SELECT count(*) FROM (SELECT follower_id FROM load_fresh UNION SELECT followee_id FROM load_fresh) AS ids"
    ).scalar_one()
    database.hold("users")  # the update of the counters locks them
    database.execute(
        "INSERT INTO relationships (from_user_id, to_user_id) SELECT follower_id, followee_id FROM load_fresh"
    )
    counted = database.execute(
        """
        UPDATE users
        SET following_count = following_count + steps.following, followers_count = followers_count + steps.followers
        FROM (
            SELECT id, sum(following) AS following, sum(followers) AS followers
            FROM (
                SELECT follower_id AS id, 1 AS following, 0 AS followers FROM load_fresh
                UNION ALL
                SELECT followee_id, 0, 1 FROM load_fresh
            ) AS each
            GROUP BY id
        ) AS steps
        WHERE users.id = steps.id
        """
    ).rowcount
    if counted < ids:
        raise Conflict  # an account was deleted
    return new


_BLOCKED = """EXISTS (
        SELECT 1 FROM blocks AS b WHERE b.from_user_id = follower_id AND b.to_user_id = followee_id
    ) OR EXISTS (SELECT 1 FROM blocks AS b WHERE b.from_user_id = followee_id AND b.to_user_id = follower_id)"""

# Skips pairs that were followed, or whose accounts were closed, since the pairs were collected.
_STILL_NEW = """
    AND EXISTS (SELECT 1 FROM users WHERE id = p.follower_id AND NOT closed)
    AND EXISTS (SELECT 1 FROM users WHERE id = p.followee_id AND NOT closed)
    AND NOT EXISTS (
        SELECT 1 FROM relationships AS r WHERE r.from_user_id = p.follower_id AND r.to_user_id = p.followee_id
    )
    """
