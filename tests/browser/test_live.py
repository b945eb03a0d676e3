"""Pages that show at once what is new, through a real Pushpin."""

from collections.abc import Iterator

import pytest
from playwright.sync_api import expect

from tests.browser.conftest import Opener, act, post, sign_up
from tests.support.streams import streaming_site
from tweeter.devtools.servers import Pushpin


@pytest.fixture
def pushpin(sqlite_url: str) -> Iterator[Pushpin]:
    with streaming_site(sqlite_url, **{"tweeter.timelines": "memory"}) as (_, pushpin):
        yield pushpin


@pytest.fixture
def site(pushpin: Pushpin) -> str:
    return pushpin.url


def test_new_tweets_appear_without_a_poll(open_browser: Opener) -> None:
    ada, bob, eve = open_browser(), open_browser(), open_browser()
    for page, name in ((bob, "bob"), (ada, "ada"), (eve, "eve")):
        sign_up(page, name)
    post(bob, "zeroth")
    ada.goto("/@bob")
    act(ada.get_by_role("button", name="Follow @bob"))
    with ada.expect_response("**/live?*"), ada.expect_response("**/newer?*"):
        ada.goto("/")
    ada.get_by_label("What would you like to say?").fill("half a thought")
    asked: list[str] = []
    ada.on("request", lambda request: asked.append(request.url))
    post(eve, "by somebody else")
    post(bob, "first")
    expect(ada).to_have_title("(1) Home · Tweeter")
    post(bob, "second")
    expect(ada).to_have_title("(2) Home · Tweeter")
    assert not [url for url in asked if "/newer" in url]
    ada.locator(".news").click()
    expect(ada.locator("article").first).to_contain_text("second")
    expect(ada.get_by_label("What would you like to say?")).to_have_value("half a thought")
    expect(ada.locator(".news")).to_have_count(0)
    post(bob, "third")
    expect(ada.get_by_role("button", name="1 new tweet")).to_be_visible()


def test_a_new_tweet_that_the_loaded_page_lacks_is_announced_again(open_browser: Opener) -> None:
    """A page may lag behind the commits by a second."""
    ada, bob = open_browser(), open_browser()
    for page, name in ((bob, "bob"), (ada, "ada")):
        sign_up(page, name)
    post(bob, "before")
    with ada.expect_response("**/live?*"), ada.expect_response("**/newer?*"):
        ada.goto("/public")
    older = ada.request.get("/public").text()
    post(bob, "late")
    ada.route("**/public", lambda route: route.fulfill(body=older, content_type="text/html"))
    with ada.expect_response("**/public"):
        ada.get_by_role("button", name="1 new tweet").click()
    ada.unroute("**/public")
    ada.get_by_role("button", name="1 new tweet").click()
    expect(ada.locator("article").first).to_contain_text("late")


def test_pages_poll_while_pushpin_is_down(open_browser: Opener, pushpin: Pushpin) -> None:
    ada = open_browser()
    sign_up(ada, "ada")
    post(ada, "before")
    with ada.expect_response("**/live?*"), ada.expect_response("**/newer?*"):
        ada.goto("/public")
    pushpin.kill()
    pushpin.start()
    bob = open_browser()
    sign_up(bob, "bob")
    post(bob, "after the crash")
    expect(ada).to_have_title("(1) Public · Tweeter", timeout=10_000)  # reconnected, and asked what it missed
