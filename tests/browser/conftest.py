"""Browsers: Chromium, on a real server. TWEETER_CHROMIUM says where it is; without one these tests are skipped."""

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, sync_playwright

from tests.people import PASSWORD
from tweeter.servers import find

PHONE = {"viewport": {"width": 390, "height": 844}, "has_touch": True, "is_mobile": True}

Opener = Callable[..., Page]


@pytest.fixture(scope="session")
def chromium() -> Iterator[Browser]:
    path = Path(os.environ.get("TWEETER_CHROMIUM", "/usr/bin/chromium"))
    executable = find(path.name, "chromium", path.parent)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=executable, args=["--no-sandbox", "--disable-dev-shm-usage", "--disable-gpu"]
        )
        yield browser
        browser.close()


@pytest.fixture
def open_browser(chromium: Browser, site: str) -> Iterator[Opener]:
    """`open_browser()` is somebody's browser: a page, with cookies of its own.

    Whatever the browser complains of (a script's error, a broken rule of the content security policy) fails the test.
    """
    contexts: list[BrowserContext] = []
    complaints: list[str] = []

    def open_browser(**options: Any) -> Page:
        context = chromium.new_context(base_url=site, **options)
        context.set_default_timeout(10_000)
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


def sign_up(page: Page, username: str, display_name: str = "") -> None:
    page.goto("/signup")
    page.get_by_label("Username").fill(username)
    page.get_by_label("Name optional").fill(display_name)
    page.get_by_label("Password").fill(PASSWORD)
    page.locator("main").get_by_role("button", name="Sign up").click()
    page.wait_for_url("**/")


def post(page: Page, message: str) -> None:
    page.goto("/")
    page.get_by_label("What would you like to say?").fill(message)
    page.get_by_role("button", name="Post").click()
    page.locator("article", has_text=message.splitlines()[0]).first.wait_for()
