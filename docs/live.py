"""Records a session of two browsers: how long until a tweet that one posts is announced in the other.

Starts a private site behind a private Pushpin. `python docs/live.py` prints the figures and makes the screenshot.
"""

import argparse
import statistics
from contextlib import ExitStack, closing
from pathlib import Path
from tempfile import TemporaryDirectory

from playwright.sync_api import Browser, Page, expect, sync_playwright

from tweeter.console.migrations import migrate
from tweeter.devtools.servers import Pushpin, free_port
from tweeter.devtools.servers.processes import SiteProcess, write_ini

HEADLESS_SHELL = "/usr/lib/chromium/chromium-headless-shell"
FOLDER = Path(__file__).parent / "screenshots"
WIDTH = {"viewport": {"width": 640, "height": 480}}
# The time of the last click on Post, and of the last announcement, in ms: both browsers have the same clock.
NOTE_TIMES = """
const now = () => performance.timeOrigin + performance.now();
addEventListener("submit", () => localStorage.setItem("posted", now()), true);
addEventListener("DOMContentLoaded", () => new MutationObserver(() => {
  if (document.querySelector(".news")) window.announced ??= now();
}).observe(document.body, { childList: true, subtree: true }));
"""


def start(stack: ExitStack, folder: Path) -> str:
    """Starts the site and Pushpin; the address of Pushpin."""
    url = f"sqlite:///{folder}/site.sqlite"
    migrate(url)
    site = stack.enter_context(closing(SiteProcess(folder / "site.ini")))
    site.port = free_port()
    pushpin = stack.enter_context(closing(Pushpin(site.port)))
    pushpin.start()
    own = {"sqlalchemy.url": url, "tweeter.timelines": "memory", "tweeter.secure_cookies": "false"}
    write_ini(folder / "site.ini", own | pushpin.settings | {"tweeter.secret": "of a private site that lives a minute"})
    site.start()
    return pushpin.url


def person(browser: Browser, address: str, name: str) -> Page:
    """A browser in which a new user is signed in."""
    page = browser.new_context(base_url=address, **WIDTH).new_page()  # type: ignore[arg-type]
    page.add_init_script(NOTE_TIMES)
    page.goto("/signup")
    page.get_by_label("Username").fill(name)
    page.get_by_label("Password").fill("a good password")
    page.locator("main").get_by_role("button", name="Sign up").click()
    page.wait_for_url("**/")
    return page


def post(page: Page, message: str) -> float:
    """Posts a tweet; the time of the click."""
    page.get_by_label("What would you like to say?").fill(message)
    with page.expect_event("load"):
        page.get_by_role("button", name="Post", exact=True).click()
    return float(page.evaluate("localStorage.getItem('posted')"))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--tweets", type=int, default=50)
    tweets = parser.parse_args().tweets
    with ExitStack() as stack:
        address = start(stack, Path(stack.enter_context(TemporaryDirectory())))
        playwright = stack.enter_context(sync_playwright())
        browser = playwright.chromium.launch(executable_path=HEADLESS_SHELL, args=["--no-sandbox"])
        ada, bob = (person(browser, address, name) for name in ("ada", "bob"))
        post(bob, "Good morning")
        ada.goto("/@bob")
        with ada.expect_response("**/@bob/follow"):
            ada.get_by_role("button", name="Follow @bob").click()
        with ada.expect_response("**/live?*"), ada.expect_response("**/newer?*"):
            ada.goto("/")
        times = []
        for number in range(tweets + 1):  # the first finds the caches of the site empty
            posted = post(bob, f"Tweet number {number}")
            expect(ada.locator(".news")).to_be_visible()
            times.append(float(ada.evaluate("window.announced")) - posted)
            if number == tweets:
                ada.screenshot(path=FOLDER / "live-reader.png")
            ada.locator(".news").click()
            expect(ada.locator("article").first).to_contain_text(f"Tweet number {number}")
            ada.evaluate("delete window.announced")
        times = sorted(times[1:])
        worst = times[-max(1, len(times) // 20)]
        print(
            f"From the click on Post until the other browser announces the tweet, {tweets} tweets: "
            f"median {statistics.median(times):.0f} ms, 95 % within {worst:.0f} ms, all within {times[-1]:.0f} ms."
        )
        browser.close()


if __name__ == "__main__":
    main()
