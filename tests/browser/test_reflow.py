"""Every page fits every screen from 320 pixels, with any fonts: nothing overflows, overlaps or is cut off.

Fonts differ between machines, and some are a sixth wider than others. So each page is also checked with the
spacing of letters and words that readers may ask for (WCAG 2.2, 1.4.12), which is wider than any font.
"""

import pytest
from playwright.sync_api import Page, expect

from tests.browser.conftest import Opener, act, make_list, post, press, sign_up
from tests.support.people import PASSWORD

# Each breakpoint of the style sheets from both sides, and common screens between.
WIDTHS = (320, 360, 390, 600, 720, 721, 860, 861, 1100, 1101, 1280)

ME = "/@" + "W" * 20

SPACED = """() => {
  const sheet = new CSSStyleSheet();
  sheet.replaceSync('* { letter-spacing: .12em !important; word-spacing: .16em !important }');
  document.adoptedStyleSheets = [sheet];
}"""

FAULTS = r"""(width) => {
  const faults = [];
  const what = (element) => `${element.tagName.toLowerCase()}.${element.getAttribute('class') ?? ''} ` +
    `“${element.textContent.trim().replace(/\s+/g, ' ').slice(0, 30)}”`;
  const wide = document.documentElement.scrollWidth;
  if (wide > width) faults.push(`the page is ${wide} wide`);
  const style = (element) => getComputedStyle(element);
  const hidden = (element) => element.closest('.sr, .skip, [hidden], [aria-hidden="true"] *');
  const within = (element, test) => {
    for (let each = element.parentElement; each; each = each.parentElement) if (test(style(each))) return true;
    return false;
  };
  const scrolls = (element) => within(element, (css) => ['auto', 'scroll'].includes(css.overflowX));
  const clipped = (element) => within(element, (css) => css.overflowX === 'hidden');

  for (const element of document.querySelectorAll('body *')) {
    const box = element.getBoundingClientRect();
    if (!box.width || !box.height || element.closest('.sr, .skip') || scrolls(element) || clipped(element)) continue;
    if (box.right > width + .5 || box.left < -.5) faults.push(`${what(element)} is at ${box.left} to ${box.right}`);
  }

  // Words of people may be longer than a screen; the site's own are not.
  const lines = [];
  const texts = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  for (let text = texts.nextNode(); text; text = texts.nextNode()) {
    const parent = text.parentElement;
    if (!text.data.trim() || hidden(parent) || !parent.checkVisibility()) continue;
    if (scrolls(parent) || clipped(parent)) continue;
    const range = document.createRange();
    range.selectNodeContents(text);
    if (!parent.closest('.bar, .rooms')) for (const box of range.getClientRects()) lines.push([parent, box]);
    if (parent.closest('.message, .bio, bdi, .handle, pre, code, [dir=auto]')) continue;
    for (const word of text.data.matchAll(/(?<![^\s\-–])[^\s\-–]{2,15}(?![^\s\-–])/gu)) {
      range.setStart(text, word.index);
      range.setEnd(text, word.index + word[0].length);
      const tops = new Set(Array.from(range.getClientRects(), (box) => Math.round(box.top)));
      if (tops.size > 1) faults.push(`“${word[0]}” is cut in two in ${what(parent)}`);
    }
  }
  lines.forEach(([one, a], place) => {
    for (const [other, b] of lines.slice(place + 1)) {
      if (one === other) continue;
      const across = Math.min(a.right, b.right) - Math.max(a.left, b.left);
      const down = Math.min(a.bottom, b.bottom) - Math.max(a.top, b.top);
      if (across > 2 && down > 5) faults.push(`${what(one)} and ${what(other)} overlap`);
    }
  });

  for (const element of document.querySelectorAll('a, button, input, textarea, summary')) {
    if (element.type === 'hidden' || element.closest('.sr, .skip') || !element.checkVisibility()) continue;
    element.scrollIntoView({ block: 'center', behavior: 'instant' });
    const box = element.getClientRects()[0];
    const hit = document.elementFromPoint((box.left + box.right) / 2, (box.top + box.bottom) / 2);
    if (!element.contains(hit)) faults.push(`${hit ? what(hit) : 'nothing'} covers ${what(element)}`);
  }
  return faults;
}"""


@pytest.fixture
def site(site_with_lab: str) -> str:
    return site_with_lab


@pytest.fixture
def ada(open_browser: Opener) -> Page:
    """A user with long names and words, whose pages contain all elements."""
    ada = open_browser()
    sign_up(ada, "W" * 20, "W" * 50)
    ada.goto("/settings")
    ada.get_by_label("Bio").fill("W" * 160)
    press(ada.get_by_role("button", name="Save profile"))
    for message in ("W" * 140, "https://example.org/" + "x" * 119, "שלום and hello", "plain words " * 11):
        post(ada, message)
    ada.goto("/lab/live")
    ada.get_by_label("10 followers").first.check()
    press(ada.get_by_role("button", name="Post and watch"))
    expect(ada.get_by_role("heading", name="Done: a post to 10 followers")).to_be_visible()
    press(ada.get_by_role("button", name="Empty the cache of redis"))
    ada.goto("/@lab_ten")
    act(ada.get_by_role("button", name="Follow"))
    return ada


def faults_of(page: Page) -> list[str]:
    """The problems of the current page at each width, plain and spaced."""
    page.evaluate("document.querySelectorAll('details').forEach((each) => { each.open = true; })")
    found = []
    for spaced in (False, True):
        if spaced:
            page.evaluate(SPACED)
        for width in WIDTHS:
            page.set_viewport_size({"width": width, "height": 900})
            faults = page.evaluate(FAULTS, width)
            found += [f"{page.url} at {width}{' spaced' if spaced else ''}: {fault}" for fault in faults]
    return found


def check(page: Page, *urls: str) -> None:
    found = []
    for url in urls:
        page.goto(url)
        found += faults_of(page)
    assert not found, "\n".join(found)


def own_tweet(page: Page) -> str:
    page.goto(ME)
    press(page.locator("article .when").first)
    return page.url


def test_pages_for_a_signed_in_user(ada: Page) -> None:
    check(ada, "/", "/public", "/mentions", "/search", "/search?q=WWW", "/search?q=zzz", "/settings")
    check(ada, ME, f"{ME}/followers", f"{ME}/following", "/@lab_ten", "/@lab_ten/followers", own_tweet(ada))
    made = make_list(ada, "W" * 50, "lab_ten")
    check(ada, made, f"{made}/members", "/lists", "/@lab_ten/lists", "/tag/" + "w" * 100)
    check(ada, "/tweets/1", "/nothing", "/?before=x", "/?before=1")


def test_pages_for_an_anonymous_visitor(ada: Page, open_browser: Opener) -> None:
    bob = open_browser()
    check(bob, "/", "/?before=1", "/public", ME, own_tweet(ada), "/login", "/signup", "/nothing")
    check(bob, "/search", "/search?q=WWW", "/search?q=zzz")


def test_notifications(ada: Page, open_browser: Opener) -> None:
    bob = open_browser()
    sign_up(bob, "M" * 20, "M" * 50)
    bob.goto(ME)
    act(bob.get_by_role("button", name="Follow"))
    bob.get_by_role("button", name="Like").first.click()
    post(bob, f"@{ME[2:]} " + "M" * 100)
    check(ada, "/public", "/notifications")


def test_the_lab(ada: Page) -> None:
    pages = "/lab", "/lab/steps", "/lab/live", "/lab/progress"
    check(ada, *pages, "/lab?user=nobody", "/lab?limit=7")
    ada.goto("/lab/live")
    press(ada.get_by_role("button", name="Break it: hang connections to redis"))
    expect(ada.get_by_text("redis, from SQL").first).to_be_visible()
    press(ada.get_by_role("group", name="Backend of all pages in this browser").get_by_role("button", name="redis"))
    check(ada, *pages, "/")


def test_pages_of_rejected_forms(ada: Page) -> None:
    press(ada.get_by_role("link", name="Home"))
    ada.get_by_label("What would you like to say?").fill("long words " * 20)
    press(ada.get_by_role("button", name="Post", exact=True))
    expect(ada.locator(".error")).to_be_visible()
    found = faults_of(ada)
    ada.goto("/settings")
    ada.get_by_label("Bio").fill("long words " * 20)
    press(ada.get_by_role("button", name="Save profile"))
    expect(ada.locator(".error")).to_be_visible()
    found += faults_of(ada)
    ada.get_by_label("Your password").fill(PASSWORD)
    press(ada.get_by_role("button", name="Close my account"))
    expect(ada.get_by_role("heading", name="Close @")).to_be_visible()
    found += faults_of(ada)
    assert not found, "\n".join(found)
