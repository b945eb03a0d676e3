"""An error page for each failure. At most it loads the current user from SQL; most pages do not even do that."""

import logging
from urllib.parse import quote

from pyramid.exceptions import BadCSRFOrigin, BadCSRFToken, PredicateMismatch
from pyramid.httpexceptions import HTTPException, HTTPSeeOther
from pyramid.registry import Registry
from pyramid.renderers import render_to_response
from pyramid.request import Request
from pyramid.response import Response
from pyramid.view import exception_view_config, forbidden_view_config, notfound_view_config
from pyramid_retry import is_error_retryable
from sqlalchemy.exc import DatabaseError, InterfaceError, OperationalError, SQLAlchemyError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from tweeter.errors import Busy, Missing, NotYours, Refused, TookTooLong, TryAgain
from tweeter.services.people import find_user
from tweeter.text import USERNAME
from tweeter.web.routes import at
from tweeter.web.security import came_over_http, local_url
from tweeter.web.views import accounts, drafts
from tweeter.web.views.forms import posted, see
from tweeter.web.views.layout import safe_identity
from tweeter.web.views.tweens import count

log = logging.getLogger(__name__)

PAGES = {
    400: ("Invalid request", "The address or the form contains an invalid value."),
    401: ("Sign in first", "This page is for signed-in users."),
    403: ("Not allowed", "Only the owner may do this."),
    404: ("Page not found", "This page does not exist or was deleted."),
    405: ("Method not allowed", "This address does not support the request's method."),
    413: ("Too large", "The request is larger than this site accepts."),
    429: ("Too many requests", "You sent too many requests in a short time."),
    500: ("Internal error", "The site failed to show this page. The error is logged; please try again later."),
    503: ("Database unavailable", "The database does not respond. Your tweets are not lost; please try again."),
}

# Reasons for limits, unless the reason is that one account or address did something too often.
LIMITS = {
    "sign_in": "There were too many wrong passwords for this username.",
    "sign_in_name": "There were too many wrong passwords for this username.",
    "sign_in_address": "There were wrong passwords for too many usernames from your network address.",
    "sign_up": "Too many accounts were opened from your network address.",
}


def error_page(
    request: Request, status: int, message: str = "", title: str = "", load_user: bool = True, retry_after: int = 0
) -> Response:
    """The page of a status. Without `load_user` the current user is not loaded, because that could fail again.

    A request of the API gets JSON.
    """
    of_api = request.registry.get("error_of_api")
    if of_api and (response := of_api(request, status, message, retry_after)):
        return response
    heading, usual = PAGES.get(status, ("Request failed", "Please try again."))
    me = safe_identity(request) if load_user else None
    values = {"title": title or heading, "message": message or usual, "status": status, "me": me}
    values["typed"] = _typed(request)
    try:
        response = render_to_response("error.jinja2", values, request=request)
    except Exception:  # the templates themselves may be broken
        log.exception("rendering the error page of %s failed", status)
        response = Response(f"<!doctype html><html lang=en><title>{heading}</title><h1>{heading}</h1><p>{usual}")
    response.status_int = status
    if retry_after:
        response.headers["Retry-After"] = str(retry_after)
    return response


@exception_view_config(HTTPException)
def http_error(error: HTTPException, request: Request) -> Response:
    """Error pages for exceptions of Pyramid and the views. Redirects pass through."""
    if error.status_int < 400:
        return error
    response = error_page(request, error.status_int, _sentence(error), load_user=error.status_int < 500)
    for name in ("Retry-After", "Allow"):
        if name in error.headers:
            response.headers[name] = error.headers[name]
    return response


@notfound_view_config()
def not_found(error: HTTPException, request: Request) -> Response:
    """404, or 405 if the route exists with other methods."""
    if isinstance(error, PredicateMismatch) and request.matched_route:
        methods = _methods(request.registry).get(request.matched_route.name, frozenset())
        if methods and request.method not in methods:
            response = error_page(request, 405)
            response.allow = sorted(methods)
            return response
    if request.matched_route is None and (username := _person(request)):
        return see(request, f"/@{username}")
    return error_page(request, 404, _sentence(error))


def _person(request: Request) -> str:
    """The username of the person that a URL without a route names: /ada for /@Ada. Empty if there is none."""
    name = str(request.path_info).removeprefix("/")
    if request.method not in ("GET", "HEAD") or not USERNAME.fullmatch(name):
        return ""
    try:
        with request.read_session() as session:
            user = find_user(session, name)
    except SQLAlchemyError:
        return ""
    return user.username if user else ""


def _typed(request: Request) -> str:
    """The submitted texts, for the user to copy."""
    try:
        return "\n".join(filter(None, (posted(request, name) for name in ("display_name", "bio", "message"))))
    except Exception:  # the form itself may be malformed
        return ""


def _sentence(error: HTTPException) -> str:
    """Details from our views are sentences. Pyramid's own (paths, hints for developers) are not shown."""
    detail = str(error.detail or "")
    return detail if detail.endswith(".") and not detail.startswith("/") else ""


def _methods(registry: Registry) -> dict[str, frozenset[str]]:
    """The allowed methods of each route."""
    found: dict[str, set[str]] = {}
    for view in registry.introspector.get_category("views") or []:
        route, methods = view["introspectable"]["route_name"], view["introspectable"]["request_methods"]
        if route and methods:
            found.setdefault(route, set()).update([methods] if isinstance(methods, str) else methods)
    return {route: frozenset(methods | {"HEAD"} if "GET" in methods else methods) for route, methods in found.items()}


@forbidden_view_config()
def forbidden(error: HTTPException, request: Request) -> Response:
    """Redirects to the sign-in page, and from there back to the form, with its draft."""
    if safe_identity(request) is not None:
        return error_page(request, 403)
    draft = drafts.typed(request)
    if draft and not (drafts.from_this_site(request) and drafts.keep(request, draft)):
        return error_page(request, 401)
    return see(request, f"/login?next={quote(_page_of(request), safe='/@')}")


def _page_of(request: Request) -> str:
    """The path of the page from which the request was sent."""
    if request.method in ("GET", "HEAD"):
        return str(request.path_qs)
    route = request.matched_route.name if request.matched_route else ""
    onward = local_url(posted(request, "next"), at(request))
    if route == "login":
        return at(request, f"/login?next={quote(onward or at(request, '/'), safe='/@')}")
    if onward:
        return onward
    if route in ("follow", "unfollow", "mute", "unmute", "block", "unblock", "act"):
        return str(request.path).rpartition("/")[0]
    if route == "delete":
        return at(request, f"/tweets/{request.matchdict['id']}")
    parent = posted(request, "parent_id")
    if route == "tweets" and parent.isascii() and parent.isdecimal():
        return at(request, f"/tweets/{parent[:16]}")
    if route in ("settings", "signup", "lists", "members"):  # forms that are sent to their page
        return str(request.path)
    return at(request, "/lab/live" if route.startswith("lab_") else "/")


@exception_view_config(BadCSRFToken)
@exception_view_config(BadCSRFOrigin)
def bad_csrf(error: Exception, request: Request) -> Response:
    """Usually the user signed in or out in another tab after loading the page: shows the form and its draft again."""
    cookie = "session" in request.cookies
    if not cookie and came_over_http(request):
        message = "It sets its cookies over https only, and this page came over http, so signing in fails."
        message += " Open the site at an address that begins with https."
        return error_page(request, 400, message, "This site requires https")
    if request.matched_route.name in ("login", "signup") and safe_identity(request) is not None:
        return accounts.already_signed_in(request)
    draft = drafts.typed(request)
    ours = cookie and isinstance(error, BadCSRFToken) and drafts.from_this_site(request)
    if ours and (not draft or drafts.keep(request, draft)):
        request.session.flash("You signed in or out after that page was loaded. Please send the form again.")
        return HTTPSeeOther(_page_of(request))
    message = "It was loaded before you signed in or out, or it came from another site."
    if not cookie:
        message = accounts.NO_COOKIE
    message += " Go back, reload the page and send the form again."
    return error_page(request, 400, message, "This form has expired")


@exception_view_config(Refused)
def refused(error: Refused, request: Request) -> Response:
    status = 404 if isinstance(error, Missing) else 403 if isinstance(error, NotYours) else 400
    return error_page(request, status, str(error))


@exception_view_config(TryAgain)
def try_again(error: TryAgain, request: Request) -> Response:
    """The page says when to retry. The draft is in the form again."""
    status, title, reason = 429, "", LIMITS.get(getattr(error, "limit", ""), PAGES[429][1])
    if isinstance(error, Busy):
        status, title, reason = 503, "Too many sign-ins", "Many people are signing in now."
    if draft := drafts.typed(request):
        drafts.keep(request, draft)
    message = f"{reason} Please try again in {_wait(error.seconds)}."
    return error_page(request, status, message, title, retry_after=error.seconds)


@exception_view_config(TookTooLong)
def took_too_long(error: TookTooLong, request: Request) -> Response:
    return error_page(request, 503, "Try a longer word or a #tag.", "This search took too long", retry_after=5)


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
    """SQL is unreachable, so this page runs no statement."""
    if type(error) not in (OperationalError, InterfaceError, DatabaseError, PoolTimeout):
        return server_error(error, request)  # a violated constraint or invalid SQL: the database did respond
    if not is_error_retryable(request, error):
        log.error("the database does not respond: %s", error)
    return error_page(request, 503, load_user=False, retry_after=5)


@exception_view_config(Exception)
def server_error(error: Exception, request: Request) -> Response:
    if not is_error_retryable(request, error):
        log.error("%s %s failed", request.method, request.path_info, exc_info=error)
    return error_page(request, 500, load_user=False)
