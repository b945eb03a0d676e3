"""The model of a site when users leave it: a closed account for ever, a suspended one until it returns.

Their rows are not counted any more, but only chunk by chunk. The model reads which rows are left while there are any;
that none is left at the end, and that all are counted again before a suspended user returns, it demands by itself.
"""

from typing import NamedTuple

from sqlalchemy import select
from sqlalchemy.orm import Session

from tweeter.models import Like, Recount, Relationship, Tweet
from tweeter.testing.site import Model


class Left(NamedTuple):
    """What a user had who left, in the model."""

    name: str
    pairs: tuple[set[tuple[int, int]], ...]  # follows, mutes, blocks
    tweets: dict[int, tuple[int, str, int | None]]
    reposts: dict[int, tuple[int, int]]
    likes: dict[int, tuple[int, int]]


def leave(model: Model, id_: int) -> Left:
    """Removes what the user had; it counts until `count_remains`."""
    pairs = tuple({pair for pair in each if id_ in pair} for each in _pairs(model))
    for each, theirs in zip(_pairs(model), pairs, strict=True):
        each -= theirs
    tweets = {tweet: row for tweet, row in model.tweets.items() if row[0] == id_}
    reposts = {repost: row for repost, row in model.reposts.items() if row[0] == id_}
    likes = {like: row for like, row in model.likes.items() if row[0] == id_}
    model.tweets = {tweet: row for tweet, row in model.tweets.items() if row[0] != id_}
    model.reposts = {repost: row for repost, row in model.reposts.items() if row[0] != id_}
    model.likes = {like: row for like, row in model.likes.items() if row[0] != id_}
    model.follows_remain |= pairs[0]
    model.remains |= {tweet: row[2] for tweet, row in tweets.items()}
    model.reposts_remain |= {repost: row[1] for repost, row in reposts.items()}
    model.likes_remain |= {like: row[1] for like, row in likes.items()}
    return Left(model.names.pop(id_), pairs, tweets, reposts, likes)


def return_(model: Model, id_: int) -> None:
    """The suspended user has everything again, except what concerned those who closed their accounts."""
    model.returning.discard(id_)
    left = model.suspended.pop(id_)
    model.names[id_] = left.name
    for number, (each, theirs) in enumerate(zip(_pairs(model), left.pairs, strict=True)):
        for pair in theirs:
            other = sum(pair) - id_
            if other in model.names:
                each.add(pair)
            elif other in model.suspended:
                model.suspended[other].pairs[number].add(pair)
    model.tweets |= left.tweets
    model.reposts |= left.reposts
    model.likes |= left.likes


def count_remains(model: Model, session: Session) -> None:
    """Adapts the model after chunks were removed or recounted: who returns, and what of others is still counted."""
    waiting = set(session.scalars(select(Recount.user_id)))
    for id_ in sorted(model.returning - waiting):
        return_(model, id_)
    settled = model.suspended.keys() - waiting
    follows = select(Relationship.from_user_id, Relationship.to_user_id).where(Relationship.uncounted.is_(None))
    pairs = {(one, other) for one, other in session.execute(follows)} - model.follows
    model.follows_remain = {pair for pair in pairs if settled.isdisjoint(pair)}
    tweets = select(Tweet.id, Tweet.parent_id, Tweet.repost_of_id, Tweet.user_id).where(Tweet.uncounted.is_(None))
    rows = [row for row in session.execute(tweets) if row.user_id not in settled]
    model.remains = {row.id: row.parent_id for row in rows if row.id not in model.tweets and row.repost_of_id is None}
    model.reposts_remain = {
        row.id: row.repost_of_id for row in rows if row.repost_of_id and row.id not in model.reposts
    }
    likes = select(Like.id, Like.tweet_id, Like.user_id).where(Like.uncounted.is_(None))
    model.likes_remain = {
        row.id: row.tweet_id
        for row in session.execute(likes)
        if row.id not in model.likes and row.user_id not in settled
    }


def _pairs(model: Model) -> tuple[set[tuple[int, int]], ...]:
    return model.follows, model.mutes, model.blocks
