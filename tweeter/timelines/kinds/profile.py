"""A profile: the tweets and reposts of one user."""

from collections.abc import Iterable, Mapping
from typing import Any

from pyramid.config import Configurator
from sqlalchemy import ColumnElement, select

from tweeter.models import User
from tweeter.timelines.kind import REPOSTED
from tweeter.timelines.reposts import RepostingKind


class Profile(RepostingKind):
    name = "profile"
    marks = REPOSTED

    def authors(self, owner: ColumnElement[int]) -> Any:
        return select(User.id).where(User.id == owner, ~User.closed)

    def contains(self, site: Any, owner: int, tweet_id: int) -> bool:
        return bool(site.author(tweet_id) == owner)

    def reposted_below(self, *_: Any) -> Mapping[int, int]:
        return {}  # a user reposts a tweet once

    def owners(self, author: int) -> Iterable[int]:
        return (author,)


KIND = Profile()


def includeme(config: Configurator) -> None:
    config.add_timeline_kind(KIND)
