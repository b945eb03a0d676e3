"""A page for everything that can go wrong. None of them asks SQL for more than who is signed in, most not even that."""

import logging
from typing import Any
from urllib.parse import quote

from pyramid.csrf import check_csrf_token
from pyramid.exceptions import BadCSRFOrigin, BadCSRFToken, PredicateMismatch
from pyramid.httpexceptions import HTTPException, HTTPServiceUnavailable
from pyramid.registry import Registry
from pyramid.renderers import render_to_response
from pyramid.request import Request
from pyramid.response import Response
from pyramid.view import exception_view_config, forbidden_view_config, notfound_view_config
from pyramid_retry import is_error_retryable
from sqlalchemy.exc import DatabaseError, InterfaceError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from tweeter.errors import Busy, Missing, NotYours, Refused, TryAgain
from tweeter.views.forms import keep_draft, posted, see
from tweeter.views.layout import safe_identity
from tweeter.views.tweens import count

log = logging.getLogger(__name__)

PAGES = {
    400: ("That did not make sense", "Something in the address or the form is not what this page expects."),
    401: ("Sign in first", "This is for people who are signed in."),
    403: ("That is not yours", "Only its owner may do this."),
    404: ("Nothing here", "This page does not exist, or does not exist any more."),
    405: ("Not like this", "This address exists, but it can't be asked that way."),
    413: ("That is too much", "What you sent is larger than this site takes."),
    429: ("That was a lot", "It is more than this site takes in so short a time."),
    500: ("That went wrong", "It is our fault, not yours. It has been noted; please try again in a while."),
    503: ("Back in a moment", "The database does not answer. Nothing you posted before is lost; please try again."),
}

# Why a limit is reached, where it is not that one account or address did a lot of something.
LIMITS = {
    "sign_in": "Somebody tried this name too often without knowing the password.",
    "sign_in_name": "Somebody tried this name too often without knowing the password.",
    "sign_in_address": "Somebody at your address tried too many names without knowing their passwords.",
    "sign_up": "Many accounts were opened from your address.",
}


def error_page(request: Request, status: int, message: str = "", ask: bool = True, **values: Any) -> Response:
    """The page of a status. Without `ask` nobody looks up who is signed in, because that could fail again."""
    heading, usual = PAGES.get(status, ("That did not work", "Please try again."))
    me = safe_identity(request) if ask else None
    values = {"title": heading} | values | {"message": message or usual, "status": status, "me": me}
    try:
        response = render_to_response("tweeter:templates/error.jinja2", values, request=request)
    except Exception:  # the templates may be what is broken
        log.exception("the page of %s can't be shown", status)
        response = Response(f"<!doctype html><html lang=en><title>{heading}</title><h1>{heading}</h1><p>{usual}")
    response.status_int = status
    return response


@exception_view_config(HTTPException)
def http_error(error: HTTPException, request: Request) -> Response:
    """What Pyramid and the views raise. Redirections are themselves."""
    if error.status_int < 400:
        return error
    response = error_page(request, error.status_int, _sentence(error), ask=error.status_int < 500)
    for name in ("Retry-After", "Allow"):
        if name in error.headers:
            response.headers[name] = error.headers[name]
    return response


@notfound_view_config()
def not_found(error: HTTPException, request: Request) -> Response:
    """404; or 405, where there is such an address, but not for this method."""
    if isinstance(error, PredicateMismatch) and request.matched_route:
        methods = _methods(request.registry).get(request.matched_route.name, frozenset())
        if methods and request.method not in methods:
            response = error_page(request, 405)
            response.allow = sorted(methods)
            return response
    return error_page(request, 404, _sentence(error))


def _sentence(error: HTTPException) -> str:
    """What our views say is a sentence; Pyramid's own details are paths, and words for developers."""
    detail = str(error.detail or "")
    return detail if detail.endswith(".") and not detail.startswith("/") else ""


def _methods(registry: Registry) -> dict[str, frozenset[str]]:
    """The methods that each route answers."""
    found: dict[str, set[str]] = {}
    for view in registry.introspector.get_category("views") or []:
        route, methods = view["introspectable"]["route_name"], view["introspectable"]["request_methods"]
        if route and methods:
            found.setdefault(route, set()).update([methods] if isinstance(methods, str) else methods)
    return {route: frozenset(methods | {"HEAD"} if "GET" in methods else methods) for route, methods in found.items()}


@forbidden_view_config()
def forbidden(error: HTTPException, request: Request) -> Response:
    """Whoever is not signed in is asked to, and comes back to where the form was."""
    if safe_identity(request) is None:
        if check_csrf_token(request, raises=False):  # or any site could put words into somebody's box
            keep_draft(request, posted(request, "message"))
        return see(f"/login?next={quote(_page_of(request), safe='/@')}")
    return error_page(request, 403)


def _page_of(request: Request) -> str:
    """The page that somebody was on when they sent this."""
    if request.method in ("GET", "HEAD"):
        return str(request.path_qs)
    route = request.matched_route.name if request.matched_route else ""
    if route in ("follow", "unfollow"):
        return str(request.path).rpartition("/")[0]
    if route == "delete":
        return f"/tweets/{request.matchdict['id']}"
    parent = posted(request, "parent_id")
    if route == "tweets" and parent.isascii() and parent.isdecimal():
        return f"/tweets/{parent[:16]}"
    return "/settings" if route == "settings" else "/"


@exception_view_config(BadCSRFToken)
@exception_view_config(BadCSRFOrigin)
def bad_csrf(error: Exception, request: Request) -> Response:
    """Mostly a page that was open for weeks, or since before signing in. What was typed is not lost."""
    return error_page(
        request,
        400,
        "It is from before you signed in or out, or did not come from this site. "
        "Go back, reload the page, and send it again.",
        title="This form is too old",
        typed=posted(request, "message"),
    )


@exception_view_config(Refused)
def refused(error: Refused, request: Request) -> Response:
    status = 404 if isinstance(error, Missing) else 403 if isinstance(error, NotYours) else 400
    return error_page(request, status, str(error))


@exception_view_config(TryAgain)
def try_again(error: TryAgain, request: Request) -> Response:
    """What was typed is not lost, and the page says when to send it again."""
    status, reason = 429, LIMITS.get(getattr(error, "limit", ""), PAGES[429][1])
    title = PAGES[429][0]
    if isinstance(error, Busy):
        status, title, reason = 503, "One moment", "Many people are signing in at this moment."
    typed = posted(request, "message") or posted(request, "bio")
    message = f"{reason} Please try again in {_wait(error.seconds)}."
    response = error_page(request, status, message, title=title, typed=typed)
    response.headers["Retry-After"] = str(error.seconds)
    return response


def _wait(seconds: int) -> str:
    """`1 second`, `90 seconds`, `3 minutes`, `2 hours`."""
    for length, name in ((3600, "hour"), (60, "minute")):
        if seconds >= 2 * length:
            return f"{-(-seconds // length)} {name}s"
    return count(seconds, "second")


@exception_view_config(OperationalError)
@exception_view_config(InterfaceError)
@exception_view_config(DatabaseError)
@exception_view_config(PoolTimeout)
def sql_is_down(error: Exception, request: Request) -> Response:
    """The database does not answer: so nothing here may ask it."""
    if type(error) not in (OperationalError, InterfaceError, DatabaseError, PoolTimeout):
        return server_error(error, request)  # a constraint, or SQL that is wrong: the database did answer
    if not is_error_retryable(request, error):
        log.error("the database does not answer: %s", error)
    response = error_page(request, HTTPServiceUnavailable.code, ask=False, typed=posted(request, "message"))
    response.headers["Retry-After"] = "5"
    return response


@exception_view_config(Exception)
def server_error(error: Exception, request: Request) -> Response:
    if not is_error_retryable(request, error):
        log.error("%s %s failed", request.method, request.path_info, exc_info=error)
    try:
        typed = posted(request, "message")
    except Exception:  # the form may be what is broken
        typed = ""
    return error_page(request, 500, ask=False, typed=typed)
