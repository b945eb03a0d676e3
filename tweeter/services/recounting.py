"""Leaves suspended accounts out of the counters of others, and counts them again before they return.

A follow, like, repost or reply is `uncounted` if its user is, or one of the two users of a follow: then no counter
contains it. A suspension and its end change `uncounted` of one account. Its rows, maybe millions, follow a chunk at a
time (`chunks.in_chunks`), each in one transaction with the counters. A row of Recount says how far this has got: any
process continues where another was killed, and several may work at once. An account returns to the pages when all its
rows are counted.
"""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

from sqlalchemy import ColumnElement, delete, literal, or_, select, update
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.orm import Session

from tweeter import outbox
from tweeter.db.chunks import CHUNK
from tweeter.db.sessions import UNSYNCHRONIZED, write
from tweeter.models import CounterChange, Like, Recount, Relationship, Tweet, User
from tweeter.services.closing import count_replies, lock_tweets
from tweeter.values import Reloaded, TweetsCounted


def begin(dialect: str, user_id: int | None = None) -> Any:
    """The statement that makes `recount_some` look at all rows of a suspended account; without an id, of all these."""
    insert = postgresql.insert if dialect == "postgresql" else sqlite.insert
    suspended = select(User.id, literal(0), literal(0), literal(0)).where(User.closed, User.suspended)
    return (
        insert(Recount)
        .from_select(
            ["user_id", "step", "last_key", "beginnings"],
            suspended if user_id is None else suspended.where(User.id == user_id),
        )
        .on_conflict_do_update(
            index_elements=["user_id"],
            set_={"step": 0, "last_key": 0, "beginnings": Recount.beginnings + 1},
        )
    )


def recount_some(session: Session, limit: int = CHUNK) -> int:
    """Looks at a chunk of rows of an account in the session's transaction; returns their number, 0 if none is left.

    At an end, where there are none, it returns 1.
    """
    found = session.execute(
        select(Recount.user_id, Recount.step, Recount.last_key, Recount.beginnings).order_by(Recount.user_id).limit(1)
    ).one_or_none()
    if found is None:
        return 0
    user_id, step, last_key, beginnings = found
    rows = _STEPS[step]
    here = (rows.own == user_id) & (rows.key > last_key)
    keys = session.scalars(select(rows.key).where(here).order_by(rows.key).limit(limit)).all()
    users = _lock(session, {user_id, *keys} if rows.recount is _recount_follows else {user_id})
    user = users.get(user_id)
    if user is None or not user.suspended:  # closed: its rows are removed
        write(session, delete(Recount).where(Recount.user_id == user_id))
        return 1
    # A bulk load may have set it back to the first step since: then no row matches, and the next call begins there.
    place = (
        Recount.user_id == user_id,
        Recount.step == step,
        Recount.last_key == last_key,
        Recount.beginnings == beginnings,
    )
    if keys:
        rows.recount(session, rows, user, keys, users)
    if len(keys) == limit:
        write(session, update(Recount).where(*place).values(last_key=keys[-1]))
    elif step + 1 < len(_STEPS):
        write(session, update(Recount).where(*place).values(step=step + 1, last_key=0))
    elif write(session, delete(Recount).where(*place)) and not user.uncounted:
        write(session, update(User).where(User.id == user_id).values(closed=False, suspended=False))
        outbox.record(session, Reloaded())
    session.flush()
    return len(keys) or 1


def _lock(session: Session, ids: set[int]) -> dict[int, Any]:
    """Locks accounts, in the order of their ids as all actions do: so they stay as they are, and so do their rows."""
    rows = select(User.id, User.uncounted, User.suspended).where(User.id.in_(ids)).order_by(User.id)
    return {user.id: user for user in session.execute(rows.with_for_update(key_share=True))}


def _mark(session: Session, rows: ColumnElement[bool], uncounted: bool, *columns: Any) -> Sequence[Any]:
    """Marks those of these rows that are not yet marked so; returns their columns."""
    model = columns[0].class_
    others = model.uncounted.is_(None) if uncounted else model.uncounted.is_not(None)
    marked = update(model).where(rows, others).values(uncounted=uncounted or None).returning(*columns)
    return session.execute(marked, execution_options=UNSYNCHRONIZED).all()


class _Rows(NamedTuple):
    """What an account did: the rows found by `own`, in the order of `key`. Of a follow the key is the other user."""

    own: Any
    key: Any
    recount: Callable[[Session, "_Rows", Any, Sequence[int], Mapping[int, Any]], None]
    counters: tuple[Any, Any] = (None, None)  # of follows: the account's, and the other user's


def _recount_follows(session: Session, rows: _Rows, user: Any, keys: Sequence[int], users: Mapping[int, Any]) -> None:
    mine, theirs = rows.counters
    for uncounted, step in ((True, -1), (False, 1)):
        others = [id_ for id_ in keys if id_ in users and (user.uncounted or users[id_].uncounted) == uncounted]
        if ids := [id_ for (id_,) in _mark(session, (rows.own == user.id) & rows.key.in_(others), uncounted, rows.key)]:
            write(session, update(User).where(User.id.in_(ids)).values({theirs: theirs + step}))
            write(session, update(User).where(User.id == user.id).values({mine: mine + step * len(ids)}))


def _recount_likes(session: Session, rows: _Rows, user: Any, keys: Sequence[int], users: Mapping[int, Any]) -> None:
    found = (rows.own == user.id) & rows.key.in_(keys)
    ids = sorted(id_ for (id_,) in _mark(session, found, user.uncounted, rows.key))
    session.add_all(CounterChange(tweet_id=id_, likes=_step(user)) for id_ in ids)
    _record(session, ids)


def _recount_tweets(session: Session, rows: _Rows, user: Any, keys: Sequence[int], users: Mapping[int, Any]) -> None:
    counts = or_(Tweet.parent_id.is_not(None), Tweet.repost_of_id.is_not(None))
    found = session.execute(select(Tweet.id, Tweet.parent_id).where(Tweet.id.in_(keys), counts)).all()
    locked = lock_tweets(session, {id_ for row in found for id_ in row if id_ is not None})
    there = rows.key.in_([id_ for id_, _ in found if id_ in locked])
    marked = _mark(session, there, user.uncounted, Tweet.parent_id, Tweet.repost_of_id)
    replies = Counter(parent for parent, _ in marked if parent in locked)
    reposted = sorted(of for _, of in marked if of is not None)
    count_replies(session, replies, _step(user))
    session.add_all(CounterChange(tweet_id=id_, reposts=_step(user)) for id_ in reposted)
    _record(session, sorted({*replies, *reposted}))


def _step(user: Any) -> int:
    return -1 if user.uncounted else 1


def _record(session: Session, ids: Sequence[int]) -> None:
    if ids:
        outbox.record(session, TweetsCounted(tuple(ids)))


_STEPS = (
    _Rows(
        Relationship.from_user_id,
        Relationship.to_user_id,
        _recount_follows,
        (User.following_count, User.followers_count),
    ),
    _Rows(
        Relationship.to_user_id,
        Relationship.from_user_id,
        _recount_follows,
        (User.followers_count, User.following_count),
    ),
    _Rows(Like.user_id, Like.tweet_id, _recount_likes),
    _Rows(Tweet.user_id, Tweet.id, _recount_tweets),
)
