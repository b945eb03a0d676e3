"""Mentions: the tweets that contain a user's @username, except those of authors hidden from the user."""

from collections.abc import Iterable, Mapping
from typing import Any

from pyramid.config import Configurator
from sqlalchemy import ColumnElement, Select, exists, select
from sqlalchemy.orm import Session

from tweeter.db.among import Among
from tweeter.models import Hidden, Mention, Tweet, closed_users, hidden_from
from tweeter.timelines.kind import TimelineKind, author_of
from tweeter.values import TweetCreated


class Mentions(TimelineKind):
    """The tweet's own row names the users, and never changes."""

    name = "mentions"
    private = True

    def tweets(self, owner: ColumnElement[int]) -> Select[Any]:
        mentioned = select(Mention.tweet_id).join(Tweet, Tweet.id == Mention.tweet_id)
        shown = (Tweet.user_id.not_in(closed_users), author_of(Mention.tweet_id).not_in(hidden_from(owner)))
        return mentioned.where(Mention.user_id == owner, *shown)

    def contains(self, site: Any, owner: int, tweet_id: int) -> bool:
        return owner in site.mentions.get(tweet_id, ()) and not site.hides(owner, site.author(tweet_id))

    def related_owners(self, session: Session, created: Iterable[TweetCreated]) -> Mapping[int, Iterable[int]]:
        owners: dict[int, list[int]] = {}
        for tweet_id, owner in session.execute(_MENTIONED, {"ids": [event.tweet_id for event in created]}):
            owners.setdefault(tweet_id, []).append(owner)
        return owners


_MENTIONED = (
    select(Mention.tweet_id, Mention.user_id)
    .join(Tweet, Tweet.id == Mention.tweet_id)
    .where(
        Among(Mention.tweet_id),
        ~exists().where(Hidden.viewer_id == Mention.user_id, Hidden.author_id == Tweet.user_id),
    )
)


KIND = Mentions()


def includeme(config: Configurator) -> None:
    config.add_timeline_kind(KIND)
