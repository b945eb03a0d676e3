"""Settings: the profile, the password, closing the account, and everything of mine as JSON."""

import json
from collections.abc import Iterable, Iterator
from typing import Any

from pyramid.httpexceptions import HTTPBadRequest, HTTPSeeOther
from pyramid.request import Request
from pyramid.response import Response
from pyramid.security import remember
from pyramid.view import view_config
from sqlalchemy import select
from sqlalchemy.orm import Session

from tweeter.errors import Refused
from tweeter.models import Mention, Relationship, Tweet, User
from tweeter.models.meta import SessionFactory
from tweeter.security import SIGNED_IN
from tweeter.views.accounts import check_own_password, sign_out
from tweeter.views.forms import Form, posted, refused, see

ROWS_AT_ONCE = 1000


@view_config(
    route_name="settings", request_method="GET", renderer="tweeter:templates/settings.jinja2", permission=SIGNED_IN
)
def settings(request: Request) -> dict[str, Any]:
    return {"form": Form(_profile(request))}


@view_config(
    route_name="settings",
    request_method="POST",
    renderer="tweeter:templates/settings.jinja2",
    permission=SIGNED_IN,
    limit="settings",
)
def change(request: Request) -> dict[str, Any] | Response:
    """One of the forms of the page, told apart by the field `action`."""
    forms = {
        "profile": change_profile,
        "password": change_password,
        "sessions": sign_out_everywhere,
        "close": close,
    }
    action = posted(request, "action")
    if action not in forms:
        raise HTTPBadRequest("This form asks for something that settings don't have.")
    return forms[action](request)


def change_profile(request: Request) -> dict[str, Any] | Response:
    values = {"display_name": posted(request, "display_name"), "bio": posted(request, "bio")}
    try:
        request.actions.change_profile(request.identity.id, **values)
    except Refused as error:
        return {"form": refused(request, error, values)}
    request.session.flash("Your profile is changed.")
    return see("/settings")


def change_password(request: Request) -> dict[str, Any] | Response:
    """Ends every session but this one, which gets a new cookie."""
    try:
        check_own_password(request, posted(request, "current_password"), "current_password")
        user = request.actions.set_password(request.identity.id, posted(request, "new_password"))
    except Refused as error:
        return {"form": refused(request, error, _profile(request), password="new_password")}  # noqa: S106
    request.session.flash("Your password is changed. Everywhere else you are signed out now.")
    return see("/settings", headers=remember(request, user.id, auth_version=user.auth_version))


def sign_out_everywhere(request: Request) -> Response:
    """Ends every session of the account, this one too."""
    request.actions.sign_out_everywhere(request.identity.id)
    return HTTPSeeOther("/", headers=sign_out(request, "You are signed out everywhere."))


def close(request: Request) -> dict[str, Any] | Response:
    """Asks twice, and for the password both times: the second page is a form of its own."""
    confirmed = posted(request, "confirm") == "yes"
    try:
        check_own_password(request, posted(request, "password"), "close_password")
    except Refused as error:
        if confirmed:
            request.override_renderer = "close.jinja2"
        return {"form": refused(request, error, _profile(request))}
    if not confirmed:
        request.override_renderer = "close.jinja2"
        return {}
    request.actions.close_account(request.identity.id)
    return HTTPSeeOther("/", headers=sign_out(request, "Your account is closed, and everything of yours is gone."))


def _profile(request: Request) -> dict[str, str]:
    return {"display_name": request.identity.display_name, "bio": request.identity.bio}


@view_config(route_name="export", request_method="GET", permission=SIGNED_IN, limit="export")
def export(request: Request) -> Response:
    """Everything of mine, written as it is read: it may be a hundred thousand tweets."""
    me = request.identity
    response = Response(
        content_type="application/json",
        charset="UTF-8",
        content_disposition=f'attachment; filename="tweeter-{me.username}.json"',
    )
    response.app_iter = _export(request.registry["sessions"], me.id)
    return response


def _export(sessions: SessionFactory, user_id: int) -> Iterator[bytes]:
    # A session of its own: the request's is over when this is sent.
    with sessions() as session:
        user = session.get(User, user_id)
        if user is None:
            return
        profile = {
            "username": user.username,
            "display_name": user.display_name,
            "bio": user.bio,
            "joined": user.date.isoformat(),
        }
        yield b'{"profile": ' + _json(profile)
        parts: dict[str, Iterable[Any]] = {
            "tweets": _tweets(session, user_id),
            "followers": _people(session, Relationship.from_user_id, Relationship.to_user_id == user_id),
            "following": _people(session, Relationship.to_user_id, Relationship.from_user_id == user_id),
            "mentions": _mentions(session, user_id),
        }
        for name, values in parts.items():
            yield b',\n"' + name.encode() + b'": ['
            for place, value in enumerate(values):
                yield (b",\n" if place else b"\n") + _json(value)
            yield b"]"
        yield b"}\n"


def _tweets(session: Session, user_id: int) -> Iterator[dict[str, Any]]:
    columns = select(Tweet.id, Tweet.date, Tweet.message, Tweet.parent_id).where(Tweet.user_id == user_id)
    for row in _walk(session, columns, Tweet.id):
        yield {"id": row.id, "date": row.date.isoformat(), "message": row.message, "parent_id": row.parent_id}


def _mentions(session: Session, user_id: int) -> Iterator[dict[str, Any]]:
    columns = (
        select(Tweet.id, Tweet.date, Tweet.message, User.username)
        .join(Mention, Mention.tweet_id == Tweet.id)
        .join(User, User.id == Tweet.user_id)
        .where(Mention.user_id == user_id)
    )
    for row in _walk(session, columns, Tweet.id):
        yield {"id": row.id, "date": row.date.isoformat(), "username": row.username, "message": row.message}


def _people(session: Session, person: Any, where: Any) -> Iterator[str]:
    columns = select(User.id, User.username).join(Relationship, person == User.id).where(where)
    for row in _walk(session, columns, User.id):
        yield row.username


def _walk(session: Session, query: Any, key: Any) -> Iterator[Any]:
    """All rows, newest first, a thousand at a time by their key."""
    rows = session.execute(query.order_by(key.desc()).limit(ROWS_AT_ONCE)).all()
    while rows:
        yield from rows
        below = query.where(key < rows[-1].id).order_by(key.desc()).limit(ROWS_AT_ONCE)
        rows = session.execute(below).all() if len(rows) == ROWS_AT_ONCE else []


def _json(value: Any) -> bytes:
    return json.dumps(value, ensure_ascii=False).encode()
