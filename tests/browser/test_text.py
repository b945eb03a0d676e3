"""Lines of text in any script, as Chromium lays them out."""

import pytest
from playwright.sync_api import Locator, Page, expect

from tests.browser.conftest import Opener, post, sign_up

HEBREW = "שלום עולם, מה שלומך?"
ARABIC = "مرحبا، كيف الحال؟"


@pytest.fixture
def ann(open_browser: Opener) -> Page:
    page = open_browser()
    sign_up(page, "ann")
    return page


def directions(paragraph: Locator) -> list[str]:
    """The direction of the paragraph, then of each line."""
    found: list[str] = paragraph.evaluate("p => [p, ...p.children].map(element => getComputedStyle(element).direction)")
    return found


def starts(paragraph: Locator) -> list[str]:
    """The side to which each line is aligned."""
    found: list[str] = paragraph.evaluate("""p => [...p.children].map(line => {
        const range = document.createRange();
        range.selectNodeContents(line);
        const [text, box] = [range.getBoundingClientRect(), p.getBoundingClientRect()];
        return text.left - box.left <= box.right - text.right ? "left" : "right";
    })""")
    return found


LINES = {
    f"@ann {HEBREW}": "rtl",
    f"#tag {HEBREW}": "rtl",
    f"https://example.org/a {ARABIC}": "rtl",
    f"＠ann #tag https://example.org/a {ARABIC} #tag": "rtl",
    "#שלום": "rtl",
    f"{HEBREW} @ann": "rtl",
    f"12: {HEBREW}": "rtl",
    "@ann hello שלום": "ltr",
    "#שלום hello": "ltr",
    "12 😀": "ltr",
}


def test_names_tags_and_links_do_not_decide_the_direction(ann: Page) -> None:
    for line, direction in LINES.items():
        post(ann, line)
        paragraph = ann.locator(".message").first
        expect(paragraph).to_have_text(line)
        assert directions(paragraph) == [direction] * 2, line
        assert starts(paragraph) == [{"ltr": "left", "rtl": "right"}[direction]], line


def test_each_line_has_its_own_direction(ann: Page) -> None:
    lines = ["First in English", HEBREW, "", "@ann #שלום", f"@ann {ARABIC}", "and   back"]
    ann.goto("/settings")
    ann.get_by_label("Bio").fill("\n".join(lines))
    ann.get_by_role("button", name="Save profile").click()
    post(ann, "\n".join(lines))
    ann.goto("/@ann")
    for paragraph in (ann.locator(".message"), ann.locator(".bio").first):
        assert directions(paragraph) == ["ltr", "ltr", "rtl", "rtl", "rtl", "rtl", "ltr"]
        assert starts(paragraph)[:2] + starts(paragraph)[3:] == ["left", "right", "right", "right", "left"]
        assert paragraph.evaluate("p => p.textContent") == "\n".join(lines)
        heights = paragraph.evaluate("p => [...p.children].map(line => line.getBoundingClientRect().height)")
        assert len(set(heights)) == 1
        copied = paragraph.evaluate("p => (getSelection().selectAllChildren(p), String(getSelection()))")
        assert copied == "\n".join(lines)


def test_a_name_keeps_its_sign_on_its_left_within_hebrew(ann: Page) -> None:
    post(ann, f"{HEBREW} @ann {HEBREW}")
    left_of_sign, left_of_name = ann.locator(".message a").evaluate("""a => [0, 1].map(at => {
        const range = document.createRange();
        range.setStart(a.firstChild, at);
        range.setEnd(a.firstChild, at + 1);
        return range.getBoundingClientRect().left;
    })""")
    assert left_of_sign < left_of_name


def test_invisible_lines_collapse_and_invisible_name_is_replaced_by_the_username(
    open_browser: Opener,
) -> None:
    for username, name in (("ann", "\u0301"), ("bob", "\U0001d159"), ("cat", "\ufffc"), ("dan", "\u3164\u2800")):
        page = open_browser()
        sign_up(page, username, name)
        expect(page.locator(".you .name")).to_have_text(username)
        post(page, "above\n" + "\u200b\n" * 60 + "below")
        message = page.locator(".message").first
        assert message.evaluate("p => p.textContent") == "above\n\nbelow"
        assert message.locator("span").count() == 3
