"""Errors of the API: JSON with the documented status, and the headers that browsers need."""

from typing import Any

import msgspec
from pyramid.config import Configurator
from pyramid.request import Request
from pyramid.response import Response

PATHS = ("/api/", "/oauth/token", "/oauth/revoke", "/nodeinfo/", "/.well-known/")
ORIGIN = "Access-Control-Allow-Origin"
CORS = {
    ORIGIN: "*",
    "Access-Control-Allow-Methods": "GET, POST, PUT, PATCH, DELETE, OPTIONS",
    "Access-Control-Allow-Headers": "*, Authorization, Content-Type, Idempotency-Key",
    "Access-Control-Expose-Headers": "Link, X-RateLimit-Reset, X-RateLimit-Limit, X-RateLimit-Remaining, "
    "Mastodon-Async-Refresh, Retry-After",
    "Access-Control-Max-Age": "86400",
}
MESSAGES = {
    404: "Record not found",
    405: "This endpoint does not support the request's method",
    429: "Too many requests",
    500: "The site failed to answer. The error is logged; please try again later.",
    503: "The site is temporarily unavailable. Please try again.",
}


class Failure(Exception):
    """Ends a request with this status and error."""

    def __init__(self, status: int, error: str, description: str = "") -> None:
        super().__init__(error)
        self.status = status
        self.body = {"error": error} | ({"error_description": description} if description else {})


def json_response(value: Any, status: int = 200) -> Response:
    return Response(msgspec.json.encode(value), status=status, content_type="application/json", charset="UTF-8")


def failed(error: Failure, request: Request) -> Response:
    response = json_response(error.body, error.status)
    allow_origins(response)
    return response


def allow_origins(response: Response) -> None:
    """Adds the headers for browsers, unless the response has them."""
    if not any(name == ORIGIN for name, _ in response.headerlist):  # WebOb's own mapping scans the list for each name
        response.headerlist += CORS.items()


def error_of_api(request: Request, status: int, message: str, retry_after: int) -> Response | None:
    """The answer in place of an error page; None if the request is not for the API."""
    if not request.environ.get("PATH_INFO", "").startswith(PATHS):
        return None
    response = failed(Failure(status, message or MESSAGES.get(status, "The request is invalid")), request)
    if retry_after:
        response.headers["Retry-After"] = str(retry_after)
    return response


def includeme(config: Configurator) -> None:
    config.registry["error_of_api"] = error_of_api
    config.add_exception_view(failed, context=Failure)
