"""Makes the screenshots of the site: run `make serve` and `make services`, then `python docs/screenshots.py`."""

from pathlib import Path
from typing import Any

from playwright.sync_api import Browser, Page, expect, sync_playwright

HEADLESS_SHELL = "/usr/lib/chromium/chromium-headless-shell"
FOLDER = Path(__file__).parent / "screenshots"
DESKTOP = {"viewport": {"width": 1280, "height": 900}}
PHONE = {"viewport": {"width": 390, "height": 844}, "color_scheme": "dark", "is_mobile": True}


def signed_in(browser: Browser, **options: Any) -> Page:
    page = browser.new_context(base_url="http://localhost:6543", **options).new_page()
    page.goto("/login")
    page.get_by_label("Username").fill("demo")
    page.get_by_label("Password", exact=True).fill("demodemo")
    page.locator("main button[type=submit]").click()
    page.goto("/")
    return page


def shoot(page: Page, name: str, **options: Any) -> None:
    page.evaluate("window.scrollTo(0, 0)")  # the header sticks to the top of the visible part
    page.screenshot(path=FOLDER / f"{name}.png", **options)


def recorded(browser: Browser) -> None:
    """The still of the recorded fan-out."""
    page = browser.new_page(**DESKTOP)
    page.goto((FOLDER.parent / "results" / "fan-out.html").as_uri())
    page.locator(".stage").screenshot(path=FOLDER / "fan-out.png")


def main() -> None:
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=HEADLESS_SHELL, args=["--no-sandbox"])
        recorded(browser)
        shoot(signed_in(browser, **PHONE), "phone")
        page = signed_in(browser, **DESKTOP)
        shoot(page, "home")
        page.reload()
        page.locator("footer").screenshot(path=FOLDER / "foot.png")
        page.goto("/lab")
        page.reload()  # the second time all parts of the process are warm
        page.locator("details").nth(1).evaluate("details => details.open = true")  # the statement of sql
        shoot(page, "lab", full_page=True)
        page.goto("/lab/steps")
        page.get_by_role("button", name="Create readers").click()
        expect(page.get_by_role("heading", name="Done: creating readers")).to_be_visible(timeout=60_000)
        page.goto("/lab/steps?user=lab_follows_5000")
        shoot(page, "lab-steps", full_page=True)
        page.goto("/lab/live")
        page.get_by_role("group").get_by_role("button", name="redis", exact=True).click()
        page.goto("/")
        shoot(page, "lab-switched", clip={"x": 0, "y": 0, "width": 1280, "height": 420})
        page.goto("/lab/live")
        page.get_by_role("button", name="Break it: hang connections to redis").click()
        expect(page.get_by_text("redis, from SQL").first).to_be_visible()
        page.get_by_label("1,000 followers").check()
        page.get_by_role("button", name="Post and watch").click()
        expect(page.get_by_role("heading", name="Done: a post to 1,000")).to_be_visible(timeout=60_000)
        shoot(page, "lab-fallback", full_page=True)
        page.get_by_role("button", name="Mend it").click()
        page.get_by_role("group").get_by_role("button", name="sql", exact=True).click()
        page.get_by_role("button", name="test accounts").click()


if __name__ == "__main__":
    main()
