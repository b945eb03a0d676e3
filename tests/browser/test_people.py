"""Follows, mutes, blocks and entries of lists change in place: then the page is as it would be after a reload."""

import itertools
import re
import time
from typing import Any

import pytest
from playwright.sync_api import APIResponse, Locator, Page, Route, expect

from tests.browser.conftest import Opener, act, make_list, post, press, sign_up

# What a page shows of people: the buttons of each by the place, whole numbers, tweets, and who is blocked.
SHOWN = """() => {
    const visible = (selector) => [...document.querySelectorAll(selector)].filter((each) => each.checkVisibility());
    const buttons = {};
    for (const form of document.querySelectorAll("form[action*='/@'], .person form, .rows form")) {
        if (form.querySelector("[name=username]:not([type=hidden])")) continue;
        const place = form.closest(".person, .rows li, .apart, .profile");
        const [, kind] = form.getAttribute("action").match(/([a-z]+)$/);
        const name = place.querySelector("a, .handle, p").textContent.trim();
        const among = form.closest("[data-suggestions]") ? "suggested" : place.className;
        const key = `${among} ${name} ${kind.replace("un", "")}`;
        const button = form.querySelector("button");
        const { action } = form.elements;
        buttons[key] = [
            form.getAttribute("action"), action?.value, button.className, button.textContent,
            form.querySelector("p")?.textContent, form.hidden,
        ];
    }
    const texts = (selector) => visible(selector).map((each) => each.textContent.replace(/\\s+/g, " ").trim());
    return {
        buttons,
        numbers: texts(".counts"),
        said: texts(".profile > .hint, .apart, main h2").filter(Boolean),
        tweets: visible("article").map((tweet) => tweet.dataset.tweetId),
        title: document.title,
    };
}"""


@pytest.fixture
def ada(open_browser: Opener) -> Page:
    """Ada, who follows cat. Bob follows both, and likes a tweet of cat."""
    pages = {}
    for name in ("cat", "bob", "ada"):
        pages[name] = open_browser()
        sign_up(pages[name], name)
    ada, bob, cat = pages["ada"], pages["bob"], pages["cat"]
    post(cat, "of cat")
    post(bob, "of bob")
    for page, followee in ((bob, "cat"), (bob, "ada"), (ada, "cat")):
        send(page, f"/@{followee}/follow")
    bob.goto("/@cat")
    act(bob.get_by_role("button", name="Like", exact=True))
    return ada


def send(page: Page, url: str, **fields: str) -> None:
    token = page.locator("[name=csrf_token]").first.input_value()
    assert page.request.post(url, form={"csrf_token": token, **fields}).ok


def shown(page: Page) -> dict[str, Any]:
    found: dict[str, Any] = page.evaluate(SHOWN)
    return found


def is_as_after_a_reload(page: Page, other: Page) -> None:
    """Compares the page with the same one in another tab.

    People whom that does not list any more may remain, to undo it, and there are no new suggestions.
    """
    other.goto(page.url)
    if other.locator("[data-suggestions]").count():
        other.wait_for_load_state("networkidle")
    reloaded, here = shown(other), {}
    until = time.monotonic() + 5
    while time.monotonic() < until:
        here = shown(page)
        for key in [key for key in reloaded["buttons"] if key.startswith("suggested") and key not in here["buttons"]]:
            del reloaded["buttons"][key]
        here["buttons"] = {key: here["buttons"].get(key) for key in reloaded["buttons"]}
        if here == reloaded:
            return
        page.wait_for_timeout(50)
    assert here == reloaded, page.url


def button(page: Page, name: str) -> Locator:
    """The button, also in a closed menu."""
    page.evaluate("document.querySelectorAll('details').forEach((each) => { each.open = true; })")
    return page.get_by_role("button", name=name, exact=True).first


FOLLOW = ["Follow @bob", "Unfollow @bob"]
HIDE = [
    "Mute @bob",
    "Follow @bob",
    "Block @bob",
    "Unblock @bob",
    "Unmute @bob",
    "Block @bob",
    "Mute @bob",
    "Unblock @bob",
]


def test_after_each_act_every_page_is_as_after_a_reload(ada: Page) -> None:
    ada.goto("/@cat")
    press(ada.locator("a.when").first)
    of_cat = ada.url
    ada.goto("/@bob")
    press(ada.locator("a.when").first)
    of_bob = ada.url
    friends = make_list(ada, "Friends of ours", "cat")
    add = "Add @bob to Friends of ours"
    remove = "Remove @bob from Friends of ours"
    other = ada.context.new_page()
    for url, names in (
        ("/@bob", [*FOLLOW, *HIDE]),
        ("/settings/muted", ["Unmute @bob", "Mute @bob", "Unmute @bob"]),
        ("/@cat/followers", FOLLOW),
        ("/@ada/following", ["Unfollow @cat", "Follow @cat"]),
        ("/search?q=bob", FOLLOW),
        (f"{of_cat}/likes", FOLLOW),
        ("/public", FOLLOW),
        ("/@bob/lists", [add, remove, add]),
        (f"{friends}/members", [remove, add]),
        ("/@bob", ["Block @bob"]),
        (of_bob, ["Unblock @bob"]),
        ("/@bob", ["Block @bob"]),
        ("/settings/blocked", ["Unblock @bob", "Block @bob", "Unblock @bob"]),
    ):
        ada.goto(url)
        for name in names:
            act(button(ada, name))
            is_as_after_a_reload(ada, other)
            assert ada.url.endswith(url)
    expect(ada.get_by_role("status").filter(has_text="You no longer block @bob.")).to_have_count(1)


def test_somebody_who_is_added_to_a_list_appears_on_it(ada: Page) -> None:
    friends = make_list(ada, "Friends", "cat")
    ada.goto(f"{friends}/members")
    add, field = ada.get_by_role("button", name="Add to the list"), ada.get_by_label("Username")
    field.fill("@BOB")
    act(add)
    expect(ada.locator(".person")).to_have_count(2)
    expect(field).to_have_value("")
    is_as_after_a_reload(ada, ada.context.new_page())
    field.fill("nobody")
    act(add)
    expect(ada.get_by_text("There is no user called nobody.")).to_be_in_viewport(ratio=1)
    expect(field).to_have_value("nobody")
    assert ada.locator(".person").count() == 2


def test_a_follow_is_shown_before_the_response_wherever_the_person_is(ada: Page) -> None:
    ada.goto("/public")
    suggestions = ada.locator(".suggestions")
    expect(suggestions.get_by_role("button", name="Follow @bob")).to_be_visible()
    suggestions.evaluate("each => document.querySelector('main').append(each.cloneNode(true))")
    held: list[Route] = []
    ada.route("**/@bob/follow", lambda route: held.append(route))
    pressed = suggestions.first.get_by_role("button", name="Follow @bob")
    with ada.expect_request("**/@bob/follow"):
        pressed.press("Enter")
    expect(ada.get_by_role("button", name="Unfollow @bob")).to_have_count(2)
    expect(ada.locator(".you .counts")).to_contain_text("2 following")
    expect(suggestions.first.get_by_role("button", name="Unfollow @bob")).to_be_focused()
    held[0].continue_()
    expect(ada.get_by_role("status").filter(has_text="You now follow @bob.")).to_have_count(1)
    expect(suggestions.first.get_by_role("button", name="Unfollow @bob")).to_be_focused()


def test_first_follow_on_an_empty_home_page_shows_the_tweets(ada: Page, open_browser: Opener) -> None:
    dan = open_browser()
    sign_up(dan, "dan")
    expect(dan.get_by_text("Your timeline is empty.")).to_be_visible()
    dan.locator("main").get_by_role("button", name="Follow @bob").click()
    expect(dan.locator("article")).to_have_text(re.compile("of bob"))
    expect(dan.get_by_text("Your timeline is empty.")).to_have_count(0)
    expect(dan.locator("main").get_by_role("button", name="Unfollow @bob")).to_be_focused()
    tweets = shown(dan)["tweets"]
    dan.reload()
    assert shown(dan)["tweets"] == tweets


@pytest.mark.parametrize("name", ["Follow @bob", "Mute @bob", "Block @bob"])
def test_what_the_server_does_not_accept_is_undone(ada: Page, name: str) -> None:
    ada.goto("/@bob")
    pressed = button(ada, name)
    before = shown(ada)
    held: list[Route] = []
    ada.route(re.compile("/@bob/(un)?(follow|mute|block)$"), lambda route: held.append(route))
    with ada.expect_request("**/@bob/*"):
        pressed.click()
    assert shown(ada) != before
    assert (shown(ada)["tweets"] == []) is name.startswith("Block")
    held[0].abort()
    expect(ada.get_by_role("status").filter(has_text="That failed and was undone")).to_have_class("warning")
    assert shown(ada) == before
    expect(pressed).to_be_focused()
    ada.unroute_all()
    is_as_after_a_reload(ada, ada.context.new_page())


def test_if_a_follow_is_refused_the_page_says_why_and_shows_the_block(ada: Page, open_browser: Opener) -> None:
    for url in ("/@cat/followers", "/@bob"):
        ada.goto(url)
        pressed = button(ada, "Follow @bob")
        bob = open_browser()
        bob.goto("/login")
        bob.get_by_label("Username").fill("bob")
        bob.get_by_label("Password").fill("a good password")
        press(bob.locator("main").get_by_role("button", name="Sign in"))
        send(bob, "/@ada/block")
        act(pressed)
        expect(ada.get_by_text("You can't follow @bob: they blocked you.")).to_be_in_viewport(ratio=1)
        expect(ada.get_by_role("button", name="Follow @bob")).to_have_count(0)
        assert ada.evaluate("document.activeElement !== document.body")
        is_as_after_a_reload(ada, ada.context.new_page())
        send(bob, "/@ada/unblock")


@pytest.mark.parametrize("times", [2, 3, 5])
def test_clicks_in_a_row_end_in_the_state_of_the_last(ada: Page, times: int) -> None:
    ada.goto("/@bob")
    follow = ada.locator(".profile-top button")
    answered: list[str] = []
    ada.on(
        "requestfinished",
        lambda asked: answered.append(asked.url.rpartition("/")[2]) if asked.method == "POST" else None,
    )
    for _ in range(times):
        follow.click()
    expect(follow).to_have_text(f"{'Unfollow' if times % 2 else 'Follow'} @bob")
    while len(answered) < times:
        ada.wait_for_timeout(10)
    is_as_after_a_reload(ada, ada.context.new_page())
    assert answered == ["follow", "unfollow", "follow", "unfollow", "follow"][:times]


def test_page_from_before_the_last_click_is_not_shown(ada: Page) -> None:
    ada.goto("/@bob")
    ada.evaluate("""() => {
        const read = Response.prototype.json;
        const answer = new Promise((resolve) => { window.answer = resolve; });
        Response.prototype.json = async function () {
            if (this.url.endsWith("/unfollow")) await answer;
            return read.call(this);
        };
        window.texts = [];
        const note = () => window.texts.push(document.querySelector(".profile-top button").textContent);
        const all = { subtree: true, childList: true, characterData: true };
        new MutationObserver(note).observe(document.querySelector(".profile-top"), all);
    }""")
    before: list[tuple[Route, APIResponse]] = []
    ada.route("**/@bob", lambda route: before.append((route, route.fetch())), times=1)
    follow = ada.locator(".profile-top button")
    act(follow)
    while not before:
        ada.wait_for_timeout(10)
    act(follow)
    [(route, response)] = before
    with ada.expect_response("**/@bob"):
        route.fulfill(response=response)
    ada.wait_for_timeout(100)  # the page would show it
    with ada.expect_response("**/@bob"):
        ada.evaluate("window.answer()")
    is_as_after_a_reload(ada, ada.context.new_page())
    texts = ada.evaluate("window.texts")
    assert [text for text, _ in itertools.groupby(texts)] == ["Unfollow @bob", "Follow @bob"]


def test_without_a_session_a_follow_leads_to_the_sign_in_page_and_back(ada: Page) -> None:
    ada.goto("/@bob")
    ada.context.clear_cookies()
    with ada.expect_event("load"):
        button(ada, "Follow @bob").click()
    assert ada.url.endswith("/login?next=/@bob")
