"""Likes: the tweets that a user likes, the latest like first."""

from collections.abc import Collection
from typing import Any

from pyramid.config import Configurator
from sqlalchemy import ColumnElement, select
from sqlalchemy.orm import Session

from tweeter.db.among import Among
from tweeter.models import Like, Tweet, closed_users
from tweeter.timelines.kind import LIKED, TimelineKind
from tweeter.values import Event, TweetLiked, TweetUnliked


class Likes(TimelineKind):
    """Each like has an id of its own, which refers to the tweet."""

    name = "likes"
    private = True
    marks = LIKED

    @property
    def hides(self) -> bool:
        """False: the profile of a muted author shows which tweets the viewer likes."""
        return False

    def tweets(self, owner: ColumnElement[int]) -> Any:
        liked = select(Like.id, Like.tweet_id).join(Tweet, Tweet.id == Like.tweet_id)
        return liked.where(Like.user_id == owner, Tweet.user_id.not_in(closed_users))

    def contains(self, site: Any, owner: int, tweet_id: int) -> bool:
        return bool(site.likes.get(tweet_id, (0, 0))[0] == owner)

    def added(self, event: Event) -> tuple[int, int, int] | None:
        return (event.user_id, event.like_id, event.tweet_id) if isinstance(event, TweetLiked) else None

    def lasting(self, session: Session, ids: Collection[int]) -> set[int]:
        return set(session.scalars(_LASTING, {"ids": list(ids)}))

    def made_cold(self, event: Event) -> Any:
        # Removing the id would not do: a repeated event would add it again.
        return (event.user_id,) if isinstance(event, TweetUnliked) else super().made_cold(event)


_LASTING = select(Like.id).where(Among(Like.id))


KIND = Likes()


def includeme(config: Configurator) -> None:
    config.add_timeline_kind(KIND)
