"""Authentication: sessions and their tickets; and validation of redirect targets."""

import logging
from collections.abc import Callable, Collection
from datetime import timedelta
from typing import Any, NamedTuple
from urllib.parse import quote, urlsplit

from pyramid.config import Configurator
from pyramid.interfaces import ISecurityPolicy
from pyramid.registry import Registry
from pyramid.request import Request
from pyramid.response import Response
from pyramid.security import Allowed, Denied
from pyramid.tweens import EXCVIEW
from sqlalchemy import Engine, and_, bindparam, delete, insert, literal, select, update
from sqlalchemy.exc import DBAPIError
from sqlalchemy.orm import Session
from zope.interface import implementer

from tweeter.db.positions import WRITTEN, Written, written_of
from tweeter.db.prepared import Prepared
from tweeter.db.reads import reading
from tweeter.db.sessions import write
from tweeter.models import LoginSession, User
from tweeter.models.base import UTCDateTime, now
from tweeter.services.notifications import UNREAD
from tweeter.web.cookies import DAY, Headers, Ticket, session_factory
from tweeter.web.tokens import MaskedTokens

log = logging.getLogger(__name__)

SIGNED_IN = "signed in"
IDENTITY = "tweeter identity"  # attributes of requests
LAST_WRITE = "tweeter written"
RENEWED_AFTER = 0.1  # of its lifetime: then a session in use is prolonged
PRUNED = 100  # expired sessions that each new one deletes, at most


class Identity(NamedTuple):
    """The current user, loaded in one statement: pages need nothing else of the user's row."""

    id: int
    username: str
    display_name: str
    bio: str
    tweets_count: int
    followers_count: int
    following_count: int
    last_write: int
    hidden_version: int
    notifies: int
    notifications_read_id: int
    unread: int  # notifications, counted up to MOST_UNREAD


IDENTITY_COLUMNS = [getattr(User, name) for name in Identity._fields if name != "unread"] + [UNREAD.label("unread")]
_IDENTITY = (
    select(*IDENTITY_COLUMNS, LoginSession.expires)
    .select_from(User)
    .join(LoginSession, and_(LoginSession.user_id == User.id, LoginSession.auth_version == User.auth_version))
    .where(
        LoginSession.token_hash == bindparam("token_hash"),
        LoginSession.expires > bindparam("now", type_=UTCDateTime),
    )
)
_VALID = (
    select(LoginSession.token_hash)
    .join(User, and_(LoginSession.user_id == User.id, LoginSession.auth_version == User.auth_version))
    .where(
        LoginSession.token_hash.in_(bindparam("hashes", expanding=True)),
        LoginSession.expires > bindparam("now", type_=UTCDateTime),
    )
)


@implementer(ISecurityPolicy)
class SecurityPolicy:
    """A token in a cookie, and its hash in the table `sessions`, which is always read on the primary."""

    def __init__(self, ticket: Ticket, lifetime: timedelta, statement: Prepared, statements: Engine) -> None:
        self._ticket = ticket
        self._statements = statements
        self._lifetime = lifetime
        self._statement = statement

    def identity(self, request: Request) -> Identity | None:
        # Cached in the request's __dict__: Pyramid's RequestLocalCache would take longer than everything else here.
        try:
            found: Identity | None = request.__dict__[IDENTITY]
        except KeyError:
            found = request.__dict__[IDENTITY] = self._load(request)
        return found

    def known_identity(self, request: Request) -> Identity | None:
        """The identity if it is loaded already; never runs SQL."""
        found: Identity | None = request.__dict__.get(IDENTITY)
        return found

    def written(self, request: Request) -> Written | None:
        """What the pages of the current user must contain if a replica serves them; None if no user is signed in."""
        self.identity(request)
        found: Written | None = request.__dict__.get(LAST_WRITE)
        return found

    def authenticated_userid(self, request: Request) -> int | None:
        identity = self.identity(request)
        return identity.id if identity else None

    def permits(self, request: Request, context: Any, permission: str) -> Allowed | Denied:
        """There is one permission: to be signed in. `tweeter.services.actions` checks ownership."""
        if self.identity(request) is None:
            return Denied("not signed in")
        return Allowed("signed in")

    def remember(self, request: Request, userid: int, *, auth_version: int) -> Headers:
        """Begins a session in the request's transaction, and ends this browser's old one.

        The new session is void if the user's `auth_version` has changed since it was read.
        """
        self._end(request)
        return self._ticket.headers(request, self.begin(request.dbsession, userid, auth_version))

    def begin(self, session: Session, userid: int, auth_version: int) -> str:
        """Adds a session of the user. Returns its token, which is the value of the cookie `ticket`."""
        over = select(LoginSession.token_hash).where(LoginSession.expires < now()).limit(PRUNED)
        over = over.with_for_update(skip_locked=True)
        write(session, delete(LoginSession).where(LoginSession.token_hash.in_(over)))
        token = self._ticket.new()
        row = select(
            literal(self._ticket.hash(token)), User.id, literal(auth_version),
            literal(now(), UTCDateTime), literal(now() + self._lifetime, UTCDateTime),
        ).where(User.id == userid)  # fmt: skip
        columns = ["token_hash", "user_id", "auth_version", "date", "expires"]
        session.execute(insert(LoginSession).from_select(columns, row))
        return token

    def end(self, session: Session, token: str) -> None:
        """Deletes the session with this token."""
        write(session, delete(LoginSession).where(LoginSession.token_hash == self._ticket.hash(token)))

    def forget(self, request: Request, **options: Any) -> Headers:
        """Ends this browser's session in the request's transaction, which makes all copies of its cookie void."""
        self._end(request)
        return self._ticket.headers(request, None)

    def token_hash(self, request: Request) -> bytes | None:
        """The hash of this browser's token; None if no user is signed in."""
        token = self._ticket.read(request)
        return self._ticket.hash(token) if token and self.identity(request) else None

    def valid(self, hashes: Collection[bytes]) -> set[bytes]:
        """Those of these hashes whose sessions go on."""
        with self._statements.connect() as connection:
            return set(connection.scalars(_VALID, {"hashes": list(hashes), "now": now()}))

    def _end(self, request: Request) -> None:
        if token := self._ticket.read(request):
            self.end(request.dbsession, token)

    def _load(self, request: Request) -> Identity | None:
        token = self._ticket.read(request)
        if not token:
            return None
        moment = now()
        row = self._statement.one_or_none(token_hash=self._ticket.hash(token), now=moment)
        if row is None:
            return None
        identity, expires = Identity(*row[: len(Identity._fields)]), row[len(Identity._fields)]
        if where := row[len(Identity._fields) + 1 :]:
            request.__dict__[LAST_WRITE] = written_of(identity.id, *where)
        # Not on forms: they may begin or end a session, whose new cookie must not be overwritten.
        if request.method in ("GET", "HEAD") and expires - moment < self._lifetime * (1 - RENEWED_AFTER):
            self._renew(request, token, moment + self._lifetime)
        return identity

    def _renew(self, request: Request, token: str, expires: Any) -> None:
        """Prolongs a session in use. Takes one more statement every few days."""
        renewed = update(LoginSession).where(LoginSession.token_hash == self._ticket.hash(token))
        try:
            with request.registry.database.statements.connect() as connection:
                connection.execute(renewed.values(expires=expires))
        except DBAPIError as error:  # the database is read-only or locked: the next page tries again
            log.warning("renewing a session failed: %s", error.orig)
            return
        headers = self._ticket.headers(request, token)
        request.add_response_callback(lambda request, response: response.headerlist.extend(headers))


def replica_tween(handler: Callable[[Request], Response], registry: Registry) -> Callable[[Request], Response]:
    """Lets pages be read from replicas. If a replica fails within a page, the second attempt reads on the primary."""
    policy = registry.getUtility(ISecurityPolicy)

    def read(request: Request) -> Response:
        if request.method not in ("GET", "HEAD") or request.environ.get("retry.attempt"):
            return handler(request)
        with reading(lambda: policy.written(request)):
            return handler(request)

    return read


def local_url(url: str, mount: str = "") -> str:
    """Returns the redirect target if it is a path below `mount` that no browser can take for another site; else ""."""
    if not url.startswith(f"{mount}/") or url.startswith("//") or len(url) > 2000:
        return ""
    if "\\" in url or any(ord(character) <= 0x20 or ord(character) == 0x7F for character in url):
        return ""
    try:
        parts = urlsplit(url)
    except ValueError:
        return ""
    if parts.scheme or parts.netloc or "//" in parts.path:  # "/.//evil" resolves to "//evil"
        return ""
    return quote(url, safe="/?&=%#@:;,+!~*'()$-._")


def from_own_origin(request: Request) -> bool:
    """Whether the browser says that one of our pages sent this form, over http or https: a proxy may hide which."""
    origin, own = request.headers.get("Origin", ""), request.host_url
    return bool(origin.partition("://")[2] == own.partition("://")[2])


def came_over_http(request: Request) -> bool:
    """Whether the browser discards our Secure cookies. Behind a proxy that hides https, the Origin header shows it."""
    secure = request.registry.settings["tweeter.secure_cookies"]
    return secure and request.scheme == "http" and not request.headers.get("Origin", "").startswith("https:")


def needs_token(request: Request) -> bool:
    """Whether a form needs its CSRF token. Only the sign-up form of the front page comes without one.

    The front page is the same for all signed-out readers and sets no cookie, so it can be cached. All browsers send
    the Origin of a form. Where it is missing, or cookies would be discarded, the usual check rejects the form.
    """
    route = request.matched_route.name if request.matched_route else ""
    plain = route == "signup" and "csrf_token" not in request.POST
    return not plain or not from_own_origin(request) or came_over_http(request)


def includeme(config: Configurator) -> None:
    """Sets the security policy, the session of flash messages and CSRF tokens, and CSRF checks on every form."""
    settings = config.get_settings()
    secret = settings["tweeter.secret"]
    secure = settings["tweeter.secure_cookies"]
    lifetime = settings["tweeter.session_days"] * DAY
    replicated = config.registry.database.watch is not None
    columns = WRITTEN if replicated else ()
    statements = config.registry.database.statements
    statement = Prepared(statements, _IDENTITY.add_columns(*columns))
    policy = SecurityPolicy(Ticket(secret, secure, lifetime), timedelta(seconds=lifetime), statement, statements)
    config.set_security_policy(policy)
    if replicated:
        config.add_tween(f"{__name__}.replica_tween", over=EXCVIEW)
    config.set_session_factory(session_factory(secret, secure, lifetime))
    config.set_csrf_storage_policy(MaskedTokens())
    config.set_default_csrf_options(require_csrf=True, callback=needs_token)
    # pyramid_tm would load the current user for every request, even for static files, and before error pages work.
    settings["tm.annotate_user"] = False
