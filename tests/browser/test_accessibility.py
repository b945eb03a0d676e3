"""axe finds no violations, and nothing overflows, on any page, light or dark, wide or narrow."""

from typing import Any

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page

from tests.browser.conftest import PHONE, Opener, act, fits_the_screen, make_list, post, press, sign_up
from tests.support.people import PASSWORD


@pytest.mark.parametrize(
    ("scheme", "screen"),
    [("light", {"viewport": {"width": 1280, "height": 900}}), ("dark", PHONE)],
    ids=["light desktop", "dark phone"],
)
def test_every_page(open_browser: Opener, scheme: str, screen: dict[str, Any]) -> None:
    bob = open_browser(color_scheme=scheme, **screen)
    for url in ("/", "/public", "/login", "/signup", "/search", "/nothing"):
        check(bob, url)
    sign_up(bob, "bob", "Bob")
    check(bob)
    post(bob, "Hello @ada, see https://example.org #hello")
    ada = open_browser(color_scheme=scheme, **screen)
    for url in ("/", "/public", "/@bob", "/tweets/1"):
        check(ada, url)
    ada.goto("/@bob")
    press(ada.locator("article .when"))
    tweet = ada.url
    check(ada)
    sign_up(ada, "ada", "Ada")
    ada.goto(tweet)
    ada.get_by_label("Reply to @bob").fill("Hello")
    press(ada.get_by_role("button", name="Reply"))
    ada.goto("/@bob")
    act(ada.get_by_role("button", name="Follow @bob"))
    check(ada)
    for url in ("/", "/@ada", "/@bob/followers", "/@bob/following", "/@ada/following", "/mentions", "/settings",
                "/search?q=b", "/search?q=zzz", "/?before=x", tweet):  # fmt: skip
        check(ada, url)
    made = make_list(ada, "Friends of ours", "bob")
    for url in (made, f"{made}/members", "/lists", "/@bob/lists", "/tag/hello", "/tag/nobody"):
        check(ada, url)
    for url in ("/public", "/notifications"):
        check(bob, url)
    bob.goto(tweet)
    bob.get_by_text("Delete this tweet").click()
    check(bob)
    bob.goto("/")
    bob.get_by_label("What would you like to say?").fill("x" * 150)
    press(bob.get_by_role("button", name="Post", exact=True))
    check(bob)
    bob.goto("/settings")
    press(bob.get_by_role("button", name="Save profile"))
    check(bob)
    bob.get_by_label("Your password").fill(PASSWORD)
    press(bob.get_by_role("button", name="Close my account"))
    check(bob)


def check(page: Page, url: str = "") -> None:
    if url:
        page.goto(url)
    fits_the_screen(page)
    found = Axe().run(page)
    assert found.violations_count == 0, f"{page.url}\n{found.generate_report()}"
