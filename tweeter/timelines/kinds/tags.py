"""Tags: the tweets that contain a hashtag. The owner is the hashtag's id."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from pyramid.config import Configurator
from sqlalchemy import ColumnElement, Select, bindparam, func, select
from sqlalchemy.orm import Session

from tweeter.db.among import Among
from tweeter.models import Hashtag, Tag, Tweet, closed_users
from tweeter.timelines.kind import TimelineKind, author_of
from tweeter.values import TweetCreated

NEWEST = 20  # tweets of a user whose hashtags count as the user's


class Tags(TimelineKind):
    """The hashtags of a tweet never change."""

    name = "tag"
    of_users = False

    def tweets(self, owner: ColumnElement[int]) -> Select[Any]:
        tagged = select(Hashtag.tweet_id).join(Tag, Tag.tag == Hashtag.tag).where(Tag.id == owner)
        return tagged.where(author_of(Hashtag.tweet_id).not_in(closed_users))

    def contains(self, site: Any, owner: int, tweet_id: int) -> bool:
        return owner in site.tags.get(tweet_id, ())

    def check_owner(self, session: Session, owner: int) -> None:
        """The timeline of a hashtag that no tweet has is empty."""

    def owners_of(self, session: Session, user: int) -> Sequence[int]:
        """The hashtags of the user's newest tweets."""
        return session.scalars(_OF_USER, {"user": user}).all()

    def related_owners(self, session: Session, created: Iterable[TweetCreated]) -> Mapping[int, Iterable[int]]:
        owners: dict[int, list[int]] = {}
        for tweet_id, owner in session.execute(_OF_TWEETS, {"ids": [event.tweet_id for event in created]}):
            owners.setdefault(tweet_id, []).append(owner)
        return owners


_newest = select(Tweet.id).where(Tweet.user_id == bindparam("user")).order_by(Tweet.id.desc()).limit(NEWEST)
_OF_USER = (
    select(Tag.id)
    .join(Hashtag, Hashtag.tag == Tag.tag)
    .where(Hashtag.tweet_id.in_(_newest.scalar_subquery()))
    .group_by(Tag.id)
    .order_by(func.max(Hashtag.tweet_id).desc(), Tag.id)
)
_OF_TWEETS = select(Hashtag.tweet_id, Tag.id).join(Tag, Tag.tag == Hashtag.tag).where(Among(Hashtag.tweet_id))


KIND = Tags()


def includeme(config: Configurator) -> None:
    config.add_timeline_kind(KIND)
