"""Pages about applications: the consent, the code to copy into an application, and the list in settings."""

import re
from typing import Any
from urllib.parse import parse_qs, urlencode, urlsplit

from oauthlib.oauth2 import FatalClientError, OAuth2Error
from pyramid.config import Configurator
from pyramid.httpexceptions import HTTPBadRequest, HTTPNotFound, HTTPSeeOther
from pyramid.request import Request
from pyramid.response import Response
from sqlalchemy import delete, func, select

from tweeter.api.oauth import OUT_OF_BAND
from tweeter.api.provider import Provider
from tweeter.db.sessions import write
from tweeter.models import AccessToken, Application, User
from tweeter.web.security import SIGNED_IN
from tweeter.web.views.accounts import sign_out
from tweeter.web.views.forms import number, posted
from tweeter.web.views.tweens import CONTENT_SECURITY_POLICY

PASSED_ON = ("client_id", "redirect_uri", "response_type", "scope", "state", "code_challenge", "code_challenge_method")
MEANINGS = {
    "read": "See your profile, timelines, followers and follows",
    "write": "Post and delete tweets, follow accounts and change your profile in your name",
    "follow": "Follow and unfollow accounts in your name",
    "push": "Ask for notifications, which this site does not send",
    "profile": "See your profile",
}


def authorize(request: Request) -> dict[str, Any] | Response:
    """Asks the user. A fault of the application's redirect address is shown here; others are sent to that address."""
    uri = _uri(request, request.GET)
    try:
        scopes, asked = Provider(request).validate_authorization_request(uri)
    except FatalClientError as error:
        raise _invalid(error) from None
    except OAuth2Error as error:
        return _redirected(request, error.in_uri(error.redirect_uri))
    application = asked["request"].client
    _allow_redirect(request, asked["redirect_uri"])
    return {
        "application": application,
        "meanings": list(dict.fromkeys(MEANINGS[scope.partition(":")[0]] + _part(scope) for scope in scopes)),
        "passed_on": {name: request.GET[name] for name in PASSED_ON if request.GET.get(name)},
    }


def _invalid(error: FatalClientError) -> HTTPBadRequest:
    return HTTPBadRequest(f"The application sent an invalid request: {str(error.description).rstrip('.')}.")


def _part(scope: str) -> str:
    _, _, part = scope.partition(":")
    return f" ({part} only)" if part else ""


def decide(request: Request) -> Response:
    """Sends the answer to the application: a code, or that the user refused. Or signs out, for another account."""
    uri = _uri(request, request.POST)
    if posted(request, "decision") == "switch":
        headers = sign_out(request, "Sign in with the account that the application may use.")
        again = {"next": uri.removeprefix(request.host_url)}
        return HTTPSeeOther(request.route_path("login", _query=again), headers=headers)
    provider = Provider(request)
    try:
        scopes, asked = provider.validate_authorization_request(uri)
        if posted(request, "decision") != "allow":
            query = {"error": "access_denied", "error_description": "The user refused."}
            if asked["state"]:
                query["state"] = asked["state"]
            to = asked["redirect_uri"]
            return _redirected(request, f"{to}{'&' if '?' in to else '?'}{urlencode(query)}")
        user = request.dbsession.get(User, request.identity.id)
        headers, _, _ = provider.create_authorization_response(uri, scopes=scopes, credentials={"user": user})
    except FatalClientError as error:
        raise _invalid(error) from None
    except OAuth2Error as error:
        return _redirected(request, error.in_uri(error.redirect_uri))
    return _redirected(request, headers["Location"])


def _redirected(request: Request, to: str) -> Response:
    """Redirects to the application; without an address of its own, to a page that shows the code."""
    if to.partition("?")[0] == OUT_OF_BAND:
        found = parse_qs(urlsplit(to).query)
        query = {name: found[name][0] for name in ("code", "error") if name in found}
        return HTTPSeeOther(request.route_path("oauth native", _query=query))
    return HTTPSeeOther(to)


def _uri(request: Request, values: Any) -> str:
    """The address of the request with the parameters that oauthlib reads."""
    given = {name: values[name] for name in PASSED_ON if isinstance(values.get(name), str) and values[name]}
    return f"{request.path_url}?{urlencode(given)}"


def _allow_redirect(request: Request, to: str) -> None:
    """Lets the form of the page lead to the application: Chromium applies the policy to redirects, too."""
    parts = urlsplit(to)
    target = f"{parts.scheme}://{parts.netloc}" if parts.scheme in ("http", "https") else f"{parts.scheme}:"
    if to != OUT_OF_BAND and re.fullmatch(r"[\w.+-]+:(//[\w.:\[\]-]+)?", target, re.ASCII):
        policy = CONTENT_SECURITY_POLICY.replace("form-action 'self'", f"form-action 'self' {target}")
        request.response.headers["Content-Security-Policy"] = policy


def native(request: Request) -> dict[str, Any]:
    """Shows the code to the user, who copies it into the application."""
    code = request.GET.get("code", "")
    return {"code": code if re.fullmatch(r"[\w-]{1,64}", code, re.ASCII) else ""}


def applications(request: Request) -> dict[str, Any]:
    """The applications that have access to the user's account, the latest first."""
    query = (
        select(
            Application.id,
            Application.name,
            Application.website,
            func.min(AccessToken.date).label("date"),
            func.count().label("tokens"),
            func.max(AccessToken.scopes).label("scopes"),
        )
        .join(AccessToken, AccessToken.application_id == Application.id)
        .join(User, (User.id == AccessToken.user_id) & (User.auth_version == AccessToken.auth_version))
        .where(AccessToken.user_id == request.identity.id)
        .group_by(Application.id)
        .order_by(Application.id.desc())
        .limit(200)
    )
    with request.read_session() as session:
        return {"applications": session.execute(query).all()}


def end(request: Request) -> Response:
    """Ends all tokens of an application for the user."""
    id_ = number(posted(request, "application"), "application")
    own = (AccessToken.user_id == request.identity.id) & (AccessToken.application_id == id_)
    if not write(request.dbsession, delete(AccessToken).where(own)):
        raise HTTPNotFound("This application has no access to your account.")
    request.session.flash("The application has no access to your account any more.")
    return HTTPSeeOther(request.route_path("applications"))


def includeme(config: Configurator) -> None:
    config.add_route("authorize", "/oauth/authorize{slash:/?}")
    config.add_route("oauth native", "/oauth/authorize/native")
    config.add_route("applications", "/settings/applications")
    for route, method, view, renderer in (
        ("authorize", "GET", authorize, "authorize.jinja2"),
        ("authorize", "POST", decide, None),
        ("oauth native", "GET", native, "authorize_code.jinja2"),
        ("applications", "GET", applications, "applications.jinja2"),
    ):
        config.add_view(view, route_name=route, request_method=method, renderer=renderer, permission=SIGNED_IN)
    config.add_view(end, route_name="applications", request_method="POST", permission=SIGNED_IN, limit="settings")
