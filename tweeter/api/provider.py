"""The OAuth 2 provider: oauthlib's endpoints over Tweeter's tables.

Applications register themselves and have a secret. They get tokens that do not expire: for a code (with PKCE if the
application sends a challenge), for a name and a password if `tweeter.api.direct_login` is on, or for themselves.
"""

import base64
import binascii
import hmac
import re
from datetime import timedelta
from typing import Any

from oauthlib.oauth2 import (
    AuthorizationCodeGrant,
    AuthorizationEndpoint,
    BearerToken,
    ClientCredentialsGrant,
    RequestValidator,
    ResourceOwnerPasswordCredentialsGrant,
    RevocationEndpoint,
    TokenEndpoint,
)
from oauthlib.oauth2.rfc6749.errors import InvalidGrantError, UnauthorizedClientError
from pyramid.request import Request
from sqlalchemy import delete, exists, select

from tweeter.api.tokens import KNOWN, Tokens
from tweeter.db.sessions import write
from tweeter.errors import Refused
from tweeter.models import AccessToken, Application, AuthorizationCode, User
from tweeter.models.base import now
from tweeter.web.views.accounts import check_password, rehash

CODE_LASTS = timedelta(minutes=10)
PRUNED = 100  # expired codes that each new one deletes, at most
MOST_TOKENS = 50  # of an application for one user, or for itself; then the oldest ends
DEFAULT_SCOPES = ["read"]


class Provider(AuthorizationEndpoint, TokenEndpoint, RevocationEndpoint):
    """The endpoints, for one request."""

    def __init__(self, request: Request) -> None:
        validator = self.validator = Validator(request)
        code = AuthorizationCodeGrant(validator)
        code.refresh_token = False
        grants: dict[str, Any] = {
            "authorization_code": code,
            "client_credentials": ClientCredentialsGrant(validator),
        }
        if request.registry.settings["tweeter.api.direct_login"]:
            grants["password"] = ResourceOwnerPasswordCredentialsGrant(validator, refresh_token=False)
        bearer = BearerToken(validator, token_generator=lambda request: validator.tokens.new())
        AuthorizationEndpoint.__init__(self, "code", bearer, {"code": code})
        TokenEndpoint.__init__(self, "authorization_code", bearer, grants)
        RevocationEndpoint.__init__(self, validator)


class Validator(RequestValidator):
    """Answers oauthlib's questions from the tables. `asked` is oauthlib's request."""

    def __init__(self, request: Request) -> None:
        self._request = request
        self.tokens: Tokens = request.registry["tokens"]

    # applications

    def _application(self, client_id: str | None) -> Application | None:
        if not client_id or not re.fullmatch(r"[\w-]{43}", client_id, re.ASCII):
            return None
        # Not in the transaction: checking a password needs a connection, too. Not on a replica: it may be new.
        with self._request.registry.database.read_sessions() as session:
            found: Application | None = session.scalar(select(Application).filter_by(client_id=client_id))
        return found

    def validate_client_id(self, client_id: str, asked: Any, *args: Any, **kwargs: Any) -> bool:
        asked.client = self._application(client_id)
        return asked.client is not None

    def client_authentication_required(self, asked: Any, *args: Any, **kwargs: Any) -> bool:
        return True

    def authenticate_client(self, asked: Any, *args: Any, **kwargs: Any) -> bool:
        """By id and secret, in the body or in a Basic header. A header with a token is ignored."""
        client_id, secret = asked.client_id, asked.client_secret
        kind, _, encoded = self._request.headers.get("Authorization", "").partition(" ")
        if kind.lower() == "basic":
            try:
                client_id, _, secret = base64.b64decode(encoded).decode().partition(":")
            except (binascii.Error, UnicodeDecodeError):
                return False
        application = self._application(client_id)
        if application is None or not hmac.compare_digest(application.secret_hash, self.tokens.hash(secret or "")):
            return False
        asked.client, asked.client_id = application, client_id
        return True

    def validate_grant_type(self, client_id: str, grant_type: str, client: Any, asked: Any, *_: Any, **__: Any) -> bool:
        return True  # the endpoint has only grants that are allowed

    def validate_response_type(self, client_id: str, kind: str, client: Any, asked: Any, *_: Any, **__: Any) -> bool:
        return kind == "code"

    def validate_redirect_uri(self, client_id: str, redirect_uri: str, asked: Any, *_: Any, **__: Any) -> bool:
        return redirect_uri in asked.client.redirect_uris.split("\n")

    def get_default_redirect_uri(self, client_id: str, asked: Any, *args: Any, **kwargs: Any) -> str:
        return str(asked.client.redirect_uris.partition("\n")[0])

    def get_default_scopes(self, client_id: str, asked: Any, *args: Any, **kwargs: Any) -> list[str]:
        return DEFAULT_SCOPES

    def validate_scopes(self, client_id: str, scopes: list[str], client: Any, asked: Any, *_: Any, **__: Any) -> bool:
        """An application gets the scopes with which it registered, or parts of them."""
        registered = set(client.scopes.split())
        return all(scope in KNOWN and {scope, scope.partition(":")[0]} & registered for scope in scopes)

    def is_pkce_required(self, client_id: str, asked: Any) -> bool:
        return False

    # codes

    def save_authorization_code(self, client_id: str, code: dict[str, str], asked: Any, *_: Any, **__: Any) -> None:
        session = self._request.dbsession
        expired = select(AuthorizationCode.code_hash).where(AuthorizationCode.expires < now()).limit(PRUNED)
        write(session, delete(AuthorizationCode).where(AuthorizationCode.code_hash.in_(expired)))
        session.add(
            AuthorizationCode(
                code_hash=self.tokens.hash(code["code"]),
                application_id=asked.client.id,
                user_id=asked.user.id,
                auth_version=asked.user.auth_version,
                redirect_uri=asked.redirect_uri,
                scopes=" ".join(asked.scopes),
                challenge=asked.code_challenge or "",
                challenge_method=asked.code_challenge_method or "",
                expires=now() + CODE_LASTS,
            )
        )
        session.flush()

    def validate_code(self, client_id: str, code: str, client: Any, asked: Any, *args: Any, **kwargs: Any) -> bool:
        """Takes the code, which is valid once, also if the request has another error."""
        of = AuthorizationCode
        query = delete(of).where(of.code_hash == self.tokens.hash(code), of.application_id == client.id)
        row = self._request.dbsession.execute(
            query.returning(
                of.user_id, of.auth_version, of.redirect_uri, of.scopes, of.challenge, of.challenge_method, of.expires
            )
        ).one_or_none()
        if row is None or row.expires < now():
            return False
        asked.grant, asked.scopes = row, row.scopes.split()
        asked.user = self._request.dbsession.get(User, row.user_id)
        return asked.user is not None and asked.user.auth_version == row.auth_version

    def get_code_challenge(self, code: str, asked: Any) -> str | None:
        return asked.grant.challenge or None

    def get_code_challenge_method(self, code: str, asked: Any) -> str:
        return str(asked.grant.challenge_method)

    def confirm_redirect_uri(
        self, client_id: str, code: str, uri: str, client: Any, asked: Any, *_: Any, **__: Any
    ) -> bool:
        return bool(uri == asked.grant.redirect_uri)

    def invalidate_authorization_code(self, client_id: str, code: str, asked: Any, *args: Any, **kwargs: Any) -> None:
        pass  # `validate_code` has deleted it

    # users and tokens

    def validate_user(self, username: str, password: str, client: Any, asked: Any, *args: Any, **kwargs: Any) -> bool:
        """Under the limits of the sign-in page. Raises TooManyRequests, Busy."""
        try:
            user = check_password(self._request, username, password)
        except Refused as error:
            raise InvalidGrantError(str(error), request=asked) from None
        if user is None:
            return False
        rehash(self._request, user, password)
        asked.user = user
        return True

    def save_bearer_token(self, token: dict[str, Any], asked: Any, *args: Any, **kwargs: Any) -> None:
        user, session = asked.user, self._request.dbsession
        whose = AccessToken.user_id == user.id if user else AccessToken.user_id.is_(None)
        mine = select(AccessToken.id).where(AccessToken.application_id == asked.client.id, whose)
        oldest = mine.order_by(AccessToken.id.desc()).offset(MOST_TOKENS - 1).limit(PRUNED)
        write(session, delete(AccessToken).where(AccessToken.id.in_(oldest)))
        session.add(
            AccessToken(
                token_hash=self.tokens.hash(token["access_token"]),
                application_id=asked.client.id,
                user_id=user.id if user else None,
                auth_version=user.auth_version if user else 0,
                scopes=token["scope"],
                date=now(),
            )
        )
        session.flush()

    def revoke_token(self, token: str, token_type_hint: str, asked: Any, *args: Any, **kwargs: Any) -> None:
        """An application can end its own tokens only. Raises UnauthorizedClientError."""
        session, known = self._request.dbsession, AccessToken.token_hash == self.tokens.hash(token)
        if write(session, delete(AccessToken).where(known, AccessToken.application_id == asked.client.id)):
            return
        if session.scalar(select(exists().where(known))):
            raise UnauthorizedClientError(request=asked)
