"""The home timeline: the tweets and reposts of the user and of the followees, except those hidden from the user."""

from collections.abc import Iterable, Mapping
from typing import Any

from pyramid.config import Configurator
from sqlalchemy import ColumnElement, select, union_all
from sqlalchemy.orm import Session

from tweeter.db.among import Among
from tweeter.models import Relationship, closed_users, hidden_from
from tweeter.timelines.kind import OWNER
from tweeter.timelines.plans import PlannedKind
from tweeter.values import Event, Followed, Unfollowed


class Home(PlannedKind):
    """The definition is the talk's join. PostgreSQL reads the same ids faster: see `tweeter.timelines.plans`."""

    name = "home"
    private = True
    to_followers = True

    def authors(self, owner: ColumnElement[int]) -> Any:
        followees = select(Relationship.to_user_id.label("user_id")).where(
            Relationship.from_user_id == owner,
            Relationship.to_user_id.not_in(closed_users),
            Relationship.to_user_id.not_in(hidden_from(owner)),
        )
        return union_all(followees, select(owner))

    def contains(self, site: Any, owner: int, tweet_id: int) -> bool:
        author = site.author(tweet_id)
        return author == owner or ((owner, author) in site.follows and not site.hides(owner, author))

    def owners(self, author: int) -> Iterable[int]:
        return (author,)

    def author_changed(self, event: Event) -> tuple[int, int, bool] | None:
        if isinstance(event, Followed | Unfollowed):
            return event.follower_id, event.followee_id, isinstance(event, Followed)
        return super().author_changed(event)

    def among(self, session: Session, owner: int, tweets: Mapping[int, int]) -> set[int]:
        followed = set(session.scalars(_FOLLOWED, {"owner": owner, "authors": list(set(tweets.values()))}))
        return {id_ for id_, author in tweets.items() if author in followed}


_FOLLOWED = select(Relationship.to_user_id).where(
    Relationship.from_user_id == OWNER,
    Among(Relationship.to_user_id, "authors"),
    Relationship.to_user_id.not_in(hidden_from(OWNER)),
)


KIND = Home()


def includeme(config: Configurator) -> None:
    config.add_timeline_kind(KIND)
