"""Reblogs and favourites: reposts and likes in Mastodon's words."""

from typing import Any

from pyramid.request import Request

from tweeter.api.endpoints import endpoint
from tweeter.api.entities import Account, Status
from tweeter.api.paging import DEFAULT, MOST, Found, paged
from tweeter.api.parameters import Id
from tweeter.api.statuses import find, status_of
from tweeter.api.timelines import reader
from tweeter.api.writing import accounts, statuses
from tweeter.values import Cursor, Timeline
from tweeter.web.viewers import viewer
from tweeter.web.views.acts import people

LISTED, MOST_LISTED = 40, 80


class Admirer(tuple[Any, int]):
    """A user, listed by the id of the repost or like."""

    id = property(lambda self: self[1])


@endpoint("POST", "/api/v1/statuses/{id}/favourite", returns=Status, scope="write:favourites", limit="act")
def favourite(request: Request, id: Id) -> Any:
    """Likes a tweet."""
    request.actions.like(request.identity.id, id)
    return status_of(request, id, request.dbsession)


@endpoint("POST", "/api/v1/statuses/{id}/unfavourite", returns=Status, scope="write:favourites", limit="act")
def unfavourite(request: Request, id: Id) -> Any:
    """Takes back a like."""
    find(request, id)  # a block also refuses this
    request.actions.unlike(request.identity.id, id)
    return status_of(request, id, request.dbsession)


@endpoint("POST", "/api/v1/statuses/{id}/reblog", returns=Status, scope="write:statuses", limit="act")
def reblog(request: Request, id: Id, visibility: str = "public") -> Any:
    """Reposts a tweet; returns the repost."""
    return status_of(request, request.actions.repost(request.identity.id, id).id, request.dbsession)


@endpoint("POST", "/api/v1/statuses/{id}/unreblog", returns=Status, scope="write:statuses", limit="act")
def unreblog(request: Request, id: Id) -> Any:
    """Undoes a repost; returns the tweet."""
    tweet = find(request, id).tweet
    request.actions.undo_repost(request.identity.id, tweet.id)
    return status_of(request, tweet.id, request.dbsession)


@endpoint("GET", "/api/v1/statuses/{id}/favourited_by", returns=list[Account], scope="read:accounts", anonymous=True)
def favourited_by(
    request: Request, id: Id, limit: int = LISTED, max_id: Id | None = None, since_id: Id | None = None,
    min_id: Id | None = None,
) -> Any:  # fmt: skip
    """The accounts that like a tweet, the latest like first."""
    return _people(request, id, "likes", limit, max_id, since_id, min_id)


@endpoint("GET", "/api/v1/statuses/{id}/reblogged_by", returns=list[Account], scope="read:accounts", anonymous=True)
def reblogged_by(
    request: Request, id: Id, limit: int = LISTED, max_id: Id | None = None, since_id: Id | None = None,
    min_id: Id | None = None,
) -> Any:  # fmt: skip
    """The accounts that reposted a tweet, the latest repost first."""
    return _people(request, id, "reposts", limit, max_id, since_id, min_id)


def _people(request: Request, id: int, kind: str, limit: int, *window: int | None) -> Any:
    id = find(request, id).tweet.id
    me = viewer(request)

    def read(cursor: Cursor) -> Found:
        with request.read_session() as session:
            found = [Admirer(each) for each in people(session, kind, id, cursor, me)]
        return Found(found[: cursor.limit], len(found) > cursor.limit)

    return accounts(request, [user.id for user, _ in paged(request, read, min(limit, MOST_LISTED), *window)])


@endpoint("GET", "/api/v1/favourites", returns=list[Status], scope="read:favourites")
def favourites(
    request: Request, limit: int = DEFAULT, max_id: Id | None = None, since_id: Id | None = None,
    min_id: Id | None = None,
) -> Any:  # fmt: skip
    """The tweets that the user likes, the latest like first. They are paged by ids of likes: use the Link header."""
    read = reader(request, Timeline("likes", request.identity.id))
    return statuses(request, paged(request, read, min(limit, MOST), max_id, since_id, min_id))
