"""A site mounted below a path, in a browser. The fixtures fail if a page requests anything outside that path."""

from collections.abc import Iterator

import pytest
from playwright.sync_api import expect

from tests.browser.conftest import Opener, act, press
from tests.conftest import running, serving, settings_of
from tests.support.people import PASSWORD
from tweeter.interfaces import IDelivery


@pytest.fixture
def site(sqlite_url: str) -> Iterator[str]:
    """With the lab, so that pages poll every second."""
    lab = {"tweeter.lab": True, "tweeter.lab.backends": "sql memory", "tweeter.timelines": "memory"}
    with running(settings_of(sqlite_url) | lab) as app, serving(app, url_prefix="/t") as address:
        app.registry.getUtility(IDelivery).start()
        yield f"{address}/t/"


def test_pages_and_scripts_stay_below_the_path(open_browser: Opener, site: str) -> None:
    ada, bob = open_browser(), open_browser()
    for page, name in ((ada, "ada"), (bob, "bob")):
        page.goto("signup")
        page.get_by_label("Username").fill(name)
        page.get_by_label("Password").fill(PASSWORD)
        press(page.locator("main").get_by_role("button", name="Sign up"))
        assert page.url == site
    assert {cookie["path"] for cookie in ada.context.cookies()} == {"/t"}
    for page, message in ((ada, "First"), (bob, "Hello @ada")):
        page.get_by_label("What would you like to say?").fill(message)
        press(page.get_by_role("button", name="Post", exact=True))
        if page is ada:
            ada.goto("public")  # an empty timeline does not poll
    ada.get_by_role("button", name="1 new tweet").click()
    face = ada.locator("article img.face").first
    expect(face).to_have_js_property("complete", True)
    assert face.evaluate("image => image.naturalWidth") > 0
    ada.goto("@bob")
    act(ada.get_by_role("button", name="Follow @bob"))
    expect(ada.locator(".profile .counts")).to_contain_text("1 follower")
    expect(ada.get_by_role("status").filter(has_text="You now follow @bob.")).to_have_count(1)
    ada.goto("lab/live")
    expect(ada.locator("[data-state]")).to_be_visible()
    expect(ada.locator("[data-mentions] .number")).to_contain_text("1")
    with ada.expect_response("**/t/lab/state") as state:
        pass
    assert state.value.ok
    press(ada.get_by_role("link", name="Mentions"))
    expect(ada.locator("article")).to_contain_text("Hello @ada")
    expect(ada.locator("[data-mentions] .number")).to_have_count(0)
    ada.goto(site)
    expect(ada.locator("[data-mentions] .number")).to_have_count(0)
    press(ada.get_by_role("button", name="Sign out"))
    assert ada.url == site
