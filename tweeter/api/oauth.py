"""Endpoints of OAuth 2 for applications: register, get a token, end it."""

import json
import re
import time
from datetime import timedelta
from typing import Any

from oauthlib.oauth2.rfc6749.errors import UnauthorizedClientError
from pyramid.request import Request
from pyramid.response import Response
from sqlalchemy import delete, exists, select

from tweeter.api.endpoints import ANY, endpoint
from tweeter.api.entities import Application as App
from tweeter.api.entities import Empty, NewApplication, Token
from tweeter.api.errors import Failure, json_response
from tweeter.api.parameters import merged
from tweeter.api.provider import DEFAULT_SCOPES, Provider
from tweeter.api.tokens import KNOWN
from tweeter.db.sessions import write
from tweeter.models import AccessToken, Application
from tweeter.models.base import now
from tweeter.text import clean_line

OUT_OF_BAND = "urn:ietf:wg:oauth:2.0:oob"
UNUSED = timedelta(days=30)  # then an application without a token is deleted
PRUNED = 100
LONGEST_NAME, LONGEST_URI, MOST_URIS = 60, 2000, 20
_URI = re.compile(r"(?!(?:javascript|data|vbscript|file|about|blob):)[a-z][a-z0-9+.-]*:[\x21-\x7e]+", re.IGNORECASE)


@endpoint("POST", "/api/v1/apps", returns=NewApplication, limit="app")
def register(
    request: Request,
    client_name: str,
    redirect_uris: list[str],
    scopes: str = " ".join(DEFAULT_SCOPES),
    website: str = "",
) -> NewApplication:
    """Registers an application. `redirect_uris` may also be one text with a URI on each line."""
    name = clean_line(client_name)
    uris = list(dict.fromkeys(uri for text in redirect_uris for uri in text.split()))
    if not name or len(name) > LONGEST_NAME:
        raise Failure(422, f"Validation failed: client_name must have 1 to {LONGEST_NAME} characters")
    if not uris or len(uris) > MOST_URIS or not all(map(_is_redirect_uri, uris)):
        raise Failure(422, "Validation failed: redirect_uris must be absolute URIs without a fragment")
    asked = scopes.split()
    if not asked or not KNOWN.issuperset(asked):
        raise Failure(422, "Validation failed: scopes contains an unknown scope")
    if website and not re.fullmatch(r"https?://[\x21-\x7e]{1,2000}", website):
        raise Failure(422, "Validation failed: website must be an http or https URL")
    session, tokens = request.dbsession, request.registry["tokens"]
    used = exists().where(AccessToken.application_id == Application.id)
    old = select(Application.id).where(Application.date < now() - UNUSED, ~used).limit(PRUNED)
    write(session, delete(Application).where(Application.id.in_(old)))
    secret = tokens.new()
    application = Application(
        client_id=tokens.new(),
        secret_hash=tokens.hash(secret),
        name=name,
        website=website,
        redirect_uris="\n".join(uris),
        scopes=" ".join(dict.fromkeys(asked)),
    )
    session.add(application)
    session.flush()
    return NewApplication(**_values(application), client_id=application.client_id, client_secret=secret)


def _is_redirect_uri(uri: str) -> bool:
    return uri == OUT_OF_BAND or (len(uri) <= LONGEST_URI and "#" not in uri and _URI.fullmatch(uri) is not None)


def _values(application: Application) -> dict[str, Any]:
    return {
        "id": str(application.id),
        "name": application.name,
        "website": application.website or None,
        "scopes": application.scopes.split(),
        "redirect_uri": application.redirect_uris,
        "redirect_uris": application.redirect_uris.split("\n"),
    }


@endpoint("GET", "/api/v1/apps/verify_credentials", returns=App, scope=ANY, user=False)
def verify(request: Request) -> App:
    """The application of the token."""
    with request.read_session() as session:
        application = session.get(Application, request.context.access.application_id)
    if application is None:
        raise Failure(401, "The access token is invalid")
    return App(**_values(application))


@endpoint("POST", "/oauth/token", returns=Token)
def token(
    request: Request, grant_type: str = "", client_id: str = "", client_secret: str = "", code: str = "",
    code_verifier: str = "", redirect_uri: str = "", username: str = "", password: str = "", scope: str = "",
) -> Response:  # fmt: skip
    """A token for a code, for a name and a password, or for the application itself."""
    _, body, status = Provider(request).create_token_response(_uri(request), "POST", _body(request))
    if status != 200:
        return json_response(json.loads(body), status)
    found = json.loads(body)
    answer = Token(access_token=found["access_token"], scope=found["scope"], created_at=int(time.time()))
    response = json_response(answer)
    response.headers["Cache-Control"] = "no-store"
    return response


@endpoint("POST", "/oauth/revoke", returns=Empty)
def revoke(request: Request, token: str = "", client_id: str = "", client_secret: str = "") -> Response:
    """Ends a token of the application."""
    refused = Failure(403, "unauthorized_client", "You are not authorized to revoke this token")
    try:
        _, body, status = Provider(request).create_revocation_response(_uri(request), "POST", _body(request))
    except UnauthorizedClientError:
        raise refused from None
    if status == 401:
        raise refused
    return json_response(json.loads(body or "{}"), status)


def _body(request: Request) -> dict[str, str]:
    """The parameters as oauthlib reads them."""
    return {key: value for key, value in merged(request).items() if value}


def _uri(request: Request) -> str:
    return str(request.path_url)
