"""Who is asking: sessions, cookies, the limit on failed sign-ins, and addresses that are safe to go on to."""

import hashlib
import math
import time
from typing import Any, NamedTuple
from urllib.parse import quote, urlsplit

import limits
from pyramid.authentication import AuthTktCookieHelper
from pyramid.config import Configurator
from pyramid.csrf import SessionCSRFStoragePolicy
from pyramid.interfaces import ISecurityPolicy
from pyramid.request import Request, RequestLocalCache
from pyramid.security import Allowed, Denied
from pyramid.session import SignedCookieSessionFactory
from sqlalchemy import bindparam, select
from zope.interface import implementer

from tweeter.errors import SettingError, TweeterError
from tweeter.models import User
from tweeter.text import USERNAME

SIGNED_IN = "signed in"
DAY = 24 * 60 * 60


class Identity(NamedTuple):
    """The signed-in person, as one query finds them: pages need nothing else of their own row."""

    id: int
    username: str
    display_name: str
    bio: str
    tweets_count: int
    followers_count: int
    following_count: int
    auth_version: int
    last_write: int


# Made once: to put a statement together costs as much as to run it.
_IDENTITY = select(*(getattr(User, name) for name in Identity._fields)).where(User.id == bindparam("id"))


@implementer(ISecurityPolicy)
class SecurityPolicy:
    """A signed ticket in a cookie; it is void once the account's `auth_version` is another."""

    def __init__(self, tickets: AuthTktCookieHelper) -> None:
        self._tickets = tickets
        self._identities = RequestLocalCache(self._load)

    def identity(self, request: Request) -> Identity | None:
        return self._identities.get_or_create(request)

    def known_identity(self, request: Request) -> Identity | None:
        """The identity if it was asked for already; never touches SQL."""
        return self._identities.get(request, None)

    def authenticated_userid(self, request: Request) -> int | None:
        identity = self.identity(request)
        return identity.id if identity else None

    def permits(self, request: Request, context: Any, permission: str) -> Allowed | Denied:
        """There is one permission: to be signed in. What belongs to whom is for `tweeter.actions` to say."""
        if self.identity(request) is None:
            return Denied("nobody is signed in")
        return Allowed("signed in")

    def remember(self, request: Request, userid: int, *, auth_version: int, **options: Any) -> list[tuple[str, str]]:
        return self._tickets.remember(request, userid, tokens=(_token(auth_version),), **options)

    def forget(self, request: Request, **options: Any) -> list[tuple[str, str]]:
        return self._tickets.forget(request, **options)

    def _load(self, request: Request) -> Identity | None:
        ticket = self._tickets.identify(request)
        if ticket is None or not isinstance(ticket["userid"], int):
            return None
        with request.registry["statements"].connect() as connection:
            row = connection.execute(_IDENTITY, {"id": ticket["userid"]}).one_or_none()
        if row is None or _token(row.auth_version) not in ticket["tokens"]:
            return None
        return Identity(*row)


def _token(auth_version: int) -> str:
    return f"v{auth_version}"


class TooManyAttempts(TweeterError):
    """Too many failed sign-ins; `seconds` until the next is allowed."""

    def __init__(self, seconds: int) -> None:
        super().__init__(f"try again in {seconds} seconds")
        self.seconds = seconds


class SignInLimit:
    """Counts failed sign-ins per name and address."""

    def __init__(self, spec: str) -> None:
        try:
            self._limit = limits.parse(spec)
        except ValueError as error:
            raise SettingError(f"tweeter.login_limit: {spec!r} is no limit such as '100/10 minutes'") from error
        self._attempts = limits.strategies.MovingWindowRateLimiter(limits.storage.MemoryStorage())

    def begin(self, request: Request, username: str) -> None:
        """Counts the attempt as a failure, before it is known: many at once can't slip through.

        Raises TooManyAttempts.
        """
        key = _attempt(request, username)
        if not self._attempts.hit(self._limit, *key):
            reset = self._attempts.get_window_stats(self._limit, *key).reset_time
            raise TooManyAttempts(max(1, math.ceil(reset - time.time())))

    def succeeded(self, request: Request, username: str) -> None:
        """The person knew the password: what failed before is forgotten."""
        self._attempts.clear(self._limit, *_attempt(request, username))


def _attempt(request: Request, username: str) -> tuple[str, str]:
    # Not client_addr: whoever sends an X-Forwarded-For would choose it. Behind a proxy, waitress' trusted_proxy sets
    # remote_addr. Names that nobody can have are one name, or they would fill the memory.
    name = username.lower() if USERNAME.fullmatch(username) else ""
    return name, request.remote_addr or ""


def local_url(url: str, default: str = "/") -> str:
    """The path to go on to, if it is one of this site; whatever a browser could take for another site is not."""
    if not url.startswith("/") or url.startswith("//") or len(url) > 2000:
        return default
    if "\\" in url or any(ord(character) <= 0x20 or ord(character) == 0x7F for character in url):
        return default
    try:
        parts = urlsplit(url)
    except ValueError:
        return default
    if parts.scheme or parts.netloc or "//" in parts.path:  # "/.//evil" is "//evil" to whoever resolves it
        return default
    return quote(url, safe="/?&=%#@:;,+!~*'()$-._")


def derive(secret: str, purpose: str) -> str:
    """A secret of its own for each purpose, so that what is signed for one is worth nothing for another."""
    return hashlib.blake2b(purpose.encode(), key=hashlib.sha512(secret.encode()).digest(), digest_size=32).hexdigest()


def includeme(config: Configurator) -> None:
    """Sets the security policy, the session of flash messages and CSRF tokens, and CSRF checks on every form."""
    settings = config.get_settings()
    secret = settings["tweeter.secret"]
    secure = settings["tweeter.secure_cookies"]
    lifetime = settings["tweeter.session_days"] * DAY
    config.set_security_policy(
        SecurityPolicy(
            AuthTktCookieHelper(
                derive(secret, "ticket"),
                cookie_name="ticket",
                hashalg="sha512",
                secure=secure,
                http_only=True,
                samesite="Lax",
                timeout=lifetime,
                reissue_time=lifetime // 10,
                max_age=lifetime,
                wild_domain=False,
            )
        )
    )
    config.set_session_factory(
        SignedCookieSessionFactory(
            derive(secret, "session"),
            cookie_name="session",
            secure=secure,
            httponly=True,
            samesite="Lax",
            timeout=lifetime,
            reissue_time=DAY,
            max_age=lifetime,
        )
    )
    config.set_csrf_storage_policy(SessionCSRFStoragePolicy())
    config.set_default_csrf_options(require_csrf=True)
    # pyramid_tm would ask who is signed in for every request, static files too, and before errors have their pages.
    settings["tm.annotate_user"] = False
    config.registry["passwords"].check("", "")  # makes the decoy, or the first unknown name would take longer
    config.registry["sign_in_limit"] = SignInLimit(settings["tweeter.login_limit"])
