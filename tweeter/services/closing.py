"""Removes the rows of closed accounts and of deleted tweets, a chunk at a time (`chunks.in_chunks`).

Closing an account sets `closed` in its row, and every page excludes it from then on. A suspended account keeps its
rows. It may have a million followers and tweets, so `tweeter.services.housekeeping` or `tweeter user close` removes
their rows afterwards. Each chunk is complete in itself: any process continues where another was killed, and several may
work at once.
"""

from collections import Counter
from collections.abc import Iterable
from typing import Any

from sqlalchemy import Select, delete, select, update
from sqlalchemy.orm import Session

from tweeter import outbox
from tweeter.db.chunks import CHUNK
from tweeter.db.sessions import UNSYNCHRONIZED, insert_new, write
from tweeter.models import (
    Block,
    CounterChange,
    DeletedTweet,
    Hidden,
    Like,
    List,
    ListMember,
    Mention,
    Mute,
    Notification,
    Notifies,
    Relationship,
    Tweet,
    User,
    removed_users,
)
from tweeter.services import notifying
from tweeter.values import TweetsCounted, TweetsDeleted


def remove_some(session: Session, limit: int = CHUNK) -> int:
    """Removes a chunk of rows of a closed account in the session's transaction; returns their number, 0 if none."""
    user_id = session.scalar(select(User.id).where(removed_users).order_by(User.id).limit(1))
    if user_id is None:
        return 0
    if removed := _remove(session, user_id, limit):
        return removed
    # A bulk load may just have added rows. It locks the account, because foreign keys do.
    session.scalar(select(User.id).where(User.id == user_id).with_for_update())
    return _remove(session, user_id, limit) or write(session, delete(User).where(User.id == user_id)) or 1


def _remove(session: Session, user_id: int, limit: int) -> int:
    """Removes up to `limit` rows of the account from one table: tweets must be locked after accounts."""
    for remove in _REMOVALS:
        if removed := remove(session, user_id, limit):
            return removed
    return 0


def _remove_tweets(session: Session, user_id: int, limit: int) -> int:
    ids = _chunk(session, Tweet.id, Tweet.user_id == user_id, limit)
    if not ids:
        return 0
    chunk = (Tweet.user_id == user_id) & Tweet.id.between(ids[-1], ids[0])
    parents = {parent for parent in session.scalars(select(Tweet.parent_id).where(chunk)) if parent is not None}
    # Those that another transaction has removed are not locked, and their replies are counted down already.
    locked = lock_tweets(session, {*ids, *parents})
    ids = [id_ for id_ in ids if id_ in locked]
    counted = select(Tweet.id, Tweet.repost_of_id).where(Tweet.id.in_(ids), Tweet.uncounted.is_(None))
    reposts = {id_: of for id_, of in session.execute(counted)}  # noqa: C416 (a result has keys())
    replies = Counter(parent for id_ in reposts if (parent := locked[id_]) in locked and parent not in ids)
    reposted = {of for of in reposts.values() if of is not None}
    session.add_all(CounterChange(tweet_id=id_, reposts=-1) for id_ in sorted(reposted))
    # No page shows them any more, but AccountClosed may not be applied to every store yet.
    if ids:
        by_others = forget_tweets(session, ids)
        changed = tuple(sorted({*replies, *reposted}))
        outbox.record(session, TweetsDeleted(tuple(ids), user_id, changed, reposted=by_others))
        session.flush()
    count_replies(session, replies, -1)
    return write(session, delete(Tweet).where(Tweet.id.in_(ids))) or 1


def count_replies(session: Session, replies: Counter[int], sign: int) -> None:
    """Adds numbers of replies, or subtracts them, at their parents, which are locked."""
    for number in set(replies.values()):
        parents = Tweet.id.in_([parent for parent, each in replies.items() if each == number])
        write(session, update(Tweet).where(parents).values(replies_count=Tweet.replies_count + sign * number))


def lock_tweets(session: Session, ids: Iterable[int]) -> dict[int, int | None]:
    """Locks tweets before some are deleted and the replies of others are counted; returns {id: id of the parent}.

    All transactions lock accounts before tweets, and tweets in the order of their ids.
    """
    rows = select(Tweet.id, Tweet.parent_id).where(Tweet.id.in_(list(ids))).order_by(Tweet.id).with_for_update()
    return {id_: parent_id for id_, parent_id in session.execute(rows)}  # noqa: C416 (a result has keys())


def _remove_follows(session: Session, user_id: int, limit: int) -> int:
    """Removes follows in both directions, and adjusts the counters of the users on the other side."""
    own, others = Relationship.from_user_id, Relationship.to_user_id
    followees = _chunk(session, others, own == user_id, limit)
    followers = _chunk(session, own, others == user_id, limit - len(followees)) if len(followees) < limit else []
    if not followees and not followers:
        return 0
    # Lock in the order of ids, as all actions do. The counters of accounts that never return need no update.
    neighbours = User.id.in_({*followees, *followers}) & ~removed_users
    session.scalars(select(User.id).where(neighbours).order_by(User.id).with_for_update(key_share=True)).all()
    removed = 0
    for ids, counter, mine, theirs in (
        (followees, User.followers_count, own, others), (followers, User.following_count, others, own),
    ):  # fmt: skip
        if ids:
            part = (mine == user_id) & theirs.between(ids[-1], ids[0])
            counted = select(theirs).where(part, Relationship.uncounted.is_(None))
            there = User.id.in_(counted) & ~removed_users
            write(session, update(User).where(there).values({counter: counter - 1}))
            removed += write(session, delete(Relationship).where(part))
    return removed


def _remove_mentions(session: Session, user_id: int, limit: int) -> int:
    ids = _chunk(session, Mention.tweet_id, Mention.user_id == user_id, limit)
    if not ids:
        return 0
    return write(session, delete(Mention).where(Mention.user_id == user_id, Mention.tweet_id >= ids[-1]))


def _remove_likes(session: Session, user_id: int, limit: int) -> int:
    ids = _chunk(session, Like.tweet_id, Like.user_id == user_id, limit)
    if not ids:
        return 0
    rows = delete(Like).where(Like.user_id == user_id, Like.tweet_id >= ids[-1])
    removed = session.execute(rows.returning(Like.tweet_id, Like.uncounted), execution_options=UNSYNCHRONIZED).all()
    if counted := sorted(tweet_id for tweet_id, uncounted in removed if not uncounted):
        session.add_all(CounterChange(tweet_id=id_, likes=-1) for id_ in counted)
        outbox.record(session, TweetsCounted(tuple(counted)))
        session.flush()
    return len(removed)


def forget_tweets(session: Session, ids: Iterable[int]) -> bool:
    """Marks deleted tweets that have likes or reposts, so that `remove_some_of_deleted` removes these later.

    Returns whether any has reposts.
    """
    wanted = list(ids)
    liked = set(session.scalars(select(Like.tweet_id).where(Like.tweet_id.in_(wanted)).distinct()))
    reposted = set(session.scalars(select(Tweet.repost_of_id).where(Tweet.repost_of_id.in_(wanted)).distinct()))
    for id_ in sorted(liked | {id_ for id_ in reposted if id_ is not None}):
        insert_new(session, DeletedTweet, id=id_)
    return bool(reposted)


def remove_some_of_deleted(session: Session, limit: int = CHUNK) -> int:
    """Removes a chunk of the likes and reposts of a deleted tweet; returns the number of rows, 0 if there are none.

    No page shows them: a repost is shown only with its tweet.
    """
    tweet_id = session.scalar(select(DeletedTweet.id).limit(1))
    if tweet_id is None:
        return 0
    write(session, delete(CounterChange).where(CounterChange.tweet_id == tweet_id))
    if reposts := _chunk(session, Tweet.id, Tweet.repost_of_id == tweet_id, limit):
        _forget(session, Notifies.REPOST, tweet_id, select(Tweet.user_id).where(Tweet.id.in_(reposts)))
        return write(session, delete(Tweet).where(Tweet.id.in_(reposts)))
    if likes := _chunk(session, Like.id, Like.tweet_id == tweet_id, limit):
        chunk = (Like.tweet_id == tweet_id) & (Like.id >= likes[-1])
        _forget(session, Notifies.LIKE, tweet_id, select(Like.user_id).where(chunk))
        return write(session, delete(Like).where(chunk))
    return write(session, delete(DeletedTweet).where(DeletedTweet.id == tweet_id)) or 1


def _forget(session: Session, kind: Notifies, tweet_id: int, actors: Select[Any]) -> None:
    """Removes the notifications of these likes or reposts of a deleted tweet."""
    about = (Notification.kind == int(kind)) & (Notification.tweet_id == tweet_id)
    write(session, delete(Notification).where(about, Notification.actor_id.in_(actors)))


def _remove_notifications(session: Session, user_id: int, limit: int) -> int:
    """Removes those of the user, and those about the user."""
    own, about = Notification.user_id == user_id, Notification.actor_id == user_id
    return notifying.remove_some(session, own, limit) or notifying.remove_some(session, about, limit)


def _remove_hidden(session: Session, user_id: int, limit: int) -> int:
    """Removes mutes and blocks in both directions, and what they hide. No event: the tweets are removed already."""
    for mine, theirs in (
        (Hidden.viewer_id, Hidden.author_id), (Hidden.author_id, Hidden.viewer_id),
        (Mute.from_user_id, Mute.to_user_id), (Mute.to_user_id, Mute.from_user_id),
        (Block.from_user_id, Block.to_user_id), (Block.to_user_id, Block.from_user_id),
    ):  # fmt: skip
        if ids := _chunk(session, theirs, mine == user_id, limit):
            return write(session, delete(mine.class_).where(mine == user_id, theirs >= ids[-1]))
    return 0


def _remove_lists(session: Session, user_id: int, limit: int) -> int:
    """Removes the account from lists, and its own lists. No event: the tweets are removed already."""
    if ids := _chunk(session, ListMember.list_id, ListMember.user_id == user_id, limit):
        return write(session, delete(ListMember).where(ListMember.user_id == user_id, ListMember.list_id >= ids[-1]))
    list_id = session.scalar(select(List.id).where(List.user_id == user_id).limit(1))
    if list_id is None:
        return 0
    if ids := _chunk(session, ListMember.user_id, ListMember.list_id == list_id, limit):
        return write(session, delete(ListMember).where(ListMember.list_id == list_id, ListMember.user_id >= ids[-1]))
    return write(session, delete(List).where(List.id == list_id)) or 1


# Notifications after the rows that they are about: an action that is still running adds none after that.
_REMOVALS = (
    _remove_tweets,
    _remove_follows,
    _remove_mentions,
    _remove_likes,
    _remove_hidden,
    _remove_lists,
    _remove_notifications,
)


def _chunk(session: Session, key: Any, where: Any, limit: int) -> list[int]:
    """A chunk of keys, the greatest first: `sql` must skip the tweets of closed accounts among the newest."""
    return list(session.scalars(select(key).where(where).order_by(key.desc()).limit(limit)).all())
