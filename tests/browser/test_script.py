"""The features that the page's script adds."""

import re
import time

import pytest
from playwright.sync_api import APIResponse, Page, Request, Route, expect

from tests.browser.conftest import Opener, act, post, press, sign_up
from tests.support.people import PASSWORD
from tweeter import text
from tweeter.outbox.checkpoint import FRESH
from tweeter.search import tweets


@pytest.fixture
def ada(open_browser: Opener) -> Page:
    page = open_browser()
    sign_up(page, "ada")
    return page


MESSAGES = [
    "",
    "hello",
    "é",
    "e\u0301",
    "👨‍👩‍👧‍👦🇩🇪",
    "  spaces  ",
    "a\n\n\n\nb",
    "नमस्ते",
    "x" * 141,
    "\u200f\u202eabc",
    "a\tb",
    "각",
    "e" + "\u0301" * 79,
    "👨‍👩‍👧‍👦" * 150,
    "a" + "\n\u200b" * 60 + "\nb",
    "\u2800\n\u3164\na\n\u0301\n\ufffc\n",
    "\u0301",
    "\U0001d159 \ufffc",
    "\u200fשלום\n\u200e",
]


def test_characters_left_are_counted_as_the_server_counts(ada: Page) -> None:
    left = ada.locator(".compose .left")
    for message in MESSAGES:
        ada.get_by_label("What would you like to say?").fill(message)
        number = 140 - text.length(text.clean_message(message))
        expect(left, repr(message)).to_have_text(f"{number} characters left")
        if number < 0:
            expect(left).to_have_class(re.compile("over"))


def test_new_tweets_are_announced_and_loaded_in_place(open_browser: Opener) -> None:
    ada, bob = open_browser(), open_browser()
    sign_up(bob, "bob")
    sign_up(ada, "ada")
    ada.goto("/@bob")
    act(ada.get_by_role("button", name="Follow @bob"))
    ada.clock.install()
    asked: list[Request] = []
    ada.on("request", lambda request: asked.append(request) if "/newer" in request.url else None)
    post(bob, "first")
    ada.goto("/")
    ada.get_by_label("What would you like to say?").fill("half a thought")
    for message in ("second", "third", "fourth"):
        post(bob, message)
    time.sleep(FRESH)  # ada's page may lag behind by as much
    with ada.expect_response("**/newer?*"):
        ada.clock.fast_forward(31_000)
    expect(ada).to_have_title("(3) Home · Tweeter")
    ada.get_by_role("button", name="3 new tweets").click()
    expect(ada.locator("article")).to_have_count(4)
    expect(ada.locator("article").first).to_be_focused()
    expect(ada.get_by_label("What would you like to say?")).to_have_value("half a thought")
    expect(ada).to_have_title("Home · Tweeter")
    expect(ada.get_by_role("button", name="new tweet")).to_have_count(0)
    for _ in range(2):  # unchanged: the second poll is not even sent
        with ada.expect_response("**/newer?*"):
            ada.clock.fast_forward(31_000)
    statuses = [request.response().status for request in asked if request.response()]  # type: ignore[union-attr]
    assert set(statuses) <= {200, 304}


def test_new_tweets_replace_neither_a_later_like_nor_announce_what_was_loaded(open_browser: Opener) -> None:
    ada, bob = open_browser(), open_browser()
    sign_up(bob, "bob")
    sign_up(ada, "ada")
    post(bob, "first")
    time.sleep(FRESH)
    ada.clock.install()
    ada.goto("/public")
    post(bob, "second")
    time.sleep(FRESH)
    with ada.expect_response("**/newer?*"):
        ada.clock.fast_forward(31_000)
    held: list[tuple[Route, APIResponse]] = []
    ada.route(
        re.compile(r"/newer\?|/public$"),
        lambda route: held.append((route, route.fetch())) if len(held) < 2 else route.continue_(),
    )
    with ada.expect_request("**/newer?*"):
        ada.clock.fast_forward(31_000)
    with ada.expect_request("**/public"):
        ada.get_by_role("button", name="1 new tweet").click()
    while len(held) < 2:
        ada.wait_for_timeout(10)
    with ada.expect_response("**/like"):
        ada.get_by_role("button", name="Like", exact=True).click()
    (poll, counted), (page, before) = held
    page.fulfill(response=before)
    expect(ada.locator("article")).to_have_count(2)
    expect(ada.locator("article", has_text="first").get_by_role("button", name="Unlike 1 like")).to_be_visible()
    with ada.expect_response("**/newer?*"):
        poll.fulfill(response=counted)
    ada.wait_for_timeout(100)  # the page would show it
    expect(ada.locator(".news")).to_have_count(0)


def test_own_tweet_is_not_announced(ada: Page) -> None:
    ada.clock.install()
    post(ada, "mine")
    with ada.expect_response("**/newer?*") as answer:
        ada.clock.fast_forward(31_000)
    assert answer.value.json() == {"count": 0}
    expect(ada.locator(".news")).to_have_count(0)


def test_hidden_tab_does_not_poll(ada: Page) -> None:
    post(ada, "mine")
    ada.clock.install()
    ada.goto("/")
    ada.evaluate("Object.defineProperty(document, 'hidden', {value: true, configurable: true})")
    asked: list[str] = []
    ada.on("request", lambda request: asked.append(request.url))
    ada.clock.run_for(120_000)
    assert not [url for url in asked if "/newer" in url]  # the page's icon may come late
    ada.evaluate("Object.defineProperty(document, 'hidden', {value: false})")
    with ada.expect_response("**/newer?*"):
        ada.evaluate("document.dispatchEvent(new Event('visibilitychange'))")


@pytest.mark.parametrize("url", ["/", "/@ada", "/search?q=ada"])
def test_older_tweets_load_in_place(ada: Page, url: str) -> None:
    token = ada.locator("[name=csrf_token]").first.input_value()
    for n in range(45):
        ada.request.post("/tweets", form={"csrf_token": token, "message": f"tweet {n} @ada"})
    ada.goto(url)
    expect(ada.locator("article")).to_have_count(20)
    for count, focused in ((40, 20), (45, 40)):
        ada.get_by_role("link", name="Older").click()
        expect(ada.locator("article")).to_have_count(count)
        expect(ada.locator("article").nth(focused)).to_be_focused()
    expect(ada.get_by_role("link", name="Older")).to_have_count(0)
    expect(ada.get_by_text("That is all.", exact=True)).to_be_visible()
    expect(ada.get_by_role("status").filter(has_text="5 more tweets")).to_have_count(1)
    assert ada.url.endswith(url)
    assert len(set(ada.locator("article").evaluate_all("all => all.map(one => one.dataset.tweetId)"))) == 45


PLACE = """() => {
    const seen = [...document.querySelectorAll("article")].find((one) => one.getBoundingClientRect().bottom > 0);
    return [seen.dataset.tweetId, Math.round(seen.getBoundingClientRect().top)];
}"""


def test_back_and_reload_return_to_the_same_tweet_at_the_same_place(ada: Page) -> None:
    token = ada.locator("[name=csrf_token]").first.input_value()
    for n in range(45):
        ada.request.post("/tweets", form={"csrf_token": token, "message": f"tweet {n} @ada"})
    ada.goto("/")
    ada.get_by_role("link", name="Older").click()
    expect(ada.locator("article")).to_have_count(40)
    ada.locator("article").nth(33).scroll_into_view_if_needed()
    ada.evaluate("scrollBy(0, 37)")
    place = ada.evaluate(PLACE)
    press(ada.locator("article").nth(34).locator("a.when"))
    ada.request.post("/tweets", form={"csrf_token": token, "message": "one more"})
    ada.go_back()
    expect(ada.locator("article")).to_have_count(40)
    assert ada.evaluate(PLACE) == place
    ada.reload()
    expect(ada.locator("article")).to_have_count(40)
    assert ada.evaluate(PLACE) == place
    ada.goto("/")  # a new visit begins at the top
    assert ada.evaluate("scrollY") == 0
    expect(ada.locator("article")).to_have_count(20)


def test_keys_links_to_copy_own_tweets_and_the_number_of_mentions(ada: Page, open_browser: Opener) -> None:
    post(ada, "mine, with a / and an n")
    ada.keyboard.press("/")
    expect(ada.get_by_role("searchbox")).to_be_focused()
    ada.keyboard.press("n")  # in a field, it is a letter
    expect(ada.get_by_role("searchbox")).to_have_value("n")
    ada.locator("h1").click()
    ada.keyboard.press("n")
    expect(ada.get_by_label("What would you like to say?")).to_be_focused()
    ada.goto("/settings")
    keys = ada.get_by_label("/ goes to the search box, n to a new tweet")
    keys.uncheck()
    ada.reload()
    expect(keys).not_to_be_checked()
    ada.keyboard.press("/")
    expect(ada.get_by_role("searchbox").first).not_to_be_focused()
    keys.check()
    ada.locator("h1").click()
    ada.keyboard.press("/")
    expect(ada.get_by_role("searchbox").first).to_be_focused()
    ada.goto("/")
    ada.context.grant_permissions(["clipboard-read", "clipboard-write"])
    ada.get_by_role("button", name="Copy link").click()
    expect(ada.get_by_role("button", name="Copied")).to_be_visible()
    href = ada.locator("a.when").evaluate("link => link.href")
    assert ada.evaluate("navigator.clipboard.readText()") == href

    bob = open_browser()
    sign_up(bob, "bob")
    post(bob, "hello @ada")
    bob.goto(href)
    expect(bob.get_by_role("link", name="Delete your tweet")).to_have_count(0)
    ada.evaluate("sessionStorage.clear()")  # as after half a minute
    ada.goto("/public")
    expect(ada.get_by_role("link", name="Mentions 1 new")).to_be_visible()
    act(ada.get_by_role("button", name="Follow @bob"))  # in the right column
    expect(ada.get_by_role("status").filter(has_text="You now follow @bob.")).to_have_count(1)
    assert ada.url.endswith("/public")
    ada.goto("/search")
    press(ada.get_by_role("link", name="Mentions"))
    ada.goto("/public")
    ada.wait_for_timeout(300)
    expect(ada.get_by_role("link", name="Mentions", exact=True)).to_be_visible()
    press(ada.get_by_role("link", name="Delete your tweet"))
    press(ada.get_by_role("button", name="Yes, delete it"))
    expect(ada.get_by_text("Your tweet was deleted.")).to_be_visible()


def test_reposts_and_likes_change_in_place_and_are_undone_on_failure(ada: Page) -> None:
    post(ada, "hello")
    like = ada.locator("button.act.like")
    asked: list[str] = []
    ada.on("request", lambda request: asked.append(f"{request.method} {request.url.rpartition('/')[2]}"))
    held: list[Route] = []
    ada.route("**/tweets/*/*", lambda route: held.append(route))
    with ada.expect_request("**/like"):
        ada.get_by_role("button", name="Like", exact=True).click()
    expect(like).to_have_attribute("aria-pressed", "true")  # before the server answers
    expect(like).to_have_accessible_name("Unlike 1 like")
    held[0].abort()
    expect(like).to_have_accessible_name("Like")
    expect(like).to_have_attribute("aria-pressed", "false")
    ada.unroute("**/tweets/*/*")
    press(ada.locator("a.when"))  # the tweet's page: its counts follow the buttons
    asked.clear()
    tallies = ada.locator(".tallies")
    expect(tallies).to_be_hidden()
    for name, undo, shown in (("Like", "Unlike 1 like", "1 like"), ("Repost", "Undo repost 1 repost", "1 repost")):
        with ada.expect_response("**/tweets/*/*"):
            ada.get_by_role("button", name=name, exact=True).click()
        expect(ada.get_by_role("button", name=undo)).to_have_attribute("aria-pressed", "true")
        expect(tallies.get_by_role("link", name=shown, exact=True)).to_be_visible()
    with ada.expect_response("**/unlike"):
        like.dblclick()  # unlikes and likes, in this order
    expect(like).to_have_accessible_name("Unlike 1 like")
    expect(like).to_be_enabled()
    ada.route("**/tweets/*/*", lambda route: route.fulfill(status=503))
    like.click()
    failed = ada.get_by_role("status").filter(has_text="That failed and was undone")
    expect(failed).to_have_class("warning")
    expect(failed).to_be_in_viewport(ratio=1)
    expect(like).to_have_accessible_name("Unlike 1 like")
    ada.unroute("**/tweets/*/*")
    assert asked == ["POST like", "POST repost", "POST unlike", "POST like", "POST unlike"]  # no page was loaded
    ada.reload()
    expect(like).to_have_accessible_name("Unlike 1 like")
    ada.context.clear_cookies()
    with ada.expect_event("load"):
        like.click()
    assert "/login?next=/tweets/" in ada.url


def test_a_refused_like_is_undone_and_the_page_says_why(ada: Page, open_browser: Opener) -> None:
    bob = open_browser()
    sign_up(bob, "bob")
    post(bob, "hello")
    ada.goto("/@bob")
    bob.request.post("/@ada/block", form={"csrf_token": bob.locator("[name=csrf_token]").first.input_value()})
    ada.get_by_role("button", name="Like", exact=True).click()
    expect(ada.get_by_text("You can't like this tweet: they blocked you.")).to_be_in_viewport(ratio=1)
    expect(ada.locator("button.act.like")).to_have_accessible_name("Like")


def test_a_slow_like_does_not_hold_up_that_of_another_tweet(ada: Page) -> None:
    for message in ("first", "second"):
        post(ada, message)
    like = ada.get_by_role("button", name="Like", exact=True)
    held: list[Route] = []
    ada.route("**/tweets/*/like", lambda route: route.continue_() if held else held.append(route))
    with ada.expect_request("**/like"):
        like.first.click()
    with ada.expect_response("**/like"):
        like.first.click()  # the other tweet's
    ada.goto("/@ada")
    expect(ada.locator("article", has_text="first").get_by_role("button", name="Unlike 1 like")).to_be_visible()


def test_failed_clicks_in_a_row_leave_the_state_that_the_server_has(ada: Page) -> None:
    post(ada, "hello")
    like = ada.locator("button.act.like")
    announced = ada.get_by_role("status").filter(has_text="That failed and was undone")
    ada.route("**/tweets/*/*", lambda route: route.abort())
    like.dblclick()
    expect(announced).to_have_count(1)
    expect(like).to_have_accessible_name("Like")
    ada.unroute("**/tweets/*/*")
    ada.route("**/tweets/*/unlike", lambda route: route.abort())
    with ada.expect_event("requestfailed"):
        like.dblclick()  # the like is accepted
    expect(like).to_have_accessible_name("Unlike 1 like")
    ada.reload()
    expect(like).to_have_accessible_name("Unlike 1 like")


def test_a_tweet_shown_twice_changes_twice(ada: Page) -> None:
    post(ada, "hello")
    ada.evaluate("document.querySelector('main').append(document.querySelector('article').cloneNode(true))")
    with ada.expect_response("**/repost"):
        ada.get_by_role("button", name="Repost").first.click()
    expect(ada.get_by_role("button", name="Undo repost 1 repost", exact=True)).to_have_count(2)


def test_keys_move_between_tweets_like_repost_and_reply(ada: Page) -> None:
    for message in ("first", "second", "third"):
        post(ada, message)
    ada.locator("h1").click()
    tweets = ada.locator("article")
    for key, focused in (("j", 0), ("j", 1), ("j", 2), ("j", 2), ("k", 1)):
        ada.keyboard.press(key)
        expect(tweets.nth(focused)).to_be_focused()
    for key, name in (("l", "Unlike 1 like"), ("t", "Undo repost 1 repost")):
        with ada.expect_response("**/tweets/*/*"):
            ada.keyboard.press(key)
        expect(tweets.nth(1).get_by_role("button", name=name)).to_be_visible()
    with ada.expect_event("load"):
        ada.keyboard.press("r")
    expect(ada.get_by_label("Reply to @ada")).to_be_focused()
    ada.locator("h1").click()
    for key in ("j", "r"):  # the form is on this page
        ada.keyboard.press(key)
    expect(ada.get_by_label("Reply to @ada")).to_be_focused()
    ada.evaluate("localStorage.setItem('keys', 'off')")
    ada.locator("h1").click()
    ada.keyboard.press("j")
    expect(tweets.first).not_to_be_focused()


def test_next_search_page_continues_after_the_last(ada: Page, monkeypatch: pytest.MonkeyPatch) -> None:
    token = ada.locator("[name=csrf_token]").first.input_value()
    for message in ["needle 1", *["hay"] * 9, "needle 2", *["hay"] * 4, "needle 3"]:
        ada.request.post("/tweets", form={"csrf_token": token, "message": message})
    monkeypatch.setattr(tweets, "ENOUGH", 60)
    monkeypatch.setattr(tweets, "AT_ONCE", 4)
    monkeypatch.setattr(tweets, "MOST", 4)
    ada.goto("/search?q=needle")
    expect(ada.locator("article")).to_have_count(1)
    expect(ada.get_by_text("Results from tweets since")).to_be_visible()
    ada.get_by_role("link", name="Older").click()
    expect(ada.locator("article")).to_have_count(2)  # added in place
    ada.get_by_role("link", name="Older").click()
    expect(ada.get_by_text("No results from tweets since")).to_be_visible()  # a page of its own
    expect(ada.locator("[data-timeline]")).to_be_hidden()
    ada.get_by_role("link", name="Older").click()
    expect(ada.locator("article")).to_have_count(1)
    expect(ada.locator("article")).to_contain_text("needle 1")


def test_relative_times_are_updated(ada: Page) -> None:
    post(ada, "hello")
    time = ada.locator("article time")
    expect(time).to_have_text("just now")
    expect(time).to_have_attribute("title", re.compile(r"^\d{1,2} \w{3} \d{4}, \d\d:\d\d UTC$"))
    ada.clock.install()
    ada.goto("/")
    ada.clock.fast_forward(5 * 60_000 + 5_000)
    expect(time).to_have_text("5 min")
    ada.clock.fast_forward(3 * 3_600_000)
    expect(time).to_have_text("3 h")


def test_future_date_is_shown_as_a_date(ada: Page) -> None:
    post(ada, "hello")
    ada.clock.install(time="2020-01-01T12:00:00Z")
    ada.goto("/")
    expect(ada.locator("article time")).to_have_text(re.compile(r"^\d{1,2} \w{3,4} 20(2[1-9]|[3-9]\d)$"))


def test_a_form_is_sent_once(ada: Page) -> None:
    ada.get_by_label("What would you like to say?").fill("once")
    ada.get_by_role("button", name="Post", exact=True).dblclick()
    ada.locator("article").first.wait_for()
    ada.goto("/@ada")
    expect(ada.locator("article")).to_have_count(1)


def test_signed_out_elsewhere_the_poll_stops(ada: Page) -> None:
    post(ada, "hello")
    ada.clock.install()
    ada.goto("/")
    ada.context.clear_cookies()
    with ada.expect_response("**/newer?*") as answer:
        ada.clock.fast_forward(31_000)
    assert answer.value.status == 401
    asked: list[str] = []
    ada.on("request", lambda request: asked.append(request.url))
    ada.clock.run_for(120_000)
    assert asked == []
    assert PASSWORD not in ada.content()
