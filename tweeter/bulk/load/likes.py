"""Writes likes, after all tweets.

A like's id is its place among the likes of its user, and among those of its tweet. So it differs from the ids of both,
and it is above the tweet's.
Like tweets, likes are written in the order of time, and an interrupted load has written a prefix.
"""

# ruff: noqa: S608 (nothing but our own words and numbers is put into the SQL)

from functools import partial

from tweeter import ids
from tweeter.bulk.database import BulkDatabase
from tweeter.bulk.load.acts import BLOCKED, Given, count_acts
from tweeter.console.progress import Progress

IDS_OF_MS = 1 << ids.SEQUENCE_BITS


def write_likes(database: BulkDatabase, progress: Progress) -> None:
    """Adds new likes and counts them."""
    with database.staging():
        database.create("load_likes", "n INTEGER PRIMARY KEY, user_id INTEGER, ms INTEGER, tweet_id INTEGER")
        found = database.execute(
            """
            INSERT INTO load_likes (n, user_id, ms, tweet_id)
            SELECT o.n, o.user_id, o.ms, COALESCE(g.id, i.tweet_id)
            FROM load_order AS o
            JOIN load_acts AS a ON a.n = o.n
            LEFT JOIN load_given AS g ON g.n = a.target_n
            LEFT JOIN imported AS i ON i.source_id = a.target AND a.target_n IS NULL
            WHERE o.kind = 'like' AND COALESCE(g.id, i.tweet_id) IS NOT NULL
            ORDER BY o.n
            """
        ).rowcount
    database.analyze("load_likes")
    progress.phase("Writing likes", found)
    for after, last, count in database.batches("load_likes"):
        database.commit(partial(_write_batch, database, after, last))
        progress.advance(count)


def _write_batch(database: BulkDatabase, after: int, last: int, again: bool) -> int:
    given: list[Given] = []
    likes: dict[tuple[int, int], int] = {}  # ids by user and tweet
    id_ = 0
    conditions = f"AND tweets.date <= {database.date('o.ms')}"
    if again:  # without users whose accounts were closed since
        conditions += " AND EXISTS (SELECT 1 FROM users WHERE id = o.user_id AND NOT closed)"
    rows = database.execute(f"{_LIKES} {conditions} ORDER BY o.n", after=after, last=last).all()
    for n, user_id, tweet_id, ms, there, greatest in rows:
        if there is not None or (user_id, tweet_id) in likes:
            given.append(Given(n, there or likes[user_id, tweet_id], False, tweet_id))
            continue
        id_ = max(id_ + 1, (greatest or 0) + 1, tweet_id + 1, first := ids.first_id_of_ms(ms))
        while (
            id_ > first
            and id_ % IDS_OF_MS == 0
            and (free := database.execute(_AFTER_GREATEST, user_id=user_id, tweet_id=tweet_id, id=id_).scalar())
        ):
            id_ = free  # in the next millisecond, after its likes
        likes[user_id, tweet_id] = id_
        given.append(Given(n, id_, True, tweet_id))
    database.insert_rows("load_given", Given._fields, given)
    database.insert_rows("likes", ("user_id", "tweet_id", "id"), ((*pair, id_) for pair, id_ in likes.items()))
    count_acts(database, "likes_count", given)
    return len(likes)


def _greatest(user: str, tweet: str, first: str) -> str:
    """SQL for the greatest id of a millisecond among the likes of a user, and among those of a tweet."""
    of_ms = f"id >= {first} AND id < {first} + {IDS_OF_MS}"
    # Two look-ups in indexes.
    return f"""(
        SELECT max(id) FROM (
            SELECT max(id) AS id FROM likes WHERE user_id = {user} AND {of_ms}
            UNION ALL SELECT max(id) FROM likes WHERE tweet_id = {tweet} AND {of_ms}
        ) AS each
    )"""


_LIKES = f"""
    SELECT o.n, o.user_id, o.tweet_id, o.ms, there.id,
        {_greatest("o.user_id", "o.tweet_id", f"((o.ms - {ids.EPOCH_MS}) << {ids.SEQUENCE_BITS})")}
    FROM load_likes AS o
    JOIN tweets ON tweets.id = o.tweet_id
    JOIN users AS author ON author.id = tweets.user_id AND NOT author.closed
    LEFT JOIN likes AS there ON there.user_id = o.user_id AND there.tweet_id = o.tweet_id
    WHERE o.n > :after AND o.n <= :last AND NOT {BLOCKED}
    """
_AFTER_GREATEST = f"SELECT {_greatest(':user_id', ':tweet_id', ':id')} + 1"
