"""CSRF tokens that differ on each page, so that the length of a compressed page does not reveal them (BREACH)."""

import secrets

from pyramid.csrf import SessionCSRFStoragePolicy
from pyramid.interfaces import ICSRFStoragePolicy
from pyramid.request import Request
from zope.interface import implementer


@implementer(ICSRFStoragePolicy)
class MaskedTokens(SessionCSRFStoragePolicy):
    """The token is a random key, and the session's token XOR that key."""

    def get_csrf_token(self, request: Request) -> str:
        """The same for all forms of a page, which would grow by 64 random characters with each form."""
        token = super().get_csrf_token(request)
        shown: dict[str, str] = request.__dict__.setdefault("shown_tokens", {})
        return shown.setdefault(token, mask(token))

    def check_csrf_token(self, request: Request, supplied_token: str) -> bool:
        return secrets.compare_digest(super().get_csrf_token(request), unmask(supplied_token))


def mask(token: str) -> str:
    """A session's token (hexadecimal) as shown on a page, different each time."""
    secret = bytes.fromhex(token)
    key = secrets.token_bytes(len(secret))
    return (key + _xor(secret, key)).hex()


def unmask(shown: str) -> str:
    """The session's token; empty if it is malformed."""
    try:
        both = bytes.fromhex(shown)
    except ValueError:
        return ""
    half = len(both) // 2
    return _xor(both[:half], both[half:]).hex() if len(both) == 2 * half else ""


def _xor(one: bytes, other: bytes) -> bytes:
    return (int.from_bytes(one) ^ int.from_bytes(other)).to_bytes(len(one))
