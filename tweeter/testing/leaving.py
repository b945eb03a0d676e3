"""The model of a site when users leave it: a closed account for ever, a suspended one until it returns."""

from typing import NamedTuple

from tweeter.testing.site import Model


class Left(NamedTuple):
    """What a user had who left, in the model."""

    name: str
    pairs: tuple[set[tuple[int, int]], ...]  # follows, mutes, blocks
    tweets: dict[int, tuple[int, str, int | None]]
    reposts: dict[int, tuple[int, int]]
    likes: dict[int, tuple[int, int]]


def leave(model: Model, id_: int) -> Left:
    """Removes what the user had; their tweets, reposts and likes count as long as they have rows."""
    pairs = tuple({pair for pair in each if id_ in pair} for each in _pairs(model))
    for each, theirs in zip(_pairs(model), pairs, strict=True):
        each -= theirs
    tweets = {tweet: row for tweet, row in model.tweets.items() if row[0] == id_}
    reposts = {repost: row for repost, row in model.reposts.items() if row[0] == id_}
    likes = {like: row for like, row in model.likes.items() if row[0] == id_}
    model.tweets = {tweet: row for tweet, row in model.tweets.items() if row[0] != id_}
    model.reposts = {repost: row for repost, row in model.reposts.items() if row[0] != id_}
    model.likes = {like: row for like, row in model.likes.items() if row[0] != id_}
    model.remains |= {tweet: row[2] for tweet, row in tweets.items()}
    model.reposts_remain |= {repost: row[1] for repost, row in reposts.items()}
    model.likes_remain |= {like: row[1] for like, row in likes.items()}
    return Left(model.names.pop(id_), pairs, tweets, reposts, likes)


def return_(model: Model, id_: int) -> None:
    """The suspended user has everything again, except what concerned those who closed their accounts."""
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
    for remaining, rows in (
        (model.remains, left.tweets), (model.reposts_remain, left.reposts), (model.likes_remain, left.likes),
    ):  # fmt: skip
        for row in rows:
            remaining.pop(row, None)


def _pairs(model: Model) -> tuple[set[tuple[int, int]], ...]:
    return model.follows, model.mutes, model.blocks
