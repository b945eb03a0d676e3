"""A site mounted below a path: every address that it writes is below that path."""

import re
from collections.abc import Iterator
from html.parser import HTMLParser
from typing import Any
from urllib.parse import urljoin, urlsplit

import pytest
import webtest
from pyramid.router import Router

from tests.conftest import HERE, running, serving, settings_of
from tests.support.people import PASSWORD, Browser, Person
from tweeter.cli import main

MOUNT = "/t"
FILLED = {"username": "wren", "password": PASSWORD, "message": "Hello @bob and #all", "q": "hello"}
# These forms end the session or close the account, so they come last; the lab's others start jobs.
LAST = ("/logout", "sessions", "close", "password")
JOBS = ("/lab/post", "/lab/dial", "/lab/store", "/lab/load", "/lab/tidy", "/lab/shared")


class Mounted:
    """Mounts the site as servers do: the beginning of the path moves to SCRIPT_NAME."""

    def __init__(self, app: Router) -> None:
        self.registry = app.registry
        self._app = app

    def __call__(self, environ: dict[str, Any], start_response: Any) -> Any:
        path = environ["PATH_INFO"]
        assert path.startswith(f"{MOUNT}/"), path
        return self._app(environ | {"SCRIPT_NAME": MOUNT, "PATH_INFO": path.removeprefix(MOUNT)}, start_response)


class Addresses(HTMLParser):
    """All attributes of a page that are paths, and the fields of its forms."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []
        self.links: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = {name: value or "" for name, value in attrs if name != "aria-keyshortcuts"}
        self.found += [value for value in given.values() if value.startswith("/")]
        if tag in ("a", "link", "img", "script") and (link := given.get("href") or given.get("src")):
            self.links.append(link)


def addresses(page: webtest.TestResponse) -> Addresses:
    """Checks those of the page, of its redirect and of its cookies."""
    found = Addresses()
    if page.content_type == "text/html" and page.status_int not in (302, 303):
        found.feed(page.text)
    location = page.headers.get("Location")
    outside = [path for path in [*found.found, *([location] if location else [])] if not path.startswith(f"{MOUNT}/")]
    assert not outside, (page.request.path_qs, outside)
    for cookie in page.headers.getall("Set-Cookie"):
        assert f"; Path={MOUNT};" in cookie, cookie
    return found


@pytest.fixture
def site(sqlite_url: str) -> Iterator[Router]:
    settings = settings_of(sqlite_url) | {"tweeter.lab": True, "tweeter.lab.backends": "sql memory"}
    with running(settings | {"tweeter.timelines": "memory"}) as app:
        yield app


def crawl(browser: webtest.TestApp, start: str, ending: bool = False) -> set[str]:
    """Follows every link and sends every form that it finds, each once; the paths that it requested."""
    waiting, sent, later = [start], set(), []
    seen = {start}

    def look_at(page: webtest.TestResponse) -> None:
        found = addresses(page)
        if page.status_int in (301, 302, 303):
            found.links.append(page.headers["Location"])
        for link in found.links:
            target = urlsplit(urljoin(page.request.url, link))
            path = target.path + (f"?{target.query}" if target.query else "")
            if target.netloc in ("localhost", "localhost:80") and path not in seen:
                seen.add(path)
                waiting.append(path)
        for form in page.forms.values() if page.content_type == "text/html" else ():
            action = " ".join(field.value or "" for field in form.fields.get("action", ()))
            key = f"{form.action} {action}{' confirmed' if 'confirm' in form.fields else ''}"
            if key in sent or form.action.removeprefix(MOUNT) in JOBS:
                continue
            sent.add(key)
            for name, value in FILLED.items():
                if name in form.fields:
                    form[name] = value
            if form.action.removeprefix(MOUNT) in LAST or action in LAST:
                later.append(form)
            else:
                look_at(form.submit(status="*"))

    while waiting or (ending and later):
        if waiting:
            look_at(browser.get(waiting.pop(), status="*"))
        else:
            look_at(later.pop(0).submit(status="*"))
    return seen


def test_no_address_leaves_the_path_of_the_site(site: Router) -> None:
    whole, mounted = Browser(site, HERE), Mounted(site)
    ada, bob = Person(whole, "Ada"), Person(Browser(site, HERE), "bob")
    for number in range(21):
        bob.post(f"number {number} for @Ada, see https://example.org/ and #tag")
    reply = ada.post("an answer", bob.ids()[0])
    ada.follow("bob")
    bob.follow("ada")
    outside = whole.get("/public").text

    reader = Browser(mounted, HERE)
    seen = crawl(reader, f"{MOUNT}/")
    assert {f"{MOUNT}/{page}" for page in ("public", "login", "signup", "@bob", "tag/tag")} <= seen
    for path in ("/nothing", "/settings", "/search?before=x", f"/tweets/{reply + 1}", "/ADA", "/@ADA?limit=3"):
        addresses(reader.get(MOUNT + path, status="*"))
    assert reader.get(f"{MOUNT}/ADA").location == f"{MOUNT}/@Ada"

    reader = Browser(mounted, HERE)
    assert reader.get(f"{MOUNT}/login?next=/lab").forms[0]["next"].value == f"{MOUNT}/"
    page = reader.get(f"{MOUNT}/login?next={MOUNT}/mentions?limit=5")
    form = page.forms[0]
    form["username"], form["password"] = "Ada", PASSWORD
    answer = form.submit()
    addresses(answer)
    assert answer.location == f"{MOUNT}/mentions?limit=5"
    seen = crawl(reader, f"{MOUNT}/lab", ending=True)
    pages = {"", "mentions", "settings", "settings/export.json", "@Ada", "@bob/followers", f"tweets/{reply}?delete"}
    assert {f"{MOUNT}/{page}" for page in pages | {"lab", "lab/steps", "lab/live"}} <= seen
    assert Browser(mounted, HERE).get(f"{MOUNT}/settings").location == f"{MOUNT}/login?next={MOUNT}/settings"
    assert f'"{MOUNT}/' not in outside
    assert f'"{MOUNT}/' not in whole.get("/public").text  # the cached tweets of the other path are others


def test_a_page_of_a_mounted_site_is_revalidated(site: Router) -> None:
    reader = Browser(Mounted(site), HERE)
    page = reader.get(f"{MOUNT}/public")
    assert reader.get(f"{MOUNT}/public", headers={"If-None-Match": page.headers["ETag"]}, status=304)


def test_the_cookie_of_the_longest_path_counts(site: Router) -> None:
    """A browser that knows the site at its old path "/" sends those cookies, too, behind the new ones."""
    old, ada = Person(Browser(site, HERE), "bob"), Person(Browser(Mounted(site), HERE))
    form = ada.get(f"{MOUNT}/signup").forms[0]
    form["username"], form["password"] = "Ada", PASSWORD
    form.submit(status=303)
    tickets = [person.browser.cookies["ticket"] for person in (ada, old)]
    browser = Browser(Mounted(site), HERE)
    page = browser.get(f"{MOUNT}/", headers={"Cookie": "; ".join(f"ticket={ticket}" for ticket in tickets)})
    assert "Your profile, @Ada" in page.text


def test_a_server_with_url_prefix(site: Router, capsys: pytest.CaptureFixture[str]) -> None:
    with serving(site, url_prefix=MOUNT) as address:
        assert main(["visit", f"{address}{MOUNT}/public"]) == 0
    figures = re.findall(r"uncompressed\s*│\s*[\d,]+\s*│\s*(\d+)", capsys.readouterr().out)
    assert figures == ["5"]  # the page, two styles, a script and the icon
