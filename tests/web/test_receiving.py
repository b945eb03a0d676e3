"""Requests with undecodable bytes: 400 or a page, never a server error."""

from collections.abc import Iterator
from contextlib import ExitStack
from io import BytesIO
from pathlib import Path

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from pyramid.router import Router

from tests.conftest import running, settings_of
from tests.support.people import Browser, Person

FORM = "application/x-www-form-urlencoded"
PATHS = ("/", "/login", "/search", "/@Ada", "/tweets", "/static/style.css", "/newer", "/_debug_toolbar/")


@pytest.fixture(scope="module")
def apps(sqlite_template: Path) -> Iterator[dict[str, Router]]:
    """The site, the site with the debug toolbar around it, and the site with all parts."""
    own = settings_of(f"sqlite:///{sqlite_template}") | {"tweeter.limits.search": "none"}
    with ExitStack() as stack:
        plain = stack.enter_context(running(own))
        toolbar = stack.enter_context(running(own | {"pyramid.includes": "pyramid_debugtoolbar"}))
        parts = {"tweeter.lab": True, "tweeter.pushpin": "tcp://127.0.0.1:1", "tweeter.pushpin.key": "k" * 32}
        yield {"plain": plain, "toolbar": toolbar, "all parts": stack.enter_context(running(own | parts))}


def status(app: Router, environ: dict[str, object]) -> int:
    """As a WSGI server would call it."""
    base: dict[str, object] = {
        "REQUEST_METHOD": "GET", "SCRIPT_NAME": "", "PATH_INFO": "/", "QUERY_STRING": "", "SERVER_NAME": "localhost",
        "SERVER_PORT": "80", "SERVER_PROTOCOL": "HTTP/1.1", "HTTP_HOST": "localhost", "REMOTE_ADDR": "127.0.0.1",
        "wsgi.url_scheme": "http", "wsgi.input": BytesIO(), "wsgi.version": (1, 0), "wsgi.errors": BytesIO(),
        "wsgi.multithread": True, "wsgi.multiprocess": False, "wsgi.run_once": False,
    }  # fmt: skip
    statuses: list[str] = []
    app_iter = app(base | environ, lambda status, headers, exc_info=None: statuses.append(status))
    try:
        b"".join(app_iter)
    finally:
        getattr(app_iter, "close", bool)()
    return int(statuses[0].split()[0])


@pytest.mark.parametrize("name", ["plain", "toolbar", "all parts"])
@pytest.mark.parametrize(
    ("environ", "expected"),
    [
        ({"PATH_INFO": "/\xff"}, 400),
        ({"PATH_INFO": "/@\xff"}, 400),
        ({"PATH_INFO": "/static/\xff"}, 400),
        ({"PATH_INFO": "/\xed\xa0\x80"}, 400),
        ({"PATH_INFO": "/\xc0\xaf"}, 400),
        ({"QUERY_STRING": "q=%ff"}, 400),
        ({"QUERY_STRING": "%ff=q"}, 400),
        ({"QUERY_STRING": "q=\xff"}, 400),
        ({"QUERY_STRING": "q=%ED%A0%80"}, 400),
        ({"HTTP_HOST": "\xff"}, 400),
        ({"HTTP_HOST": "a b"}, 400),
        ({"HTTP_HOST": "a:b:c"}, 400),
        ({"HTTP_HOST": ""}, 200),
        # Invalid cookies are ignored; otherwise a planted cookie would lock the browser out.
        ({"HTTP_COOKIE": "ticket=\xff"}, 200),
        ({"HTTP_COOKIE": 'ticket="\\303"'}, 200),
        ({"HTTP_COOKIE": 'a=b; "\\303"="\\303"; session=\xff; browser=\xff.\xff'}, 200),
        ({"HTTP_COOKIE": "pdtb_active=%ff"}, 200),
        ({"PATH_INFO": "/static/style.css", "HTTP_IF_MODIFIED_SINCE": "Sat, 01 Nov 99999 00:00:00 GMT"}, 200),
        ({"PATH_INFO": "/static/style.css", "HTTP_IF_RANGE": "Sat, 01 Nov 99999 00:00:00 GMT"}, 200),
    ],
)
def test_unusual_bytes_in_an_address(
    apps: dict[str, Router], name: str, environ: dict[str, str], expected: int
) -> None:
    assert status(apps[name], dict(environ)) == expected


@pytest.mark.parametrize("name", ["plain", "toolbar", "all parts"])
@pytest.mark.parametrize("body", [b"\xff", b"username=%ff", b"%ff=x", b"username=%ED%A0%80", b"csrf_token=\xff"])
@pytest.mark.parametrize(
    "content_type", [FORM, f"{FORM}; charset=utf-16", f"{FORM}; charset=nope", "multipart/form-data", "\xff", ""]
)
def test_invalid_bytes_in_forms(apps: dict[str, Router], name: str, body: bytes, content_type: str) -> None:
    for path in ("/login", "/tweets"):
        environ = {"REQUEST_METHOD": "POST", "PATH_INFO": path, "CONTENT_TYPE": content_type}
        assert status(apps[name], environ | {"wsgi.input": BytesIO(body), "CONTENT_LENGTH": str(len(body))}) == 400


def test_frames_of_a_websocket_may_have_any_bytes(apps: dict[str, Router]) -> None:
    for frame in (b"CLOSE 2\r\n\x03\xe9\r\n", b"TEXT 3\r\n%ff\r\n"):
        environ: dict[str, object] = {
            "REQUEST_METHOD": "POST", "PATH_INFO": "/api/v1/streaming", "CONTENT_LENGTH": str(len(frame)),
            "CONTENT_TYPE": "application/websocket-events", "wsgi.input": BytesIO(frame),
        }  # fmt: skip
        assert status(apps["all parts"], environ) == 404  # read, and refused: it did not come through Pushpin


def test_valid_cookies_next_to_an_invalid_one_are_read(sqlite_url: str) -> None:
    """A signed-in user stays signed in."""
    with running(settings_of(sqlite_url)) as app:
        ada = Person(Browser(app), "Ada")
        cookies = "; ".join(f"{name}={value}" for name, value in ada.browser.cookies.items())
        for header in (f'{cookies}; x="\\303"', f'x="\\303"; {cookies}', f"x=\xff;{cookies}"):
            assert status(app, {"PATH_INFO": "/settings", "HTTP_COOKIE": header}) == 200
        assert status(app, {"PATH_INFO": "/settings", "HTTP_COOKIE": 'x="\\303"'}) == 303


latin = st.text(st.characters(max_codepoint=255, exclude_characters="\r\n\x00"), max_size=30)


@pytest.mark.parametrize("name", ["plain", "toolbar", "all parts"])
@settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    path=st.sampled_from(PATHS), more=latin, query=latin, host=latin | st.just("localhost"), cookie=latin, date=latin,
    method=st.sampled_from(["GET", "POST", "HEAD", "PUT"]), body=st.binary(max_size=60),
    content_type=st.sampled_from([FORM, "multipart/form-data; boundary=x", f"{FORM}; charset=latin-1"]) | latin,
)  # fmt: skip
@example("/", "", "q=%ff", "localhost", 'x="\\377"', "Sat, 01 Nov 99999 00:00:00 GMT", "POST", b"--x\r\n\xff", "")
def test_any_request_bytes_cause_no_server_error(
    apps: dict[str, Router], name: str, path: str, more: str, query: str, host: str, cookie: str, date: str,
    method: str, body: bytes, content_type: str,
) -> None:  # fmt: skip
    environ: dict[str, object] = {
        "REQUEST_METHOD": method, "PATH_INFO": path + more, "QUERY_STRING": query, "HTTP_HOST": host,
        "HTTP_COOKIE": cookie, "HTTP_IF_MODIFIED_SINCE": date, "HTTP_IF_RANGE": date, "HTTP_REFERER": query,
        "HTTP_ORIGIN": more, "HTTP_X_FORWARDED_FOR": more, "HTTP_ACCEPT": cookie, "HTTP_RANGE": date,
        "HTTP_IF_NONE_MATCH": cookie, "CONTENT_TYPE": content_type, "wsgi.input": BytesIO(body),
        "CONTENT_LENGTH": str(len(body)),
    }  # fmt: skip
    for scheme in ("http", "https"):
        environ["wsgi.input"] = BytesIO(body)
        assert status(apps[name], environ | {"wsgi.url_scheme": scheme}) < 500
