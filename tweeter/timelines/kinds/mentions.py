"""Mentions: the tweets that contain a user's @username."""

from collections.abc import Iterable, Mapping
from typing import Any

from pyramid.config import Configurator
from sqlalchemy import ColumnElement, Select, bindparam, select
from sqlalchemy.orm import Session

from tweeter.models import Mention, Tweet, closed_users
from tweeter.timelines.kind import TimelineKind
from tweeter.values import TweetCreated


class Mentions(TimelineKind):
    """The tweet's own row names the users, and never changes."""

    name = "mentions"
    private = True

    def tweets(self, owner: ColumnElement[int]) -> Select[Any]:
        mentioned = select(Mention.tweet_id).join(Tweet, Tweet.id == Mention.tweet_id)
        return mentioned.where(Mention.user_id == owner, Tweet.user_id.not_in(closed_users))

    def contains(self, site: Any, owner: int, tweet_id: int) -> bool:
        return owner in site.mentions.get(tweet_id, ())

    def related_owners(self, session: Session, created: Iterable[TweetCreated]) -> Mapping[int, Iterable[int]]:
        owners: dict[int, list[int]] = {}
        for tweet_id, owner in session.execute(_MENTIONED, {"ids": [event.tweet_id for event in created]}):
            owners.setdefault(tweet_id, []).append(owner)
        return owners


_MENTIONED = select(Mention.tweet_id, Mention.user_id).where(Mention.tweet_id.in_(bindparam("ids", expanding=True)))


def includeme(config: Configurator) -> None:
    config.add_timeline_kind(Mentions())
