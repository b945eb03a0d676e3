"""Counts likes and reposts: adds the rows of CounterChange to the counters of their tweets.

A like or a repost only inserts a row. So any number of people may like one tweet at once, and no transaction waits for
another one's commit. A count is exact at any moment: the tweet's column plus the rows that are not yet added.
"""

from collections import Counter

from sqlalchemy import delete, select, update
from sqlalchemy.orm import Session

from tweeter.db.sessions import SessionFactory, write
from tweeter.models import CounterChange, Tweet

AT_ONCE = 5000  # rows per transaction


def due(sessions: SessionFactory) -> bool:
    """Whether there are rows to add. Reads only, because a transaction that may write stops SQLite's other writers."""
    with sessions() as session:
        return session.scalar(select(CounterChange.id).limit(1)) is not None


def count_some(session: Session, limit: int = AT_ONCE) -> int:
    """Adds some rows in the session's transaction; returns their number, 0 if there are none."""
    rows = session.execute(
        select(CounterChange.id, CounterChange.tweet_id, CounterChange.likes, CounterChange.reposts)
        .order_by(CounterChange.id)
        .limit(limit)
        .with_for_update(skip_locked=True)
    ).all()
    if not rows:
        return 0
    likes, reposts = Counter[int](), Counter[int]()
    for _, tweet_id, more_likes, more_reposts in rows:
        likes[tweet_id] += more_likes
        reposts[tweet_id] += more_reposts
    # All transactions lock tweets in the order of their ids.
    for tweet_id in sorted(likes.keys() | reposts.keys()):
        counted = {
            "likes_count": Tweet.likes_count + likes[tweet_id],
            "reposts_count": Tweet.reposts_count + reposts[tweet_id],
        }
        write(session, update(Tweet).where(Tweet.id == tweet_id).values(counted))
    return write(session, delete(CounterChange).where(CounterChange.id.in_([row.id for row in rows])))
