"""Browsers: Chromium without a window system, on a real server. TWEETER_CHROMIUM names another Chromium."""

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import Browser, BrowserContext, Locator, Page, sync_playwright

from tests.conftest import running, serving, settings_of
from tests.support.people import PASSWORD
from tweeter.devtools.servers import Redis, find, free_port
from tweeter.interfaces import IDelivery

# The program, not its start script in /usr/bin, which was missing on a copied machine.
HEADLESS_SHELL = "/usr/lib/chromium/chromium-headless-shell"
PHONE = {"viewport": {"width": 390, "height": 844}, "has_touch": True, "is_mobile": True}

Opener = Callable[..., Page]

# A phone zooms out of a page that is too wide, and its innerWidth grows; the requested width stays.
TOO_WIDE = """addEventListener("load", () => {
  const wide = document.documentElement.scrollWidth;
  if (wide > WIDTH) console.error(`${location} is ${wide} pixels wide on a screen of WIDTH`);
})"""


@pytest.fixture(scope="session")
def chromium() -> Iterator[Browser]:
    path = Path(os.environ.get("TWEETER_CHROMIUM", HEADLESS_SHELL))
    executable = find(path.name, path.name, path.parent)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=executable,
            args=[
                "--no-sandbox",
                "--disable-dev-shm-usage",
                "--disable-gpu",
                "--host-resolver-rules=MAP plain.test 127.0.0.1",
            ],
        )
        yield browser
        browser.close()


@pytest.fixture
def memcached_port() -> int:
    """The lab's port of memcached, which is down unless the test starts it."""
    return free_port()


@pytest.fixture
def site_with_lab(sqlite_url: str, redis_server: Redis, memcached_port: int) -> Iterator[str]:
    """The address of a site with the lab and Redis."""
    settings = settings_of(sqlite_url) | {
        "tweeter.lab": True,
        "tweeter.redis.url": redis_server.url,
        "tweeter.redis.prefix": sqlite_url[-30:].replace("/", "-"),
        "tweeter.memcached.servers": f"127.0.0.1:{memcached_port}",
    }
    with running(settings) as app, serving(app) as address:
        app.registry.getUtility(IDelivery).start()
        yield address


@pytest.fixture
def open_browser(chromium: Browser, site: str) -> Iterator[Opener]:
    """`open_browser()` is another user's browser: a page with its own cookies.

    Any browser error (a script error, a violation of the content security policy) fails the test.
    So does a page that is wider than the screen when it is loaded.
    """
    contexts: list[BrowserContext] = []
    complaints: list[str] = []

    def open_browser(**options: Any) -> Page:
        context = chromium.new_context(base_url=site, **options)
        context.set_default_timeout(10_000)
        width = options.get("viewport", {"width": 1280})["width"]
        context.add_init_script(TOO_WIDE.replace("WIDTH", str(width)))
        contexts.append(context)
        page = context.new_page()
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.on("console", lambda said: complaints.append(said.text) if said.type == "error" else None)
        page.on(
            "request", lambda asked: None if asked.url.startswith(site) else complaints.append(f"asks for {asked.url}")
        )
        return page

    yield open_browser
    for context in contexts:
        context.close()
    assert [complaint for complaint in complaints if "Failed to load resource" not in complaint] == []


def press(link_or_button: Locator) -> None:
    """Follows a link or sends a form, and waits until the page that it leads to is loaded."""
    with link_or_button.page.expect_event("load"):
        link_or_button.click()


def act(button: Locator) -> None:
    """Presses a button that changes something in place, and waits for the server's response."""
    with button.page.expect_response(lambda response: response.request.method == "POST"):
        button.click()


def sign_up(page: Page, username: str, display_name: str = "") -> None:
    page.goto("/signup")
    page.get_by_label("Username").fill(username)
    page.get_by_label("Name optional").fill(display_name)
    page.get_by_label("Password").fill(PASSWORD)
    press(page.locator("main").get_by_role("button", name="Sign up"))
    page.wait_for_url("**/")


def make_list(page: Page, name: str, member: str) -> str:
    """Makes a list with one member; the path of its page."""
    page.goto("/lists")
    page.get_by_label("Name").fill(name)
    press(page.get_by_role("button", name="Make a list"))
    page.get_by_label("Username").fill(member)
    act(page.get_by_role("button", name="Add to the list"))
    path = urlsplit(page.url).path
    return path.removesuffix("/members")


def fits_the_screen(page: Page) -> None:
    """The page needs no horizontal scrolling and no zoom."""
    size = page.viewport_size
    assert size is not None
    wide = page.evaluate("document.documentElement.scrollWidth")
    assert wide <= size["width"], f"{page.url} is {wide} pixels wide"


def post(page: Page, message: str) -> None:
    page.goto("/")
    page.get_by_label("What would you like to say?").fill(message)
    press(page.get_by_role("button", name="Post", exact=True))
    page.locator("article", has_text=message.splitlines()[0]).first.wait_for()
