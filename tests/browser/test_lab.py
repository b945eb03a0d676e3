"""The lab in a browser: no axe violations, no overflow on a phone, and progress without a reload."""

from contextlib import closing
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from tests.browser.conftest import PHONE, Opener, post, press, sign_up
from tests.browser.test_accessibility import check
from tweeter.devtools.servers import Memcached


@pytest.fixture
def site(site_with_lab: str) -> str:
    return site_with_lab


def break_redis(page: Page) -> None:
    page.goto("/lab/live")
    press(page.get_by_role("button", name="Break it: hang connections to redis"))
    expect(page.get_by_text("redis, from SQL").first).to_be_visible()


@pytest.mark.parametrize(
    ("scheme", "screen"),
    [("light", {"viewport": {"width": 1280, "height": 900}}), ("dark", PHONE)],
    ids=["light desktop", "dark phone"],
)
def test_axe_finds_no_violations_in_any_state(open_browser: Opener, scheme: str, screen: dict[str, Any]) -> None:
    ada = open_browser(color_scheme=scheme, **screen)
    sign_up(ada, "ada", "Ada")
    post(ada, "Hello from the lab")
    pages = ("/lab", "/lab/steps", "/lab/live", "/lab?user=nobody", "/lab?limit=7", "/lab/progress")
    for url in pages:
        check(ada, url)
    ada.goto("/lab/live")
    ada.get_by_label("10 followers").first.check()
    press(ada.get_by_role("button", name="Post and watch"))
    expect(ada.get_by_role("heading", name="Done: a post to 10 followers")).to_be_visible()
    check(ada)
    press(ada.get_by_role("group", name="Backend of all pages in this browser").get_by_role("button", name="redis"))
    check(ada)
    break_redis(ada)
    for url in ("", *pages[:3], "/"):
        check(ada, url)
    ada.goto("/lab/live")
    press(ada.get_by_role("button", name="Mend it and catch up redis"))
    expect(ada.get_by_text("caught up and the circuit closed")).to_be_visible()
    check(ada)
    ada.goto("/lab")
    for summary in ada.locator("summary").all():
        summary.click()
    check(ada)


@pytest.mark.parametrize("url", ["/lab", "/lab/steps", "/lab/live"])
def test_page_updates_when_a_server_starts_or_stops(open_browser: Opener, memcached_port: int, url: str) -> None:
    ada = open_browser()
    sign_up(ada, "ada")
    ada.goto(url)
    if url == "/lab/live":
        ada.get_by_label("20,000 followers").check()
    ada.get_by_label("Whose timeline?").fill("half a na")
    absent = ada.get_by_text("Run make services in another terminal to start it.")
    expect(absent.first).to_be_visible()
    ada.evaluate("window.loaded = 'once'")
    with closing(Memcached()) as server:
        server.port = memcached_port
        server.start()
        expect(absent).to_have_count(0)
        expect(ada.get_by_role("status").filter(has_text="redis answers, memcached answers")).to_have_count(1)
        check(ada)
    expect(absent.first).to_be_visible()
    expect(ada.get_by_label("Whose timeline?")).to_have_value("half a na")
    if url == "/lab/live":
        expect(ada.get_by_label("20,000 followers")).to_be_checked()
    assert ada.evaluate("window.loaded") == "once"


def test_hidden_or_signed_out_lab_page_does_not_poll(open_browser: Opener) -> None:
    ada = open_browser()
    sign_up(ada, "ada")
    ada.clock.install()
    ada.goto("/lab")
    asked: list[str] = []
    ada.on("request", lambda request: asked.append(request.url) if "/lab/state" in request.url else None)
    ada.evaluate("Object.defineProperty(document, 'hidden', {value: true, configurable: true})")
    ada.clock.run_for(60_000)
    assert len(asked) <= 1  # which was under way
    ada.evaluate("Object.defineProperty(document, 'hidden', {value: false})")
    ada.context.clear_cookies()
    with ada.expect_response(lambda response: "/login" in response.url):
        ada.clock.run_for(2_500)
    asked.clear()
    ada.clock.run_for(60_000)
    assert asked == []


def test_deliveries_appear_without_a_reload(open_browser: Opener) -> None:
    ada = open_browser()
    sign_up(ada, "ada")
    ada.goto("/lab/live")
    ada.get_by_label("1,000 followers").check()
    press(ada.get_by_role("button", name="Post and watch"))
    expect(ada.get_by_text("1,003 of 1,003 timelines")).to_have_count(2, timeout=30_000)  # memory and redis
    expect(ada.get_by_text("waits in the outbox until the store responds")).to_be_visible()
    expect(ada.get_by_role("heading", name="Done: a post to 1,000 followers, their timelines warm")).to_be_visible()


def test_lab_works_without_javascript(open_browser: Opener) -> None:
    ada = open_browser(java_script_enabled=False)
    sign_up(ada, "ada")
    ada.goto("/lab/live")
    ada.get_by_label("10 followers").first.check()
    press(ada.get_by_role("button", name="Post and watch"))
    for _ in range(100):
        if ada.get_by_role("heading", name="Done:").count():
            break
        press(ada.get_by_role("link", name="Reload"))
    expect(ada.get_by_text("13 of 13 timelines")).to_have_count(2)  # memory and redis
    ada.goto("/lab/progress")  # it may be done before the first poll
    ada.get_by_role("link", name="Back to the lab").click()
    expect(ada.get_by_role("heading", name="Done:")).to_be_visible()


def test_switch_is_shown_on_every_page_and_can_be_reset(open_browser: Opener) -> None:
    ada = open_browser()
    sign_up(ada, "ada")
    ada.goto("/")
    ada.get_by_role("link", name="Lab").click()
    ada.get_by_role("button", name="redis", exact=True).click()
    expect(ada.get_by_role("button", name="redis", exact=True)).to_have_attribute("aria-pressed", "true")
    ada.goto("/public")
    expect(ada.get_by_role("region", name="The lab")).to_contain_text("Pages in this browser come from redis")
    expect(ada.locator(".costs")).to_contain_text("Served by redis")
    ada.get_by_role("button", name="back to sql").click()
    expect(ada.get_by_role("region", name="The lab")).to_have_count(0)
    assert ada.url.endswith("/public")
