"""Settings: the profile, the password, closing the account."""

from functools import partial
from typing import Any

from pyramid.httpexceptions import HTTPBadRequest, HTTPSeeOther
from pyramid.request import Request
from pyramid.response import Response
from pyramid.security import remember
from pyramid.view import view_config

from tweeter.errors import Refused
from tweeter.web.security import SIGNED_IN
from tweeter.web.views import drafts
from tweeter.web.views.accounts import check_own_password, sign_out
from tweeter.web.views.forms import Form, posted, refused, see

PATIENCE = 2.0  # seconds that closing an account waits for the counters of its followers and followees


@view_config(route_name="settings", request_method="GET", renderer="settings.jinja2", permission=SIGNED_IN)
def settings(request: Request) -> dict[str, Any]:
    return {"form": Form(_profile(request) | drafts.take(request, "settings"))}


@view_config(
    route_name="settings",
    request_method="POST",
    renderer="settings.jinja2",
    permission=SIGNED_IN,
    limit="settings",
)
def change(request: Request) -> dict[str, Any] | Response:
    """Dispatches to one of the page's forms by the field `action`."""
    forms = {
        "profile": change_profile,
        "password": change_password,
        "sessions": sign_out_everywhere,
        "close": close,
    }
    action = posted(request, "action")
    if action not in forms:
        raise HTTPBadRequest("The form contains an unknown action.")
    return forms[action](request)


def change_profile(request: Request) -> dict[str, Any] | Response:
    values = {"display_name": posted(request, "display_name"), "bio": posted(request, "bio")}
    try:
        request.actions.change_profile(request.identity.id, **values)
    except Refused as error:
        return {"form": refused(request, error, values)}
    request.session.flash("Your profile was changed.")
    return see("/settings")


def change_password(request: Request) -> dict[str, Any] | Response:
    """Ends all other sessions; this one gets a new cookie."""
    try:
        check_own_password(request, posted(request, "current_password"), "current_password")
        user = request.actions.set_password(request.identity.id, posted(request, "new_password"))
    except Refused as error:
        return {"form": refused(request, error, _profile(request), password="new_password")}  # noqa: S106
    request.session.flash("Your password was changed. All other browsers are signed out.")
    return see("/settings", headers=remember(request, user.id, auth_version=user.auth_version))


def sign_out_everywhere(request: Request) -> Response:
    """Ends all sessions of the account, including this one."""
    request.actions.sign_out_everywhere(request.identity.id)
    return HTTPSeeOther("/", headers=sign_out(request, "You are signed out in all browsers."))


def close(request: Request) -> dict[str, Any] | Response:
    """Requires two confirmations, each with the password: the second page is a form of its own."""
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
    wake = partial(request.registry["housekeeper"].wake, PATIENCE)
    request.tm.get().addAfterCommitHook(lambda committed: wake() if committed else None)
    return HTTPSeeOther("/", headers=sign_out(request, "Your account was closed and your data was deleted."))


def _profile(request: Request) -> dict[str, str]:
    return {"display_name": request.identity.display_name, "bio": request.identity.bio}
