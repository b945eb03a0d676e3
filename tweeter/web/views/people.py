"""Profiles; follows, mutes and blocks; and lists of people."""

from collections.abc import Iterable, Sequence
from typing import Any

from pyramid.httpexceptions import HTTPMovedPermanently, HTTPNotFound
from pyramid.request import Request
from pyramid.response import Response
from pyramid.view import view_config
from sqlalchemy import select

from tweeter.models import Block, Mute, Relationship, User
from tweeter.services.people import SUSPENDED, find_user
from tweeter.text import USERNAME
from tweeter.values import Cursor, Timeline
from tweeter.web.routes import at
from tweeter.web.security import SIGNED_IN
from tweeter.web.viewers import relation
from tweeter.web.views.forms import done, onward, page_cursor, page_url, posted
from tweeter.web.views.pages import timeline_page


@view_config(route_name="profile", request_method="GET", renderer="profile.jinja2")
def profile(request: Request) -> dict[str, Any] | Response:
    user = find(request)
    if elsewhere := canonical(request, user):
        return elsewhere
    title = f"{user.display_name} (@{user.username})"
    return timeline_page(request, Timeline("profile", user.id), title) | {
        "user": user,
        "followed": followed(request, [user.id]),
        "relation": relation(request, user.id),
    }


@view_config(route_name="followers", request_method="GET", renderer="people.jinja2")
def followers(request: Request) -> dict[str, Any] | Response:
    return _people(request, "Followers", Relationship.from_user_id, Relationship.to_user_id)


@view_config(route_name="following", request_method="GET", renderer="people.jinja2")
def following(request: Request) -> dict[str, Any] | Response:
    return _people(request, "Following", Relationship.to_user_id, Relationship.from_user_id)


def _people(request: Request, title: str, listed: Any, of: Any) -> dict[str, Any] | Response:
    user = find(request)
    if elsewhere := canonical(request, user):
        return elsewhere
    page = people_page(request, user.id, listed, of)
    return page | {
        "title": f"{title} · {user.display_name}",
        "heading": title,
        "user": user,
        "followed": followed(request, [person.id for person in page["people"]]),
    }


@view_config(route_name="muted", request_method="GET", renderer="hidden.jinja2", permission=SIGNED_IN)
def muted(request: Request) -> dict[str, Any]:
    return _hidden(request, "Muted people", "unmute", Mute)


@view_config(route_name="blocked", request_method="GET", renderer="hidden.jinja2", permission=SIGNED_IN)
def blocked(request: Request) -> dict[str, Any]:
    return _hidden(request, "Blocked people", "unblock", Block)


def _hidden(request: Request, title: str, undo: str, model: type[Mute | Block]) -> dict[str, Any]:
    page = people_page(request, request.identity.id, model.to_user_id, model.from_user_id)
    return page | {"title": title, "undo": undo}


def people_page(request: Request, id_: int, listed: Any, of: Any) -> dict[str, Any]:
    """The values of a template that lists people: those whom the column `listed` names where `of` is the id."""
    cursor = page_cursor(request)
    people = related(request, id_, listed, of, cursor)
    shown = people[: cursor.limit]
    older = page_url(request, before=shown[-1].id if len(people) > len(shown) else None)
    return {"people": shown, "older": older, "first": "before" not in request.GET}


def related(request: Request, user_id: int, listed: Any, of: Any, cursor: Cursor) -> Sequence[User]:
    """A page of the users whom the column `listed` names, and one more if there is one; the latest account first."""
    query = (
        select(User)
        .join(listed.class_, listed == User.id)
        .where(of == user_id, listed < cursor.before, listed > cursor.after, ~User.closed)
        .order_by(listed.desc())
        .limit(cursor.limit + 1)
    )
    with request.read_session() as session:
        return session.scalars(query).all()


DONE = {
    "follow": "You now follow @{}.",
    "unfollow": "You no longer follow @{}.",
    "mute": "You muted @{}: you do not see their tweets in timelines any more.",
    "unmute": "You no longer mute @{}.",
    "block": "You blocked @{}: neither of you sees or follows the other.",
    "unblock": "You no longer block @{}.",
}


@view_config(route_name="follow", request_method="POST", permission=SIGNED_IN, limit="follow")
@view_config(route_name="unfollow", request_method="POST", permission=SIGNED_IN, limit="follow")
@view_config(route_name="mute", request_method="POST", permission=SIGNED_IN, limit="follow")
@view_config(route_name="unmute", request_method="POST", permission=SIGNED_IN, limit="follow")
@view_config(route_name="block", request_method="POST", permission=SIGNED_IN, limit="follow")
@view_config(route_name="unblock", request_method="POST", permission=SIGNED_IN, limit="follow")
def relate(request: Request) -> Response:
    """Follows, mutes or blocks a user, or ends that. Leads to the page with the button, whose URL its form sends."""
    username, action = checked_name(request), request.matched_route.name
    getattr(request.actions, action)(request.identity.id, username)
    return done(request, DONE[action].format(username), onward(request, posted(request, "next"), f"/@{username}"))


def checked_name(request: Request) -> str:
    """The username in the URL. Malformed ones get 404 without a statement."""
    username: str = request.matchdict["username"]
    if not USERNAME.fullmatch(username):
        raise HTTPNotFound("There is no user of that name.")
    return username


def find(request: Request) -> User:
    """The user in the URL, case-insensitively. Raises HTTPNotFound."""
    username = checked_name(request)
    with request.read_session() as session:
        user = find_user(session, username, suspended=True)
    if user is None:
        raise HTTPNotFound(f"There is no user @{username}.")
    if user.suspended:
        raise HTTPNotFound(SUSPENDED)
    return user


def canonical(request: Request, user: User) -> Response | None:
    """A redirect to the username in its owner's spelling; None if the URL has it."""
    if request.matchdict["username"] == user.username:
        return None
    _, slash, rest = request.path_info[2:].partition("/")
    query = f"?{request.query_string}" if request.query_string else ""
    return HTTPMovedPermanently(at(request, f"/@{user.username}{slash}{rest}{query}"))


def followed(request: Request, ids: Iterable[int]) -> Sequence[int]:
    """The ids that the current user follows."""
    me = request.identity
    others = [id_ for id_ in ids if me and id_ != me.id]
    if not others:
        return []
    query = select(Relationship.to_user_id).where(
        Relationship.from_user_id == me.id, Relationship.to_user_id.in_(others)
    )
    with request.read_session() as session:
        return session.scalars(query).all()
