"""Sign-up, sign-in and sign-out."""

from typing import Any

from pyramid.exceptions import BadCSRFToken
from pyramid.httpexceptions import HTTPSeeOther
from pyramid.request import Request
from pyramid.response import Response
from pyramid.security import forget, remember
from pyramid.view import view_config
from sqlalchemy import update

from tweeter.errors import Refused
from tweeter.models import User
from tweeter.services.people import find_user
from tweeter.web.cookies import Headers
from tweeter.web.security import local_url
from tweeter.web.views import drafts
from tweeter.web.views.forms import Form, go, posted, refused, see


@view_config(route_name="signup", request_method="GET", renderer="signup.jinja2")
def signup_form(request: Request) -> dict[str, Any] | Response:
    return {"form": Form(drafts.take(request, "signup"))} if request.identity is None else go("/")


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
    return see("/", headers=headers)


@view_config(route_name="login", request_method="GET", renderer="login.jinja2")
def login_form(request: Request) -> dict[str, Any] | Response:
    onward = local_url(request.GET.get("next", "/"))
    if request.identity is not None:
        return go(onward)
    return {"form": Form({"next": onward} | drafts.take(request, "login"))}


@view_config(route_name="login", request_method="POST", renderer="login.jinja2")
def login(request: Request) -> dict[str, Any] | Response:
    """Unknown usernames and wrong passwords get the same response after the same time."""
    if request.identity is not None:
        return already_signed_in(request)
    username, password = posted(request, "username").strip(), posted(request, "password")
    onward = local_url(posted(request, "next") or request.GET.get("next", "/"))
    user = _check_password(request, username, password)
    if user is None:
        error = Refused("Wrong username or password.", "username")
        return {"form": refused(request, error, {"username": username, "next": onward})}
    _rehash(request, user, password)
    return see(onward, headers=sign_in(request, user))


@view_config(route_name="logout", request_method="POST", require_csrf=False)
def logout(request: Request) -> Response:
    """Accepts the token of another tab's session. Without a signed-in user, a forged form changes nothing."""
    if drafts.from_this_site(request):
        return HTTPSeeOther("/", headers=sign_out(request, "You are signed out."))
    if request.identity is not None:
        raise BadCSRFToken
    return see("/")


def already_signed_in(request: Request) -> Response:
    """The user signed in in another tab: redirects to the form's target, whatever username was typed."""
    request.session.flash(f"You are already signed in as @{request.identity.username}.")
    return see(posted(request, "next") or request.GET.get("next", "/"))


def sign_in(request: Request, user: User) -> Headers:
    """The headers that sign this browser in. Starts a new session, which prevents session fixation."""
    drafts.renew_session(request, drafts.DRAFT)
    known = request.registry["sign_in_guard"].remember(user.username)
    return [*remember(request, user.id, auth_version=user.auth_version), *known]


def sign_out(request: Request, message: str) -> Headers:
    drafts.renew_session(request)
    request.session.flash(message)
    return forget(request)


def check_own_password(request: Request, password: str, field: str) -> None:
    """Checks the current user's password under the sign-in limits: an intruder at an open browser must not guess it.

    Raises Refused, TooManyRequests, Busy.
    """
    if _check_password(request, request.identity.username, password) is None:
        raise Refused("Wrong password.", field)


def _check_password(request: Request, username: str, password: str) -> User | None:
    """The account if the password is correct, else None, after the same time.

    Raises TooManyRequests, Busy.
    """
    guard = request.registry["sign_in_guard"]
    guard.check(request, username)
    # A session of its own that ends before the slow hashing, so no database connection waits for it.
    with request.registry.database.sessions() as session:
        user = find_user(session, username)
    if request.registry["passwords"].check(user.password_hash if user else "", password):
        return user
    guard.failed(request, username)
    return None


def _rehash(request: Request, user: User, password: str) -> None:
    """Hashes the password again if the hash has other cost parameters than the settings."""
    passwords = request.registry["passwords"]
    if passwords.outdated(user.password_hash):
        hashed = passwords.hash(password)
        # Hashing takes long. If the password was changed in that time, the old one must not be restored.
        unchanged = (User.id == user.id) & (User.password_hash == user.password_hash)
        request.dbsession.execute(update(User).where(unchanged).values(password_hash=hashed))
