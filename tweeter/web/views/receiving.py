"""Checks of a raw request, before anything else: its encoding and its length.

Unreadable input is removed. So everything around the site (the debug toolbar, the log, retries) can read the request,
and the site rejects it with an error page.
"""

from collections.abc import Callable
from io import BytesIO
from itertools import chain
from typing import Any
from urllib.parse import unquote_to_bytes

from pyramid.config import Configurator
from pyramid.httpexceptions import HTTPBadRequest, HTTPRequestEntityTooLarge
from pyramid.registry import Registry
from pyramid.request import Request
from pyramid.response import Response
from pyramid.tweens import EXCVIEW
from webob.cookies import RequestCookies
from webob.datetime_utils import parse_date
from webob.request import BaseRequest

from tweeter.streaming import WEBSOCKET_EVENTS
from tweeter.web.clients import is_allowed, parse_hosts, split_host
from tweeter.web.cookies import parse_once

Handler = Callable[[Request], Response]
Environ = dict[str, Any]

REFUSAL = "tweeter.refusal"
DATES = ("HTTP_IF_MODIFIED_SINCE", "HTTP_IF_UNMODIFIED_SINCE", "HTTP_IF_RANGE")


def receive(request: Request) -> None:
    """Makes a request readable. It is pyramid_retry's activate hook; None means the default number of attempts.

    Rejected parts are not read; check_tween raises the error later, where error pages work.
    """
    environ = request.environ
    environ[REFUSAL] = limit_body(environ, request.registry.settings["tweeter.max_body"])
    for check in (_check_path, _check_host, _check_query, _check_form):
        try:
            check(request)
        except Exception:  # invalid UTF-8, an invalid boundary, an unknown encoding
            environ[REFUSAL] = environ[REFUSAL] or unreadable
    _drop_bad_headers(environ)


def unreadable() -> HTTPBadRequest:
    return HTTPBadRequest("The address or the form contains bytes that are not valid text.")


def limit_body(environ: Environ, limit: int) -> type[Exception] | None:
    """Reads the body, or returns why it is rejected and leaves it empty."""
    declared = environ.get("CONTENT_LENGTH") or ""
    refusal: type[Exception] | None = None
    body = b""
    if declared and not (declared.isascii() and declared.isdecimal()):
        refusal = HTTPBadRequest
    elif declared and (len(declared) > 15 or int(declared) > limit):
        refusal = HTTPRequestEntityTooLarge
    elif declared or environ.get("wsgi.input_terminated"):
        body = environ["wsgi.input"].read(int(declared) if declared else limit + 1)
        if len(body) > limit:
            refusal = HTTPRequestEntityTooLarge
        elif declared and len(body) < int(declared):
            refusal = HTTPBadRequest  # the browser disconnected: half a form is invalid
    _set_body(environ, b"" if refusal else body)
    return refusal


def _set_body(environ: Environ, body: bytes) -> None:
    environ["wsgi.input"] = BytesIO(body)
    environ["CONTENT_LENGTH"] = str(len(body))
    environ["webob.is_body_seekable"] = True


def _check_path(request: Request) -> None:
    for key in ("PATH_INFO", "SCRIPT_NAME"):
        if not (path := request.environ.get(key, "")).isascii():
            data = path.encode("latin-1")
            request.environ[key] = data.decode("utf-8", "replace").encode().decode("latin-1")
            data.decode()


def _check_host(request: Request) -> None:
    if not split_host(request.environ.get("HTTP_HOST") or "localhost"):
        request.environ["HTTP_HOST"] = "invalid"
        raise ValueError


def _check_query(request: Request) -> None:
    query = request.environ.get("QUERY_STRING", "")
    if "%" in query or not query.isascii():
        request.environ["QUERY_STRING"] = ""
        query.encode("ascii")
        unquote_to_bytes(query).decode()
        request.environ["QUERY_STRING"] = query


def _check_form(request: Request) -> None:
    """WebOb would replace unreadable characters of a form, and the view would store the replacements."""
    environ = request.environ
    if environ["CONTENT_LENGTH"] == "0" and not environ.get("CONTENT_TYPE"):
        return
    probe = BaseRequest(environ)  # the charset of the form is cached on this object
    if probe.content_type == WEBSOCKET_EVENTS:
        return  # any bytes: the end of a WebSocket has a binary code
    body = probe.body
    try:
        unquoted = probe.content_type.startswith(("multipart/", "application/json"))
        (body if unquoted else unquote_to_bytes(body)).decode()
        for text in chain.from_iterable(probe.POST.items()):
            if isinstance(text, str):
                text.encode()  # lone surrogates fail here
    except Exception:
        environ["CONTENT_TYPE"] = ""
        _set_body(environ, b"")
        raise


def _drop_bad_headers(environ: Environ) -> None:
    """Removes undecodable cookies and invalid dates: the page works without them."""
    cookies = environ.get("HTTP_COOKIE", "")
    if "\\" in cookies or not cookies.isascii():
        environ["HTTP_COOKIE"] = ";".join(part for part in cookies.split(";") if _is_cookie(part))
    parse_once(environ)
    for key in DATES:
        if key in environ:
            try:
                parse_date(environ[key])
            except (ValueError, OverflowError):
                del environ[key]


def _is_cookie(part: str) -> bool:
    try:
        list(RequestCookies({"HTTP_COOKIE": part}).items())
    except UnicodeError:
        return False
    return True


def check_tween(handler: Handler, registry: Registry) -> Handler:
    """Rejects unreadable requests and requests for other hosts."""
    hosts = parse_hosts(registry.settings["tweeter.allowed_hosts"])

    def check(request: Request) -> Response:
        if refusal := request.environ.get(REFUSAL):
            raise refusal()
        if not is_allowed(hosts, split_host(request.host)):
            raise HTTPBadRequest("This site does not have that host name.")
        return handler(request)

    return check


def includeme(config: Configurator) -> None:
    config.get_settings()["retry.activate_hook"] = receive
    config.add_tween("tweeter.web.views.receiving.check_tween", under=EXCVIEW)
