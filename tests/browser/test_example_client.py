"""The example client of the documentation, served from another origin."""

import re
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.browser.conftest import act, post, press, sign_up
from tests.conftest import ROOT
from tests.support.streams import streaming_site
from tweeter.outbox.checkpoint import FRESH

# What Chromium reports while a test has stopped the server.
STOPPED = r"^WebSocket connection to |^Failed to load resource: net::ERR_"

Client = Callable[[str, str], tuple[Page, Page]]


class Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture(scope="module")
def example() -> Iterator[str]:
    """The address of the page, as `python -m http.server` serves it."""
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=ROOT / "docs" / "examples")) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}/client.html"
        server.shutdown()
        thread.join()


@contextmanager
def clients(chromium: Browser, example: str) -> Iterator[Client]:
    """`open_client(site, name)`: a new user's page of the site, and their client, signed in. It reports no errors."""
    complaints: list[str] = []
    contexts = []

    def open_client(site: str, name: str) -> tuple[Page, Page]:
        contexts.append(context := chromium.new_context(base_url=site))
        context.set_default_timeout(10_000)
        context.on(
            "console", lambda said: complaints.append(f"{said.text} {said.location}") if said.type == "error" else None
        )
        context.on("weberror", lambda error: complaints.append(str(error.error)))
        page, client = context.new_page(), context.new_page()
        sign_up(page, name)
        client.goto(example)
        client.get_by_label("Address of the site").fill(f"{site}/")
        client.get_by_role("button", name="Sign in").click()
        press(client.get_by_role("button", name="Allow"))
        expect(client.locator("#me")).to_have_text(f"@{name}")
        return page, client

    yield open_client
    for context in contexts:
        context.close()
    assert [text for text in complaints if not re.search(STOPPED, text)] == []


def test_two_people_with_a_stream(chromium: Browser, example: str, sqlite_url: str) -> None:
    with (
        streaming_site(sqlite_url, **{"tweeter.timelines": "memory"}) as (_, pushpin),
        clients(chromium, example) as open_client,
    ):
        _, bobs = open_client(pushpin.url, "bob")
        page, adas = open_client(pushpin.url, "ada")
        page.goto("/@bob")
        act(page.get_by_role("button", name="Follow @bob"))
        for client in (adas, bobs):
            expect(client.locator("#state")).to_have_text("Live.")
        bobs.get_by_label("Message").fill("Hello <b>from</b> bob\n\nHow are you?")
        bobs.get_by_role("button", name="Post").click()
        for client in (adas, bobs):
            expect(client.locator("article")).to_contain_text(
                "Hello <b>from</b> bob\n\nHow are you?", use_inner_text=True
            )
        adas.get_by_role("button", name="Like (0)").click()
        expect(adas.get_by_role("button", name="Unlike (1)")).to_be_visible()
        bobs.wait_for_timeout(1000 * FRESH)  # answers may lag by as much
        bobs.get_by_role("button", name="Reload").click()
        expect(bobs.get_by_role("button", name="Like (1)")).to_be_visible()
        page.goto("/")
        page.get_by_role("button", name="Repost").click()
        expect(bobs.locator("article")).to_have_count(1)  # followers of ada see it, not bob
        expect(adas.locator("article").first).to_contain_text("reposted by @ada")
        pushpin.kill()
        expect(adas.locator("#state")).to_contain_text("Trying again")
        pushpin.start()
        expect(adas.locator("#state")).to_have_text("Live.", timeout=20_000)
        bobs.get_by_label("Message").fill("After the crash")
        bobs.get_by_role("button", name="Post").click()
        expect(adas.locator("article").first).to_contain_text("After the crash")
        adas.get_by_role("button", name="Sign out").click()
        expect(adas.get_by_role("button", name="Sign in")).to_be_visible()


def test_a_site_without_streams(chromium: Browser, example: str, site: str) -> None:
    with clients(chromium, example) as open_client:
        page, client = open_client(site, "ada")
        expect(client.locator("#state")).to_contain_text("does not stream")
        post(page, "From the page")
        client.get_by_role("button", name="Reload").click()
        expect(client.locator("article")).to_contain_text("From the page")
        client.reload()
        expect(client.locator("article")).to_contain_text("From the page")


def test_errors_are_shown(chromium: Browser, example: str, site: str) -> None:
    context = chromium.new_context(base_url=site)
    page = context.new_page()
    page.goto(example)
    page.get_by_label("Address of the site").fill("http://127.0.0.1:1")
    page.get_by_role("button", name="Sign in").click()
    expect(page.get_by_role("alert")).to_contain_text("No answer from http://127.0.0.1:1")
    sign_up(page, "ada")
    page.goto(example)
    page.get_by_label("Address of the site").fill(site)
    page.get_by_role("button", name="Sign in").click()
    press(page.get_by_role("button", name="Refuse"))
    expect(page.get_by_role("alert")).to_contain_text("The user refused")
    page.goto(f"{example}?code=stolen&state=x")
    expect(page.get_by_role("alert")).to_contain_text("did not ask for that")
    page.get_by_role("button", name="Sign in").click()
    press(page.get_by_role("button", name="Allow"))
    page.get_by_label("Message").fill("x" * 141)
    page.get_by_role("button", name="Post").click()
    expect(page.get_by_role("alert")).to_contain_text("Validation failed")
    context.close()
