"""Typical paths through the site in a real browser."""

import pytest
from playwright.sync_api import expect

from tests.browser.conftest import PHONE, Opener, act, fits_the_screen, post, press, sign_up
from tests.support.people import PASSWORD


@pytest.mark.parametrize("options", [{}, PHONE, {"java_script_enabled": False}], ids=["desktop", "phone", "no script"])
def test_two_people_meet(open_browser: Opener, options: dict[str, object]) -> None:
    ada, bob = open_browser(**options), open_browser(**options)
    sign_up(ada, "ada", "Ada")
    expect(ada.get_by_role("status").filter(has_text="Welcome, Ada.")).to_be_visible()
    post(ada, "Hello from me")

    sign_up(bob, "bob")
    expect(bob.get_by_text("Your timeline is empty.")).to_be_visible()
    bob.get_by_role("link", name="Browse the public timeline").click()
    bob.locator("article").get_by_role("link", name="Ada @ada").click()
    act(bob.get_by_role("button", name="Follow @ada"))
    expect(bob.get_by_role("button", name="Unfollow @ada")).to_be_visible()
    bob.goto("/")
    bob.get_by_role("link", name="Reply to @ada").click()
    bob.get_by_label("Reply to @ada").fill("Hello back, @ada")
    bob.get_by_role("button", name="Reply").click()
    expect(bob.locator(".focus article")).to_contain_text("Hello back")
    fits_the_screen(bob)

    ada.get_by_role("navigation", name="Main").get_by_role("link", name="Mentions").click()
    expect(ada.locator("article")).to_contain_text("In reply to @ada")
    ada.goto("/@ada")
    ada.locator("article .when").click()
    ada.get_by_text("Delete this tweet").click()
    ada.get_by_role("button", name="Yes, delete it").click()
    expect(ada.get_by_text("Your tweet was deleted.")).to_be_visible()
    bob.reload()
    expect(bob.get_by_text("In reply to a deleted tweet")).to_be_visible()


@pytest.mark.parametrize("options", [PHONE, {"java_script_enabled": False}], ids=["phone", "no script"])
def test_forms_keep_typed_text(open_browser: Opener, options: dict[str, object]) -> None:
    page = open_browser(**options)
    page.goto("/")
    page.get_by_label("Username").fill("not a name")
    page.get_by_label("Name optional").fill("Kept")
    page.get_by_label("Password").fill(PASSWORD)
    page.locator("main").get_by_role("button", name="Sign up").click()
    expect(page.get_by_label("Username")).to_have_value("not a name")
    expect(page.get_by_label("Username")).to_have_accessible_description(
        "A username has 1 to 20 letters, digits or underscores."
    )
    expect(page.get_by_label("Name optional")).to_have_value("Kept")
    fits_the_screen(page)


def test_signing_out_hides_private_pages(open_browser: Opener) -> None:
    page = open_browser()
    sign_up(page, "ada")
    post(page, "private thoughts")
    page.goto("/settings")
    press(page.get_by_role("button", name="Sign out", exact=True))
    expect(page.get_by_text("You are signed out.")).to_be_visible()
    page.go_back()
    expect(page.get_by_role("heading", name="Settings")).to_have_count(0)


def test_sign_in_returns_to_the_requested_page(open_browser: Opener) -> None:
    page = open_browser()
    sign_up(page, "ada")
    press(page.get_by_role("button", name="Sign out", exact=True))
    page.goto("/mentions")
    page.get_by_label("Username").fill("ADA")
    page.get_by_label("Password").fill(PASSWORD)
    page.locator("main").get_by_role("button", name="Sign in").click()
    page.wait_for_url("**/mentions")


def test_long_words_and_other_scripts_do_not_overflow(open_browser: Opener) -> None:
    page = open_browser(**PHONE)
    sign_up(page, "a" * 20, "W" * 50)
    for message in ("W" * 140, "https://example.org/" + "x" * 119, "👨‍👩‍👧‍👦" * 140, "שלום and hello", "Z̑" * 140):
        post(page, message)
        fits_the_screen(page)
    for url in (
        "/",
        "/@" + "a" * 20,
        "/settings",
        "/search?q=" + "W" * 100,
        "/@" + "a" * 20 + "/followers",
        "/nothing",
    ):
        page.goto(url)
        fits_the_screen(page)
