"""Tweens: cost measurement, response headers, retries."""

import logging
from collections.abc import Callable
from functools import partial
from urllib.parse import quote

from pyramid.config import Configurator
from pyramid.registry import Registry
from pyramid.request import Request
from pyramid.response import Response
from pyramid.tweens import EXCVIEW, INGRESS
from pyramid_retry import mark_error_retryable
from sqlalchemy.exc import OperationalError

from tweeter import logs, measure, metrics
from tweeter.db.drivers import SQLHangs
from tweeter.web.clients import is_from, parse_networks

Handler = Callable[[Request], Response]

CONTENT_SECURITY_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; form-action 'self'; "
    "connect-src 'self'; base-uri 'none'; frame-ancestors 'none'"
)
STRICT = [
    ("Content-Security-Policy", CONTENT_SECURITY_POLICY),
    ("X-Content-Type-Options", "nosniff"),
    ("Referrer-Policy", "same-origin"),
    ("Cross-Origin-Opener-Policy", "same-origin"),
]
LEAST = [("X-Content-Type-Options", "nosniff")]
FILES = frozenset(("static", "avatar", "favicon", "robots"))  # routes
STRICT_TRANSPORT = f"max-age={365 * 24 * 3600}"
INVISIBLE = dict.fromkeys(map(ord, "\t\r\n"))  # browsers ignore them in a URL
METHODS = frozenset(("GET", "HEAD", "POST", "OPTIONS", "PUT", "DELETE", "PATCH"))

log = logging.getLogger(__name__)


def measure_tween(handler: Handler, registry: Registry) -> Handler:
    """Measures the request and reports the costs in a Server-Timing header."""

    def measure_request(request: Request) -> Response:
        with measure.measuring() as meter:
            response = handler(request)
            try:
                account(request, response, meter)
            except Exception:  # the transaction is committed: nothing may fail now
                log.exception("a request could not be counted")
            timing = (
                f"total;dur={meter.seconds * 1000:.1f}, "
                f'sql;dur={meter.sql_seconds * 1000:.1f};desc="{count(meter.sql, "query", "queries")}", '
                f'store;dur={meter.store_seconds * 1000:.1f};desc="{trips(meter)}"'
            )
            if meter.served_by:
                timing += f', backend;desc="{meter.served_by}"'
            if not is_file(request):
                response.headerlist.append(("Server-Timing", timing))
        return response

    return measure_request


def account(request: Request, response: Response, meter: measure.Meter) -> None:
    """Records the metrics and the log line of a request."""
    route = request.matched_route.name if request.matched_route else ""
    method = request.method if request.method in METHODS else "other"
    metrics.child(metrics.REQUESTS, route, method, response.status[:3]).observe(meter.seconds)
    backend = meter.served_by.partition(",")[0]
    if backend and meter.round_trips:
        metrics.child(metrics.ROUND_TRIPS, backend).inc(meter.round_trips)
    logs.requests.log(
        logging.DEBUG if is_file(request) else logging.INFO,
        "%s %s",
        request.method,
        quote(request.environ.get("PATH_INFO", "").encode("latin-1"), safe="/@"),  # it may be undecodable
        extra={
            "route": route,
            "status": response.status_int,
            "ms": round(meter.seconds * 1000, 1),
            "sql": meter.sql,
            "round_trips": meter.round_trips,
            "answered_by": meter.served_by,
        },
    )


def is_file(request: Request) -> bool:
    """Whether the response is a file without scripts, which headers for pages would only make larger."""
    return request.matched_route is not None and request.matched_route.name in FILES


def headers_tween(handler: Handler, registry: Registry) -> Handler:
    """Adds the security headers. Pages for signed-in users are never cached."""
    production = registry.settings["tweeter.production"]

    def add_headers(request: Request) -> Response:
        response = handler(request)
        headers = response.headerlist  # WebOb's own mapping scans the list for each name
        present = {name.lower() for name, _ in headers}
        headers += [header for header in (LEAST if is_file(request) else STRICT) if header[0].lower() not in present]
        if "cache-control" not in present:
            signed_in = "ticket" in request.cookies
            headers.append(("Cache-Control", "private, no-store" if signed_in else "private, no-cache"))
        if production and request.scheme == "https":
            response.headers["Strict-Transport-Security"] = STRICT_TRANSPORT
        if "location" in present:
            make_relative(request, response)
        return response

    return add_headers


def make_relative(request: Request, response: Response) -> None:
    """Makes redirects relative: the Host header may be an attacker's, and a cache could store it.

    WebOb would prefix the host when it sends the response; replacing its method is the only way to prevent that.
    """
    path = response.location.translate(INVISIBLE).removeprefix(request.host_url)
    if path.startswith("/") and not path.startswith("//"):
        response.location = path
        response._make_location_absolute = lambda environ, location: location


def retry_tween(handler: Handler, registry: Registry) -> Handler:
    """Marks errors as retryable that zope.sqlalchemy does not: a locked SQLite database, a lost connection.

    Both occur before anything is committed.
    """

    def mark(request: Request) -> Response:
        try:
            return handler(request)
        except OperationalError as error:
            _mark(error)
            raise

    return mark


def _mark(error: OperationalError) -> None:
    if isinstance(error.orig, SQLHangs):
        return
    connecting = error.statement is None
    if connecting or error.connection_invalidated or "database is locked" in str(error.orig):
        mark_error_retryable(error)


def count(number: int, one: str, many: str = "") -> str:
    """`1 query`, `2 queries`."""
    return f"{number:,} {one if number == 1 else many or one + 's'}"


def trips(meter: measure.Meter, of: str = "") -> str:
    """The work of the store: `1 round trip`, or `2 calls` if it is in the memory of this process."""
    return count(meter.round_trips, of + ("call" if meter.calls else "round trip"))


def includeme(config: Configurator) -> None:
    # Behind a proxy, the toolbar's own check of `debugtoolbar.hosts` would see only the proxy's address.
    if allow_toolbar := getattr(config, "set_debugtoolbar_request_authorization", None):
        hosts = parse_networks(" ".join(config.get_settings()["debugtoolbar.hosts"]), "debugtoolbar.hosts")
        allow_toolbar(partial(is_from, hosts))
    # Below the debug toolbar: its time and its own pages are not measured.
    outside = ("pyramid_debugtoolbar.toolbar_tween_factory", INGRESS)
    config.add_tween(f"{__name__}.measure_tween", under=outside, over=f"{__name__}.headers_tween")
    config.add_tween(f"{__name__}.headers_tween", under=outside, over="pyramid_tm.tm_tween_factory")
    # Below the exception views, so that they know whether the request will be retried.
    config.add_tween(f"{__name__}.retry_tween", under=EXCVIEW, over="tweeter.web.views.receiving.check_tween")
