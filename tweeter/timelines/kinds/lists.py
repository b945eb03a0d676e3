"""Lists: the tweets and reposts of a list's members. The owner is the list's id."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from pyramid.config import Configurator
from sqlalchemy import ColumnElement, bindparam, or_, select
from sqlalchemy.orm import Session

from tweeter.db.among import Among
from tweeter.errors import Missing
from tweeter.models import List, ListMember, closed_users
from tweeter.timelines.plans import PlannedKind
from tweeter.values import Event, ListChanged, TweetCreated


class Lists(PlannedKind):
    """A change of the members makes the timeline cold, as a follow does a home timeline."""

    name = "list"
    of_users = False

    def authors(self, owner: ColumnElement[int]) -> Any:
        return select(ListMember.user_id).where(ListMember.list_id == owner, ListMember.user_id.not_in(closed_users))

    def contains(self, site: Any, owner: int, tweet_id: int) -> bool:
        return site.author(tweet_id) in site.lists[owner][1]

    def check_owner(self, session: Session, owner: int) -> None:
        if session.scalar(_LIST, {"owner": owner}) is None:
            raise Missing("There is no such list.")

    def owners_of(self, session: Session, user: int) -> Sequence[int]:
        return session.scalars(_OF_USER, {"user": user}).all()

    def may_read(self, session: Session, owner: int, viewer: int) -> bool:
        return session.scalar(_READABLE, {"owner": owner, "viewer": viewer}) is not None

    def related_owners(self, session: Session, created: Iterable[TweetCreated]) -> Mapping[int, Iterable[int]]:
        events = list(created)
        lists: dict[int, list[int]] = {}
        for author, list_id in session.execute(_OF_AUTHORS, {"ids": list({event.user_id for event in events})}):
            lists.setdefault(author, []).append(list_id)
        return {event.tweet_id: lists[event.user_id] for event in events if event.user_id in lists}

    def made_cold(self, event: Event) -> Iterable[int]:
        return (event.list_id,) if isinstance(event, ListChanged) else super().made_cold(event)


_LIST = select(List.id).where(List.id == bindparam("owner"), List.user_id.not_in(closed_users))
_OF_USER = select(List.id).where(List.user_id == bindparam("user")).order_by(List.id.desc())
_READABLE = _LIST.where(or_(~List.private, List.user_id == bindparam("viewer")))
_OF_AUTHORS = select(ListMember.user_id, ListMember.list_id).where(Among(ListMember.user_id))


KIND = Lists()


def includeme(config: Configurator) -> None:
    config.add_timeline_kind(KIND)
