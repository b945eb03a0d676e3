"""The declaration of an endpoint: its route, its parameters, its rules and its place in the document come from it.

    @endpoint("GET", "/api/v1/accounts/{id}", returns=Account, scope="read:accounts", anonymous=True)
    def account(request, id: Id): ...

The arguments of the function are the parameters of the request. It returns an entity, or msgspec.Raw with its JSON.
"""

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any, NamedTuple

import msgspec
from pyramid.config import Configurator
from pyramid.httpexceptions import HTTPMethodNotAllowed
from pyramid.request import Request
from pyramid.response import Response

from tweeter.api.errors import Failure, allow_origins
from tweeter.api.parameters import declared, given
from tweeter.api.tokens import Access
from tweeter.errors import Missing, NotYours, Refused
from tweeter.streaming import STREAMS
from tweeter.web.ratelimits import count_request, counted_for
from tweeter.web.security import IDENTITY, LAST_WRITE


class Endpoint(NamedTuple):
    """A method of a path.

    `scope` names what a token must allow. ANY accepts every token; without a scope no token is read. `anonymous`
    endpoints also answer without a token. Those without a `user` also accept the token of an application that acts for
    itself. Those for `streams` exist only if the site has streams; there a browser sends its token in another way,
    because it can't set headers. `media` is the type of the answer.
    """

    method: str
    path: str
    function: Callable[..., Any]
    parameters: type[msgspec.Struct]
    returns: Any
    scope: str
    anonymous: bool
    user: bool
    limit: str
    streams: bool
    media: str


ENDPOINTS: list[Endpoint] = []
ANY = "any"
NO_STREAMS = "This site does not stream: it has no Pushpin. Ask the timelines again from time to time."


def endpoint(
    method: str,
    path: str,
    *,
    returns: Any,
    scope: str = "",
    anonymous: bool = False,
    user: bool = True,
    limit: str = "",
    streams: bool = False,
    media: str = "application/json",
) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Declares the decorated function as an endpoint."""

    def declare(function: Callable[..., Any]) -> Callable[..., Any]:
        parameters = declared(function)
        made = Endpoint(method, path, function, parameters, returns, scope, anonymous, user, limit, streams, media)
        ENDPOINTS.append(made)
        return function

    return declare


class Call:
    """The context of a request: checks the token before anything is counted or run, and adds headers to the answer.

    The user is the token's; the cookies of pages do not count.
    """

    def __init__(self, request: Request) -> None:
        request.__dict__[IDENTITY] = None
        self.access: Access | None = None
        self.token = ""
        method = "GET" if request.method == "HEAD" else request.method
        self.endpoint: Endpoint | None = request.registry["endpoints"].get((request.matched_route.name, method))
        request.add_response_callback(self.add_headers)
        if self.endpoint is not None and self.endpoint.streams and request.registry[STREAMS] is None:
            raise Failure(404, NO_STREAMS)
        if self.endpoint is not None and self.endpoint.scope:
            self._authorize(request, self.endpoint)

    def _authorize(self, request: Request, each: Endpoint) -> None:
        self.token = token_of(request, each.streams)
        if not self.token:
            if each.anonymous:
                return
            raise Failure(401, "The access token is invalid")
        self.access = request.registry["tokens"].access(self.token)
        if self.access is None:
            raise Failure(401, "The access token is invalid")
        if each.scope != ANY and not self.access.allows(each.scope):
            raise Failure(403, "This action is outside the authorized scopes")
        if self.access.user is None and each.user and not each.anonymous:
            raise Failure(422, "This method requires an authenticated user")
        request.__dict__ |= {IDENTITY: self.access.user, LAST_WRITE: self.access.written}

    def add_headers(self, request: Request, response: Response) -> None:
        allow_origins(response)
        if self.endpoint is None or not self.endpoint.limit:
            return
        limit = self.endpoint.limit
        if found := request.registry["rate_limits"].left(limit, *counted_for(request, limit)):
            amount, remaining, reset = found
            response.headers["X-RateLimit-Limit"] = str(amount)
            response.headers["X-RateLimit-Remaining"] = str(remaining)
            response.headers["X-RateLimit-Reset"] = iso(datetime.fromtimestamp(reset, UTC))


def token_of(request: Request, streams: bool = False) -> str:
    """The access token of a request; empty if there is none."""
    kind, _, token = request.headers.get("Authorization", "").partition(" ")
    if kind.lower() == "bearer" and token.strip():
        return token.strip()
    if not streams:
        return ""
    return request.GET.get("access_token", "") or request.headers.get("Sec-WebSocket-Protocol", "").strip()


def iso(date: datetime) -> str:
    """A time as clients parse it: in UTC, with milliseconds and Z."""
    return date.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def run(context: Call, request: Request) -> Response:
    """The view of all endpoints: configuring one for each would double the start."""
    each = context.endpoint
    if each is None:
        if methods := [method for name, method in request.registry["endpoints"] if name == request.matched_route.name]:
            raise HTTPMethodNotAllowed(headers={"Allow": ", ".join(sorted(methods))})
        raise Failure(404, "This site does not have this endpoint")
    if each.limit:
        count_request(request, each.limit)
    try:
        result = each.function(request, **given(request, each.parameters))
    except (Missing, NotYours) as error:
        raise Failure(404, "Record not found", str(error)) from error
    except Refused as error:
        raise Failure(422, f"Validation failed: {error}") from error
    if isinstance(result, Response):
        return result
    response = request.response
    response.content_type, response.charset = "application/json", "UTF-8"
    response.body = msgspec.json.encode(result)
    return response


def preflight(request: Request) -> Response:
    """The answer to a browser that asks whether a page of another origin may send a request."""
    return Response(content_type="text/plain", charset="UTF-8")


def includeme(config: Configurator) -> None:
    """Adds a route for each path, with and without a trailing slash, and one for all other paths of the API."""
    known = config.registry["endpoints"] = {}
    for each in ENDPOINTS:
        known[f"api {each.path}", each.method] = each
    for path in dict.fromkeys(each.path for each in ENDPOINTS):
        pattern = path.replace("{id}", "{id:[0-9]+}") + "{slash:/?}"
        config.add_route(f"api {path}", pattern, factory=Call, use_global_views=True)
    config.add_route("api unknown", "/api/*rest", factory=Call, use_global_views=True)
    config.add_view(run, context=Call, require_csrf=False)
    config.add_view(preflight, context=Call, request_method="OPTIONS", require_csrf=False)
