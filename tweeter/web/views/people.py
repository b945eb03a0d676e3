"""Profiles, follows, and lists of people."""

from collections.abc import Iterable, Sequence
from typing import Any

from pyramid.httpexceptions import HTTPMovedPermanently, HTTPNotFound, HTTPSeeOther
from pyramid.request import Request
from pyramid.response import Response
from pyramid.view import view_config
from sqlalchemy import select

from tweeter.models import Relationship, User
from tweeter.services.people import find_user
from tweeter.text import USERNAME
from tweeter.values import Timeline
from tweeter.web.routes import at
from tweeter.web.security import SIGNED_IN
from tweeter.web.views.forms import onward, page_cursor, page_url, posted
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
    cursor = page_cursor(request)
    query = (
        select(User)
        .join(Relationship, listed == User.id)
        .where(of == user.id, listed < cursor.before, ~User.closed)
        .order_by(listed.desc())
        .limit(cursor.limit + 1)
    )
    with request.read_session() as session:
        people = session.scalars(query).all()
    shown = people[: cursor.limit]
    return {
        "title": f"{title} · {user.display_name}",
        "heading": title,
        "user": user,
        "people": shown,
        "followed": followed(request, [person.id for person in shown]),
        "older": page_url(request, before=shown[-1].id if len(people) > len(shown) else None),
        "first": "before" not in request.GET,
    }


@view_config(route_name="follow", request_method="POST", permission=SIGNED_IN, limit="follow")
@view_config(route_name="unfollow", request_method="POST", permission=SIGNED_IN, limit="follow")
def follow(request: Request) -> Response:
    """Redirects to the page with the button; forms in lists of people send its URL."""
    username = checked_name(request)
    if request.matched_route.name == "follow":
        request.actions.follow(request.identity.id, username)
        request.session.flash(f"You now follow @{username}.")
    else:
        request.actions.unfollow(request.identity.id, username)
        request.session.flash(f"You no longer follow @{username}.")
    return HTTPSeeOther(onward(request, posted(request, "next"), f"/@{username}"))


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
        user = find_user(session, username)
    if user is None:
        raise HTTPNotFound(f"There is no user @{username}.")
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
