"""Request input: form fields, numbers in URLs, and forms shown again with their errors."""

from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlencode

from pyramid.httpexceptions import HTTPBadRequest, HTTPSeeOther
from pyramid.request import Request
from pyramid.response import Response

from tweeter.errors import Refused
from tweeter.ids import MAX_ID
from tweeter.values import Cursor
from tweeter.web.routes import at
from tweeter.web.security import local_url

PAGE = 20
GREATEST_PAGE = 100


@dataclass
class Form:
    """Submitted values and error messages by field; "" is the form as a whole."""

    values: dict[str, str] = field(default_factory=dict)
    errors: dict[str, str] = field(default_factory=dict)

    def __getitem__(self, name: str) -> str:
        return self.values.get(name, "")


def refused(request: Request, error: Refused, values: dict[str, str], **fields: str) -> Form:
    """The form to show again. Rolls the request back. `fields` renames fields of the action."""
    request.tm.doom()
    request.dbsession.close()  # the page may need a connection, and other writers should not wait
    request.response.status_int = 400
    return Form(values, {fields.get(error.field, error.field): str(error)})


def posted(request: Request, name: str) -> str:
    """A form field; "" if it is missing or a file."""
    value = request.POST.get(name, "")
    return value if isinstance(value, str) else ""


def onward(request: Request, url: str, default: str = "/") -> str:
    """The path to which a form or a link asks to redirect if it is one of the site; else that of `default`."""
    return local_url(url, at(request)) or at(request, default)


def page_before(request: Request) -> str:
    """The path of the page of this site that the browser came from; "" if it is unknown, or only shows a form again."""
    _, _, address = (request.referer or "").partition("://")
    host, slash, path = address.partition("/")
    if host != request.host_url.partition("://")[2] or slash + path == at(request, "/tweets"):
        return ""
    return local_url(slash + path, at(request))


def see(request: Request, path: str, **options: Any) -> HTTPSeeOther:
    """Redirects to a path of the site after a form (303)."""
    return HTTPSeeOther(at(request, path), **options)


def done(request: Request, message: str, url: str) -> Response:
    """The response to a form that changed something: a path whose page shows the message. A script gets it as JSON."""
    if wants_json(request):
        return Response(json_body={"message": message}, charset="UTF-8")
    request.session.flash(message)
    return HTTPSeeOther(url)


def wants_json(request: Request) -> bool:
    """Whether a script of the page sent the form. It shows what changes itself."""
    return bool(request.headers.get("Accept") == "application/json")


def number(text: str, what: str, least: int = 1, most: int = MAX_ID + 1) -> int:
    """Parses a whole number in ASCII digits. Raises HTTPBadRequest."""
    if not (text.isascii() and text.isdecimal()) or len(text) > 16 or not least <= int(text) <= most:
        raise HTTPBadRequest(f"“{what}” must be a whole number from {least:,} to {most:,}.")
    return int(text)


def parameter(request: Request, name: str, default: int = 0, least: int = 1) -> int:
    """A number from the query string."""
    text = request.GET.get(name)
    return default if text is None else number(text, name, least)


def page_limit(request: Request) -> int:
    """The page size: `?limit=`, up to 100; 20 by default."""
    text = request.GET.get("limit")
    if text is None:
        return PAGE
    if text.isascii() and text.isdecimal() and len(text) > 16:
        return GREATEST_PAGE
    return min(number(text, "limit"), GREATEST_PAGE)


def page_cursor(request: Request) -> Cursor:
    return Cursor(before=parameter(request, "before", MAX_ID + 1), limit=page_limit(request))


def page_url(request: Request, path: str = "", **parameters: int | str | None) -> str | None:
    """The URL of this page, or of a path of the site, with the cursor of another page.

    None if a parameter is None, because there is no such page.
    """
    if None in parameters.values():
        return None
    if "limit" in request.GET:
        parameters["limit"] = page_limit(request)
    return f"{at(request, path) if path else request.path}?{urlencode(parameters)}"
