"""Accounts: sign-up, sign-in, sign-out and settings."""

from functools import partial
from typing import Any

from pyramid.exceptions import BadCSRFToken
from pyramid.httpexceptions import HTTPBadRequest, HTTPFound, HTTPSeeOther
from pyramid.request import Request
from pyramid.response import Response
from pyramid.security import forget, remember
from pyramid.view import view_config
from sqlalchemy import update

from tweeter.errors import Refused
from tweeter.models import User
from tweeter.services.people import SUSPENDED, find_user
from tweeter.web.cookies import Headers
from tweeter.web.routes import at
from tweeter.web.security import SIGNED_IN
from tweeter.web.views import drafts
from tweeter.web.views.forms import Form, onward, posted, refused, see
from tweeter.web.views.notifications import change_notifies

NO_COOKIE = "Your browser sent no cookie of this site: cookies are blocked, or they were deleted."
PATIENCE = 2.0  # seconds that closing an account waits for the counters of its followers and followees


@view_config(route_name="signup", request_method="GET", renderer="signup.jinja2")
def signup_form(request: Request) -> dict[str, Any] | Response:
    if request.identity is not None:
        return HTTPFound(at(request, "/"))
    return {"form": Form(drafts.take(request, "signup"))}


@view_config(route_name="signup", request_method="POST", renderer="signup.jinja2", limit="sign_up")
def signup(request: Request) -> dict[str, Any] | Response:
    if request.identity is not None:
        return already_signed_in(request)
    values = {"username": posted(request, "username").strip(), "display_name": posted(request, "display_name")}
    try:
        user = request.actions.sign_up(values["username"], posted(request, "password"), values["display_name"])
    except Refused as error:
        return {"form": refused(request, error, values)}
    headers = sign_in(request, user)
    request.session.flash(f"Welcome, {user.display_name}. Write your first tweet, or find people to follow.")
    # The front page sets no cookie, so only the next request shows whether the browser accepts cookies.
    return see(request, "/" if "session" in request.cookies else "/login?new=account", headers=headers)


@view_config(route_name="login", request_method="GET", renderer="login.jinja2")
def login_form(request: Request) -> dict[str, Any] | Response:
    target = onward(request, request.GET.get("next", ""))
    if request.identity is not None:
        return HTTPFound(target)
    if "new" in request.GET and "session" not in request.cookies:
        raise Refused(f"Your account was created, but you are not signed in. {NO_COOKIE} Allow them, then sign in.")
    return {"form": Form({"next": target} | drafts.take(request, "login"))}


@view_config(route_name="login", request_method="POST", renderer="login.jinja2")
def login(request: Request) -> dict[str, Any] | Response:
    """Unknown usernames and wrong passwords get the same response after the same time."""
    if request.identity is not None:
        return already_signed_in(request)
    username, password = posted(request, "username").strip(), posted(request, "password")
    target = onward(request, posted(request, "next") or request.GET.get("next", ""))
    try:
        if (user := check_password(request, username, password)) is None:
            raise Refused("Wrong username or password.", "username")
    except Refused as error:
        return {"form": refused(request, error, {"username": username, "next": target})}
    rehash(request, user, password)
    return HTTPSeeOther(target, headers=sign_in(request, user))


@view_config(route_name="logout", request_method="POST", require_csrf=False)
def logout(request: Request) -> Response:
    """Accepts the token of another tab's session. Without a signed-in user, a forged form changes nothing."""
    if drafts.from_this_site(request):
        return see(request, "/", headers=sign_out(request, "You are signed out."))
    if request.identity is not None:
        raise BadCSRFToken
    return see(request, "/")


def already_signed_in(request: Request) -> Response:
    """The user signed in in another tab: redirects to the form's target, whatever username was typed."""
    request.session.flash(f"You are already signed in as @{request.identity.username}.")
    return HTTPSeeOther(onward(request, posted(request, "next") or request.GET.get("next", "")))


def sign_in(request: Request, user: User) -> Headers:
    """The headers that sign this browser in. Starts a new session, which prevents session fixation."""
    drafts.renew_session(request, drafts.DRAFT)
    known = request.registry["sign_in_guard"].remember(request, user.username)
    return [*remember(request, user.id, auth_version=user.auth_version), *known]


def sign_out(request: Request, message: str) -> Headers:
    drafts.renew_session(request)
    request.session.flash(message)
    return forget(request)


def check_own_password(request: Request, password: str, field: str) -> None:
    """Checks the current user's password under the sign-in limits: an intruder at an open browser must not guess it.

    Raises Refused, TooManyRequests, Busy.
    """
    if check_password(request, request.identity.username, password) is None:
        raise Refused("Wrong password.", field)


def check_password(request: Request, username: str, password: str) -> User | None:
    """The account if the password is correct, else None, after the same time.

    Raises TooManyRequests, Busy; Refused for the correct password of a suspended account.
    """
    guard = request.registry["sign_in_guard"]
    guard.check(request, username)
    # A session of its own that ends before the slow hashing, so no database connection waits for it.
    with request.registry.database.sessions() as session:
        user = find_user(session, username, suspended=True)
    if request.registry["passwords"].check(user.password_hash if user else "", password):
        if user is not None and user.suspended:
            raise Refused(SUSPENDED, "username")
        return user
    guard.failed(request, username)
    return None


def rehash(request: Request, user: User, password: str) -> None:
    """Hashes the password again if the hash has other cost parameters than the settings."""
    passwords = request.registry["passwords"]
    if passwords.outdated(user.password_hash):
        hashed = passwords.hash(password)
        # Hashing takes long. If the password was changed in that time, the old one must not be restored.
        unchanged = (User.id == user.id) & (User.password_hash == user.password_hash)
        request.dbsession.execute(update(User).where(unchanged).values(password_hash=hashed))


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
        "notifies": change_notifies,
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
    return see(request, "/settings")


def change_password(request: Request) -> dict[str, Any] | Response:
    """Ends all other sessions; this one gets a new cookie."""
    try:
        check_own_password(request, posted(request, "current_password"), "current_password")
        user = request.actions.set_password(request.identity.id, posted(request, "new_password"))
    except Refused as error:
        return {"form": refused(request, error, _profile(request), password="new_password")}  # noqa: S106
    request.session.flash("Your password was changed. All other browsers are signed out.")
    return see(request, "/settings", headers=remember(request, user.id, auth_version=user.auth_version))


def sign_out_everywhere(request: Request) -> Response:
    """Ends all sessions of the account, including this one."""
    request.actions.sign_out_everywhere(request.identity.id)
    return see(request, "/", headers=sign_out(request, "You are signed out in all browsers."))


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
    return see(request, "/", headers=sign_out(request, "Your account was closed and your data was deleted."))


def _profile(request: Request) -> dict[str, str]:
    return {"display_name": request.identity.display_name, "bio": request.identity.bio}
