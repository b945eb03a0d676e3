"""Two tabs of one browser: actions in one must not lose text typed in the other."""

from collections.abc import Callable

import pytest
from playwright.sync_api import Page, expect

from tests.browser.conftest import Opener, post, press, sign_up
from tests.support.people import PASSWORD

WORDS = "Wörter 👨‍👩‍👧‍👦 in zwei\nZeilen, “quoted” & <b>bold</b>"


@pytest.fixture(params=[{}, {"java_script_enabled": False}], ids=["script", "no script"])
def ada(open_browser: Opener, request: pytest.FixtureRequest) -> Page:
    ada = open_browser(**request.param)
    sign_up(ada, "ada")
    return ada


def sign_in(page: Page, username: str = "ada") -> None:
    page.locator("main").get_by_label("Username").fill(username)
    page.get_by_label("Password").fill(PASSWORD)
    press(page.locator("main").get_by_role("button", name="Sign in"))


def sign_out(ada: Page) -> None:
    other = ada.context.new_page()
    other.goto("/public")
    press(other.get_by_role("button", name="Sign out", exact=True))
    expect(other.get_by_text("You are signed out.")).to_be_visible()


def sign_out_and_in(ada: Page) -> None:
    sign_out(ada)
    other = ada.context.new_page()
    other.goto("/login")
    sign_in(other)
    expect(other.get_by_role("heading", name="Home")).to_be_visible()


def lose_all_cookies(ada: Page) -> None:
    ada.context.clear_cookies()


@pytest.mark.parametrize("meanwhile", [sign_out, sign_out_and_in, lose_all_cookies])
def test_typed_text_is_in_its_box_after_signing_in(ada: Page, meanwhile: Callable[[Page], None]) -> None:
    post(ada, "a question")
    press(ada.locator("article .when").first)
    question = ada.url
    for url, label, button, done in (
        ("/", "What would you like to say?", "Post", "Posted."),
        (question, "Reply to @ada", "Reply", "Your reply was posted."),
        ("/settings", "Bio", "Save profile", "Your profile was changed."),
    ):
        ada.goto(url)
        ada.get_by_label(label).fill(WORDS)
        meanwhile(ada)
        press(ada.get_by_role("button", name=button, exact=True))
        if meanwhile is not sign_out_and_in:
            expect(ada).to_have_title("Sign in · Tweeter")
            sign_in(ada)
        expect(ada.get_by_label(label)).to_have_value(WORDS)
        assert ada.url.endswith(url)
        press(ada.get_by_role("button", name=button, exact=True))
        expect(ada.get_by_text(done)).to_be_visible()
    ada.goto("/@ada")
    expect(ada.locator("article", has_text="Wörter")).to_have_count(2)
    expect(ada.locator(".profile .bio")).to_contain_text("Wörter")


def test_second_tab_can_sign_in(ada: Page) -> None:
    sign_out(ada)
    ada.goto("/login?next=/mentions")
    other = ada.context.new_page()
    other.goto("/login")
    sign_in(other)
    sign_in(ada)
    ada.wait_for_url("**/mentions")
    expect(ada.get_by_text("You are already signed in as @ada.")).to_be_visible()
    other.goto("/login?next=/search")
    other.wait_for_url("**/search")


def test_signing_out_twice_is_no_error(ada: Page) -> None:
    sign_out(ada)
    press(ada.get_by_role("button", name="Sign out", exact=True))
    expect(ada.get_by_text("You are signed out.")).to_be_visible()
