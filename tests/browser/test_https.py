"""A production site over plain http, to which the browser does not send its secure cookies."""

from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, expect

from tests.browser.conftest import fits_the_screen
from tests.conftest import running, serving, settings_of
from tests.support.people import PASSWORD


@pytest.fixture
def site(sqlite_url: str) -> Iterator[str]:
    """Not at a loopback address, which browsers treat as secure."""
    settings = {"tweeter.production": True, "tweeter.secure_cookies": True, "tweeter.secret": "0123456789abcdef" * 3}
    with running(settings_of(sqlite_url) | settings) as app, serving(app) as address:
        yield address.replace("127.0.0.1", "plain.test")


def test_page_explains_that_the_site_needs_https(chromium: Browser, site: str) -> None:
    context = chromium.new_context(base_url=site, viewport={"width": 320, "height": 600})
    page = context.new_page()
    page.goto("/signup")
    page.get_by_label("Username").fill("ada")
    page.get_by_label("Password").fill(PASSWORD)
    page.locator("main").get_by_role("button", name="Sign up").click()
    expect(page.get_by_role("heading", name="This site requires https")).to_be_visible()
    expect(page.get_by_text("too old")).to_have_count(0)
    fits_the_screen(page)
    context.close()
