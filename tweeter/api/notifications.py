"""Notifications: each is an entry of its own; clients group them."""

from collections.abc import Iterable, Mapping, Sequence
from functools import reduce
from operator import or_
from typing import Any

from pyramid.request import Request

from tweeter.api.endpoints import endpoint, iso
from tweeter.api.entities import Empty, Notification
from tweeter.api.entries import shown_of
from tweeter.api.errors import Failure
from tweeter.api.paging import Found, paged
from tweeter.api.parameters import Id
from tweeter.api.writing import People, write_statuses
from tweeter.db.sessions import SessionFactory
from tweeter.ids import MAX_ID, date_of
from tweeter.models import Notifies
from tweeter.services.notifications import Notice, read_notices, remove_notices
from tweeter.values import Cursor

LISTED, MOST = 40, 80
KINDS = {
    "mention": Notifies.MENTION | Notifies.REPLY,
    "favourite": Notifies.LIKE,
    "reblog": Notifies.REPOST,
    "follow": Notifies.FOLLOW,
}
TYPES = {kind: name for name, kinds in KINDS.items() for kind in kinds}


@endpoint("GET", "/api/v1/notifications", returns=list[Notification], scope="read:notifications")
def notifications(
    request: Request, limit: int = LISTED, types: list[str] = [], exclude_types: list[str] = [],
    account_id: Id | None = None, max_id: Id | None = None, since_id: Id | None = None, min_id: Id | None = None,
) -> Any:  # fmt: skip
    """Notifications of the user, newest first; of these types and this account, if any are given.

    This does not mark them as read.
    """
    kinds = _kinds(types or KINDS) & ~_kinds(exclude_types)

    def read(cursor: Cursor) -> Found:
        found = _read(request, cursor, kinds, account_id or 0)
        return Found(found[: cursor.limit], len(found) > cursor.limit)

    return _written(request, paged(request, read, min(limit, MOST), max_id, since_id, min_id))


@endpoint("GET", "/api/v1/notifications/unread_count", returns=dict[str, int], scope="read:notifications")
def unread_count(request: Request) -> dict[str, int]:
    """The number of unread notifications, at most 100. The page of notifications and the marker mark them as read."""
    return {"count": request.identity.unread}


@endpoint("GET", "/api/v1/notifications/{id}", returns=Notification, scope="read:notifications")
def notification(request: Request, id: Id) -> Any:
    """A notification of the user."""
    id = min(id, MAX_ID)
    for written in _written(request, _read(request, Cursor(before=id + 1, after=id - 1, limit=1))):
        return written
    raise Failure(404, "Record not found")


@endpoint("POST", "/api/v1/notifications/clear", returns=Empty, scope="write:notifications")
def clear(request: Request) -> Empty:
    """Removes all notifications of the user."""
    remove_notices(request.dbsession, request.identity.id)
    return Empty()


@endpoint("POST", "/api/v1/notifications/{id}/dismiss", returns=Empty, scope="write:notifications")
def dismiss(request: Request, id: Id) -> Empty:
    """Removes a notification of the user."""
    if not remove_notices(request.dbsession, request.identity.id, min(id, MAX_ID)):
        raise Failure(404, "Record not found")
    return Empty()


def _kinds(types: Iterable[str]) -> int:
    """The kinds of these types. Types that the site does not have are of no kind."""
    return reduce(or_, (int(KINDS[name]) for name in types if name in KINDS), 0)


def _read(request: Request, cursor: Cursor, kinds: int = sum(Notifies), actor: int = 0) -> list[Notice]:
    with request.registry.database.read_sessions() as session:
        return read_notices(session, request.identity.id, cursor, kinds, actor)


def _written(request: Request, notices: Iterable[Notice]) -> list[Any]:
    people, base = request.registry["people"], request.application_url
    return write_notifications(base, people, request.read_session, request.identity.id, list(notices))


def write_notifications(
    base: str, known: People, sessions: SessionFactory, user_id: int, listed: Sequence[Notice]
) -> list[Any]:
    """The notifications of a user whose tweets and actors still exist."""
    with sessions() as session:
        shown = shown_of(session, user_id, (each.tweet_id for each in listed if each.tweet_id))
    found = {*(each.actor_id for each in listed), *(each.tweet.user_id for each in shown)}
    people: Mapping[int | str, Any] = known.of(base, found) if found else {}
    # One at a time: a list of statuses leaves out those of accounts that were closed in between.
    tweets = {each.tweet.id: json for each in shown for json in write_statuses(base, known, sessions, [each])}
    return [
        Notification(
            id=str(each.id),
            type=TYPES[each.kind],
            created_at=iso(date_of(each.id)),
            account=people[each.actor_id].raw,
            status=tweets.get(each.tweet_id),
        )
        for each in listed
        if each.actor_id in people and (not each.tweet_id or each.tweet_id in tweets)
    ]
