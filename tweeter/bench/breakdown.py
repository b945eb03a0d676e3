"""How the time of a request is divided among the parts of the site: a sampling profiler.

Every half millisecond a signal handler records the current part: that of the innermost function whose module belongs
to one. Requests pass through the whole application in one thread, without a web server and its sockets.
"""

import signal
from collections import Counter
from types import FrameType
from typing import Any

from pyramid.request import Request
from pyramid.router import Router

from tweeter.bench.children import ChildError
from tweeter.bench.machinery import caught_up
from tweeter.bench.web import site_app

EVERY = 0.0005  # seconds

# Modules, or packages with everything in them; the first match counts.
PARTS = {
    "store: ids and tweets": ("tweeter.backends", "redis", "pymemcache"),
    "timelines and hydration": ("tweeter.timelines", "tweeter.delivery"),
    "SQL: the current user": ("sqlalchemy", "psycopg", "psycopg_binary", "tweeter.db", "tweeter.models"),
    "transaction and retry": ("pyramid_tm", "pyramid_retry", "transaction", "zope.sqlalchemy"),
    "ticket, session, CSRF token": (
        "tweeter.web.security", "pyramid.session", "pyramid.authentication", "pyramid.csrf", "webob.cookies",
    ),
    "templates": ("jinja2", "pyramid_jinja2", "markupsafe", "tweeter.web.rendering", "tweeter.web.views.layout"),
    "log and metrics": ("logging", "structlog", "prometheus_client", "tweeter.logs", "tweeter.metrics"),
    "views and tweens": ("tweeter",),
    "Pyramid and WebOb": ("pyramid", "webob", "zope", "translationstring"),
}  # fmt: skip
OTHER = "other"


def breakdown(settings: dict[str, Any], path: str, cookie: str, requests: int) -> dict[str, float]:
    """The share of each part in the time of a request. Must run in the main thread of its process."""
    app = site_app(settings)
    caught_up(app.registry)
    for _ in range(max(2, requests // 10)):
        _ask(app, path, cookie)
    samples: Counter[str] = Counter()

    def note(signum: int, frame: FrameType | None) -> None:
        samples[_part_of(frame)] += 1

    before = signal.signal(signal.SIGALRM, note)
    signal.setitimer(signal.ITIMER_REAL, EVERY, EVERY)
    try:
        for _ in range(requests):
            _ask(app, path, cookie)
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
    return {part: count / samples.total() for part, count in samples.most_common()}


def _ask(app: Router, path: str, cookie: str) -> None:
    response = Request.blank(path, headers={"Cookie": cookie}).get_response(app)
    if response.status_int != 200:
        raise ChildError(f"{path} responds {response.status}")


_known: dict[str, str] = {}


def _part_of(frame: FrameType | None) -> str:
    while frame is not None:
        name = frame.f_globals.get("__name__") or ""
        if frame.f_code.co_filename.endswith(".jinja2"):
            name = "jinja2"
        if name not in _known:
            found = (part for part, names in PARTS.items() for n in names if f"{name}.".startswith(f"{n}."))
            _known[name] = next(found, "")
        if _known[name]:
            return _known[name]
        frame = frame.f_back
    return OTHER
