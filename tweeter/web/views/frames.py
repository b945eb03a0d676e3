"""Timeline pages, assembled from cached HTML: a frame per reader and an article per tweet.

Rendering the templates of a page takes 0.4 ms, joining cached parts 0.03 ms. A frame is a reader's page without the
parts that differ between pages: the tweets, two URLs, the CSRF token and the line of costs. Its cache key contains
every other value that the templates show, so a new name or a new follower results in another frame. Pages with more
content (messages, a draft, an empty timeline) are rendered in full. So are all pages if templates may change.
"""

import re
import secrets
from collections import OrderedDict
from threading import Lock
from typing import Any

from markupsafe import Markup, escape
from pyramid.csrf import get_csrf_token
from pyramid.renderers import render
from pyramid.request import Request
from pyramid.response import Response

from tweeter.web import rendering
from tweeter.web.routes import at
from tweeter.web.views.layout import costs

FRAMES = 2000  # about 8 KB each

Frame = tuple[str | bytes, ...]  # HTML, and the names of the holes in between

_mark = secrets.token_hex(16)  # random, so that no user can write one into their name
_holes = {name: Markup(f"{_mark}{name};") for name in ("tweets", "poll", "older", "costs", "token")}  # noqa: S704 (constants)
_split = re.compile(f"{_mark}([a-z]+);").split


class Frames:
    """An LRU cache of frames."""

    def __init__(self, size: int = FRAMES) -> None:
        self._size = size
        self._frames: OrderedDict[Any, Frame] = OrderedDict()
        self._lock = Lock()

    def __len__(self) -> int:
        return len(self._frames)

    def page(self, request: Request, template: str, values: dict[str, Any]) -> Response | dict[str, Any]:
        """The page, or the template's values if it must be rendered in full."""
        if not values["tweets"] or request.session.peek_flash():
            return values
        if (form := values.get("form")) and (form.values or form.errors):
            return values
        me, mount = request.identity, at(request)
        poll, older = values["poll"], values["older"]
        reader = me._replace(last_write=0) if me else None
        shown = (values["title"], values["first"], values["page"], poll is None, older is None)
        key = (template, reader, shown, request.matched_route.name, mount)
        with self._lock:
            if (frame := self._frames.get(key)) is not None:
                self._frames.move_to_end(key)
        if frame is None:
            frame = _frame(request, template, values)
            with self._lock:
                self._frames[key] = frame
                if len(self._frames) > self._size:
                    self._frames.popitem(last=False)
        filling = {
            "tweets": rendering.tweets_bytes(
                values["tweets"], values["marks"], me.id if me else None, mount, values["among"]
            ),
            "poll": escape(poll).encode(),
            "older": escape(older).encode(),
            "costs": escape(costs(request)).encode(),
            "token": get_csrf_token(request).encode() if me else b"",
        }
        response = request.response
        response.body = b"".join([filling[part] if isinstance(part, str) else part for part in frame])
        return response


def _frame(request: Request, template: str, values: dict[str, Any]) -> Frame:
    holes: dict[str, Any] = {
        "tweets_html": lambda tweets, marks, among: _holes["tweets"],
        "costs": lambda: _holes["costs"],
        "get_csrf_token": lambda: _holes["token"],
    }
    holes |= {name: _holes[name] for name in ("poll", "older") if values[name] is not None}
    parts = _split(render(template, values | holes, request))
    return tuple(part if place % 2 else part.encode() for place, part in enumerate(parts))
