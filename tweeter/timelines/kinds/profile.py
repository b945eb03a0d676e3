"""A profile: the tweets of one user."""

from collections.abc import Iterable
from typing import Any

from pyramid.config import Configurator
from sqlalchemy import ColumnElement, Select, select

from tweeter.models import Tweet, closed_users
from tweeter.timelines.kind import TimelineKind


class Profile(TimelineKind):
    name = "profile"

    def tweets(self, owner: ColumnElement[int]) -> Select[Any]:
        return select(Tweet.id).where(Tweet.user_id == owner, owner.not_in(closed_users))

    def contains(self, site: Any, owner: int, tweet_id: int) -> bool:
        return bool(site.author(tweet_id) == owner)

    def owners(self, author: int) -> Iterable[int]:
        return (author,)


def includeme(config: Configurator) -> None:
    config.add_timeline_kind(Profile())
