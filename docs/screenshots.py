"""Makes the screenshots of the site and of the talk. First run `make serve` and `make services`."""

from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from playwright.sync_api import Browser, Locator, Page, expect, sync_playwright

from tweeter.bench.report.page import write_html
from tweeter.bench.schema import read_json

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
    page = browser.new_page(viewport={"width": 1280, "height": 900})
    page.goto((FOLDER.parent / "results" / "fan-out.html").as_uri())
    page.locator(".stage").screenshot(path=FOLDER / "fan-out.png")


def record(element: Locator, name: str) -> None:
    """A screenshot of one part of a page, and its text on standard output."""
    bar = element.page.locator(".bar")
    bar.evaluate("bar => { bar.style.position = 'static' }")  # it would cover a tall part
    element.screenshot(path=FOLDER / f"{name}.png")
    print(f"== {name}\n{element.inner_text()}\n")


def finished(page: Page, title: str) -> Locator:
    """The card of the lab's job, when it is done."""
    expect(page.get_by_role("heading", name=f"Done: {title}")).to_be_visible(timeout=600_000)
    page.reload()
    return page.locator("#job")


def talk(page: Page) -> None:
    """The steps of docs/how-to/talk.md, in its order."""
    page.goto("/lab/live")
    for create in page.get_by_role("button", name="Create readers").all():
        create.click()
        finished(page, "creating readers")
    page.goto("/lab/steps?user=lab_follows_10")
    page.goto("/lab/steps?user=lab_follows_5000")  # the second time all parts of the process are warm
    record(page.locator("section", has=page.locator("#growth")), "talk-growth")
    page.goto("/lab?user=lab_follows_5000")
    record(page.locator("figure.statement").first, "talk-join")
    page.goto("/lab/steps?user=lab_follows_5000")
    record(page.locator("ol.steps"), "talk-steps")
    page.goto("/lab/live?user=lab_follows_5000")
    page.get_by_label("20,000 followers", exact=True).check()
    page.get_by_role("button", name="Post and watch").click()
    record(finished(page, "a post to 20,000"), "talk-race")
    page.locator("input[name=readers][value='32']").check()
    page.get_by_role("button", name="Start reading").click()
    record(finished(page, "32 readers"), "talk-load")
    page.get_by_role("button", name="Empty the cache of redis").click()
    page.get_by_role("button", name="timeline in redis").click()
    record(page.locator("ul.experiments > li").first, "talk-drop")
    page.get_by_role("button", name="Break it: hang connections to redis").click()
    page.wait_for_timeout(6_000)
    page.get_by_role("button", name="Mend it").click()
    page.wait_for_timeout(4_000)
    record(page.locator("#outage"), "talk-outage")
    page.goto("/lab/steps")
    page.get_by_role("button", name="Measure the public page").click()
    finished(page, "the public page")
    page.goto("/lab/live")
    record(page.locator("#job"), "talk-public")


def report(browser: Browser) -> None:
    """The plots of the committed run."""
    charts = {
        "bench-latency": ("latency-1-0", "latency-1-10", "latency-2-0", "latency-2-10"),
        "bench": ("followees-home", "followers-delivered"),
        "bench-more": ("users-home", "tweets-home", "throughput", "memory"),
    }
    page = browser.new_page(viewport={"width": 1280, "height": 900})
    with TemporaryDirectory() as folder:
        write_html(read_json(Path(__file__).parent / "results" / "bench.json"), path := Path(folder) / "bench.html")
        for picture, names in charts.items():
            page.goto(path.as_uri())
            page.evaluate(
                """names => {
                  const figures = names.map(name => document.getElementById(`${name}-heading`).closest("section"));
                  document.body.replaceChildren(...figures.map(section => section.querySelector("figure")));
                  document.body.style = "display: grid; grid-template-columns: 1fr 1fr; max-width: none; margin: 0";
                }""",
                list(names),
            )
            page.locator("body").screenshot(path=FOLDER / f"{picture}.png")


def main() -> None:
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=HEADLESS_SHELL, args=["--no-sandbox"])
        recorded(browser)
        report(browser)
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
        talk(page)
        page.get_by_role("button", name="test accounts").click()


if __name__ == "__main__":
    main()
