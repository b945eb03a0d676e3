"""Compressed pages, and static files that browsers keep."""

import gzip
import re

import brotli
import pytest
from webob import Request

from tests.conftest import running, settings_of
from tests.support.people import Browser, Person
from tweeter.errors import SettingError
from tweeter.web.assets import FOREVER, Assets
from tweeter.web.compression import choose, parse_codings
from tweeter.web.tokens import mask, unmask

DECODE = {None: bytes, "gzip": gzip.decompress, "br": brotli.decompress}
VARYING = re.compile(rb'<span class="costs">.*?</span>|name="csrf_token" value="\w+"')
YEAR = "public, max-age=31536000, immutable"


@pytest.fixture
def app(sqlite_url):
    with running(settings_of(sqlite_url)) as app:
        yield app


def get(app, url, codings="", cookies="", **headers):
    sent = {"Accept-Encoding": codings, "Cookie": cookies} | headers
    request = Request.blank(url, headers={name: value for name, value in sent.items() if value})
    return request.get_response(app)


def content(response):
    return VARYING.sub(b"", DECODE[response.content_encoding](response.body))


@pytest.mark.parametrize(
    ("header", "chosen"),
    [
        ("gzip, deflate, br, zstd", "gzip"),
        ("br", "br"),
        ("gzip;q=0.5, br", "br"),
        ("gzip;q=0, *", "br"),
        ("gzip;q=0", ""),
        ("deflate, zstd", ""),
        ("identity", ""),
        ("*", "gzip"),
        ("", ""),
        ("gz ip,,;", ""),
        ("gzip;q=x", ""),
    ],
)
def test_coding_is_one_that_the_client_accepts(header, chosen):
    assert choose(header, ("gzip", "br")) == chosen


def test_pages_are_the_same_in_every_coding(app):
    ada = Person(Browser(app), "Ada")
    for number in range(20):
        ada.post(f"number {number}")
    ada.get("/")  # takes the messages
    cookies = "; ".join(f"{name}={value}" for name, value in ada.browser.cookies.items())
    for url in ("/", "/public", "/@Ada", "/settings", "/search?q=x", "/nothing", "/avatars/Ada.svg"):
        for sent in ("", cookies):
            plain = get(app, url, "", sent)
            assert plain.content_encoding is None
            if plain.status_int == 303:
                continue  # without a body
            assert "Accept-Encoding" in plain.vary
            for coding in ("gzip", "br"):
                page = get(app, url, coding, sent)
                assert page.status == plain.status
                assert page.content_encoding == coding
                assert page.content_length == len(page.body) <= len(plain.body)
                assert content(page) == content(plain)
    assert len(get(app, "/public", "gzip").body) < 5 * 1024
    assert get(app, "/healthz", "gzip").content_encoding is None  # too short
    assert get(app, "/settings/export.json", "gzip", cookies).content_encoding is None


def test_compression_is_a_setting(sqlite_url):
    with running(settings_of(sqlite_url) | {"tweeter.compression": "none"}) as app:
        assert get(app, "/login", "gzip").content_encoding is None
        assert get(app, app.registry["assets"].path("style.css"), "gzip").content_encoding == "gzip"
    with running(settings_of(sqlite_url) | {"tweeter.compression": "br"}) as app:
        assert get(app, "/login", "gzip").content_encoding is None
        assert get(app, "/login", "gzip, br").content_encoding == "br"
    with pytest.raises(SettingError, match=r"tweeter\.compression must be none, or list gzip and br, not 'zip'"):
        parse_codings("gzip zip")


def test_token_looks_different_on_each_page(app):
    """Otherwise the length of compressed pages could reveal it."""
    ada = Person(Browser(app), "Ada")
    ada.get("/")
    tokens = [ada.token(url) for url in ("/", "/", "/settings", "/settings", "/public")]
    assert len(set(tokens)) == len(tokens)
    assert len({unmask(token) for token in tokens}) == 1
    for token in tokens:
        ada.browser.post("/tweets", {"csrf_token": token, "message": "hello"}, status=303)
    secret = unmask(tokens[0])
    for wrong in (secret, mask("0" * len(secret)), tokens[0][:-2], tokens[0] + "00", " ", "ä"):
        ada.browser.post("/tweets", {"csrf_token": wrong, "message": "hello"}, status=400)


def test_static_files_are_kept_forever_under_their_fingerprint(app):
    page = get(app, "/").text
    urls = set(re.findall(r'(?:href|src)="(/static/[^"]+)"', page))
    assert len(urls) == 3
    for url in urls:
        plain = get(app, url)
        assert plain.headers["Cache-Control"] == YEAR == FOREVER
        etags = set()
        for coding in ("", "gzip", "br"):
            file = get(app, url, coding)
            assert content(file) == plain.body
            assert file.content_encoding == (coding or None)
            etags.add(file.etag)
            assert get(app, url, coding, **{"If-None-Match": file.headers["ETag"]}).status_int == 304
        assert len(etags) == 3
        assert get(app, url, Range="bytes=0-9").body == plain.body[:10]
        for other in (re.sub(r"\.\w{12}\.", ".", url), re.sub(r"\.\w{12}\.", ".0123456789ab.", url)):
            current = get(app, other)
            assert current.body == plain.body
            assert current.headers["Cache-Control"] == "public, no-cache"
    for url in ("/static/", "/static/x.css", "/static/style", "/static/.css", "/static/..", "/static/a/b.css"):
        assert get(app, url).status_int == 404
    assert Request.blank("/static/style.css", method="POST").get_response(app).status_int == 405


def test_files_have_no_headers_of_pages(app):
    for url in ("/static/style.css", "/avatars/Ada.svg", "/favicon.ico", "/robots.txt"):
        file = get(app, url)
        assert file.headers["X-Content-Type-Options"] == "nosniff"
        assert not {"Content-Security-Policy", "Server-Timing", "Set-Cookie"} & set(file.headers)
    assert get(app, "/avatars/Ada.svg").headers["Cache-Control"] == YEAR
    assert get(app, "/favicon.ico").body.startswith(b"\0\0\1\0")
    assert b"Disallow: /settings\n" in get(app, "/robots.txt").body


def test_changed_files_are_seen_at_once_in_development(tmp_path):
    file = tmp_path / "style.css"
    file.write_text("a {}")
    assets = Assets(tmp_path, reload=True)
    for text in ("b {}", "c {}"):
        file.write_text(text)
        response = assets.serve(Request.blank("/"), assets.path("style.css").rpartition("/")[2])
        assert response.text == text
        assert response.headers["Cache-Control"] == "public, no-cache"


def test_scripts_import_each_other_by_urls_that_change_with_what_they_import(app, tmp_path):
    [script] = re.findall(r'src="(/static/[^"]+[.]js)"', get(app, "/").text)
    imports = re.findall(r'import "[.]/([^"]+)"', get(app, script).text)
    assert "acts" in {name.partition(".")[0] for name in imports}
    for name in imports:
        assert get(app, f"/static/{name}").headers["Cache-Control"] == FOREVER
    (tmp_path / "a.js").write_text('import { b } from "./b.js";')
    (tmp_path / "b.js").write_text("export { c as b } from './c.js';")
    (tmp_path / "d.js").write_text('const text = "not c.js";')
    paths = []
    for number in (1, 2):
        (tmp_path / "c.js").write_text(f"export const c = {number};")
        assets = Assets(tmp_path)
        paths.append({name: assets.path(name) for name in ("a.js", "b.js", "c.js", "d.js")})
        assert b"c.js" not in dict(assets.files())[assets.path("b.js").rpartition("/")[2]]
    assert {name for name, path in paths[0].items() if path != paths[1][name]} == {"a.js", "b.js", "c.js"}
