"""The cookies of the site: the session of forms and messages, the ticket of the current user, and known browsers.

They are for the path below which the site is mounted.
"""

import hashlib
import hmac
import secrets
from functools import lru_cache
from typing import Any, cast

import msgspec
from pyramid.interfaces import ISessionFactory
from pyramid.request import Request
from pyramid.session import BaseCookieSessionFactory
from webob.cookies import SignedSerializer, make_cookie, parse_cookie  # type: ignore[attr-defined]

from tweeter.web.routes import at

DAY = 24 * 60 * 60
FLASHES = 3  # messages kept, the newest: a page should not begin with more
LONGEST_SESSION = 2950  # bytes of JSON; signed and in base64 a cookie takes 4,064
KNOWN_BROWSER_DAYS = 365

Headers = list[tuple[str, str]]


def derive(secret: str, purpose: str) -> str:
    """Derives a separate secret for each purpose, so that a signature for one is invalid for another."""
    return hashlib.blake2b(purpose.encode(), key=hashlib.sha512(secret.encode()).digest(), digest_size=32).hexdigest()


def _path(request: Request) -> str:
    return at(request) or "/"


def _set_cookie(request: Request, name: str, value: str | None, max_age: int, secure: bool) -> Headers:
    path = _path(request)
    cookie = make_cookie(name, value, max_age=max_age, path=path, secure=secure, httponly=True, samesite="Lax")
    return [("Set-Cookie", cookie)]


class SessionSerializer:
    """The session as JSON that fits into a cookie.

    The cookie is written after the commit, when nothing may fail any more, so data that does not fit is omitted: old
    messages first, then all messages, then the draft.
    """

    def loads(self, data: bytes) -> Any:
        return msgspec.json.decode(data)  # its errors are ValueErrors

    def dumps(self, value: tuple[float, float, dict[str, Any]]) -> bytes:
        accessed, created, state = value
        flashes = state.get("_f_", [])
        for kept in (FLASHES, 1, 0):
            state = {key: item for key, item in state.items() if key != "_f_"}
            if kept and flashes:
                state["_f_"] = flashes[-kept:]
            if len(data := msgspec.json.encode((accessed, created, state))) <= LONGEST_SESSION:
                return data
        return msgspec.json.encode((accessed, created, {"_csrft_": state.get("_csrft_", "")}))


class _Bytes:
    """A serializer that changes nothing."""

    loads = dumps = staticmethod(bytes)


class SignedSessionSerializer(SessionSerializer):
    """The session, signed by WebOb. Verified cookies are cached."""

    def __init__(self, secret: str) -> None:
        self._signed = SignedSerializer(secret, "pyramid.session.", serializer=_Bytes())
        self._verified = lru_cache(maxsize=2000)(self._signed.loads)

    def dumps(self, value: tuple[float, float, dict[str, Any]]) -> bytes:
        return self._signed.dumps(super().dumps(value))

    def loads(self, data: bytes) -> Any:
        """Raises ValueError for an invalid signature."""
        return super().loads(self._verified(data))


@lru_cache(maxsize=2000)
def _parsed(header: str) -> dict[str, str]:
    """The first of two cookies with one name counts: browsers send the one with the longest path first."""
    pairs = [(name.decode(), value.decode()) for name, value in parse_cookie(header)]
    return dict(reversed(pairs))


def parse_once(environ: dict[str, Any]) -> None:
    """Gives WebOb the parsed cookies of a request from a cache: browsers send the same header again and again."""
    if header := environ.get("HTTP_COOKIE"):
        environ["webob._parsed_cookies"] = (_parsed(header), header)


def session_factory(secret: str, secure: bool, lifetime: int) -> ISessionFactory:
    """Pyramid's session of `lifetime` seconds, for CSRF tokens, messages and drafts."""
    session: Any = BaseCookieSessionFactory(
        SignedSessionSerializer(derive(secret, "session")),
        cookie_name="session",
        secure=secure,
        httponly=True,
        samesite="Lax",
        timeout=lifetime,
        reissue_time=DAY,
        max_age=lifetime,
    )
    session._cookie_path = property(lambda self: _path(self.request))
    return cast("ISessionFactory", session)


class Ticket:
    """The cookie with the token of a session in the table `sessions`."""

    def __init__(self, secret: str, secure: bool, lifetime: int) -> None:
        self._key = derive(secret, "ticket").encode()
        self._secure = secure
        self._lifetime = lifetime

    def new(self) -> str:
        return secrets.token_urlsafe(32)

    def read(self, request: Request) -> str:
        """The token that the browser sent; empty if there is none."""
        token: str = request.cookies.get("ticket", "")
        return token if len(token) == 43 and token.isascii() else ""

    def hash(self, token: str) -> bytes:
        """The token's hash in the table. Keyed, so that a new `tweeter.secret` ends every session."""
        return hashlib.blake2b(token.encode("ascii"), key=self._key, digest_size=32).digest()

    def headers(self, request: Request, token: str | None) -> Headers:
        """Headers that set the cookie; None deletes it."""
        return _set_cookie(request, "ticket", token, self._lifetime, self._secure)


class KnownBrowser:
    """The cookie of a browser in which a user has signed in, after OWASP's "device cookies".

    Wrong passwords for that name in this browser are counted separately, so that an attacker elsewhere cannot lock it
    out.
    """

    def __init__(self, secret: str, secure: bool) -> None:
        self._key = derive(secret, "known browser").encode()
        self._secure = secure

    def read(self, request: Request, username: str) -> str:
        """The id of the browser if the user of that name has signed in with it; else empty."""
        id_, _, signature = request.cookies.get("browser", "").partition(".")
        return id_ if signature and hmac.compare_digest(self._sign(id_, username).encode(), signature.encode()) else ""

    def headers(self, request: Request, username: str) -> Headers:
        id_ = secrets.token_urlsafe(12)
        value = f"{id_}.{self._sign(id_, username)}"
        return _set_cookie(request, "browser", value, KNOWN_BROWSER_DAYS * DAY, self._secure)

    def _sign(self, id_: str, username: str) -> str:
        return hashlib.blake2b(f"{id_}.{username.lower()}".encode(), key=self._key, digest_size=16).hexdigest()
