"""The public timeline: all tweets, without reposts."""

from collections.abc import Iterable
from typing import Any

from pyramid.config import Configurator
from sqlalchemy import ColumnElement, Select, select

from tweeter.models import Tweet, closed_users
from tweeter.timelines.kind import TimelineKind


class Public(TimelineKind):
    name = "public"
    owned = False

    def tweets(self, owner: ColumnElement[int]) -> Select[Any]:
        return select(Tweet.id).where(Tweet.repost_of_id.is_(None), Tweet.user_id.not_in(closed_users))

    def contains(self, site: Any, owner: int, tweet_id: int) -> bool:
        return bool(tweet_id in site.tweets)

    def owners(self, author: int) -> Iterable[int]:
        return (0,)


KIND = Public()


def includeme(config: Configurator) -> None:
    config.add_timeline_kind(KIND)
