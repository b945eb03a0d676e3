"""The report and the animation of `tweeter bench` in a browser.

axe finds no violations, they fit a phone, and they load nothing else.
"""

from pathlib import Path
from typing import Any, Literal

import pytest
from playwright.sync_api import Browser, expect

from tests.browser.conftest import PHONE
from tests.browser.test_accessibility import check
from tests.browser.test_reflow import faults_of
from tests.integration.test_bench_report import TINY
from tweeter.bench.animation.page import write_page
from tweeter.bench.animation.record import PageRead, Progress, Recording
from tweeter.bench.report.page import write_html
from tweeter.bench.schema import (
    SCHEMA,
    VERSION,
    Answered,
    Cost,
    Footprint,
    Latency,
    Measurement,
    Noise,
    Offered,
    Result,
    Run,
    summarize,
)

BACKENDS = ["sql", "memory", "your_own"]


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A report of made-up numbers."""
    path = tmp_path_factory.mktemp("report") / "bench.html"
    times = [summarize([[Cost(0.001 * (place + 1) * n, 2, 1) for n in range(1, 6)]] * 5) for place in range(3)]
    write_html(
        Result(
            SCHEMA, VERSION, "2026-11-23T12:00:00+00:00", 60.0, 1, True, TINY.data(), {"cpus": 2, "cpu": "of a kind",
            "python": "3.11"}, {"postgresql": "15"}, {"tweeter.capacity": 800}, BACKENDS, {"retwis": "a mix"},
            [
                Measurement(series, x, backend, measure, times[place])
                for series in ("followees", "followers", "users", "tweets")
                for x in (10, 100)
                for place, backend in enumerate(BACKENDS)
                for measure in ("home", "cold", "commit", "delivered")
            ],
            [Run("retwis", backend, 10, 1.0, [9, 10, 11], {"Post": times[0]}) for backend in BACKENDS],
            [Footprint(backend, 10, 100, 1_000_000, 2_000_000) for backend in BACKENDS],
            [Answered(backend, 10, 1, backend != "sql", 0, ["home:1: [] instead of [1]"]) for backend in BACKENDS],
            latency=Latency(
                [
                    Offered(
                        backend, processes, 10, rate, rate, 100, 0.01, 0.02, 0.001 * rate, {}, rate < 200, 0.001,
                        place == 1, {"site": 1.5, "PostgreSQL": 0.5, "generator": 0.1}, 2.0, 5, 0,
                    )
                    for processes in (1, 2)
                    for place, backend in enumerate(BACKENDS)
                    for rate in (100, 200, 400)[: place + 1]
                ],
                {"readers": 50, "median": 14, "mean": 35, "most": 900}, 0.25, 9000, 3, 2,
            ),
            noise=Noise(0.01, 0.012, 0.03, 100),
        ),
        path,
    )  # fmt: skip
    return path


@pytest.mark.parametrize(
    ("scheme", "screen"),
    [("light", {"viewport": {"width": 1280, "height": 900}}), ("dark", PHONE)],
    ids=["light desktop", "dark phone"],
)
def test_the_report(chromium: Browser, page: Path, scheme: Literal["light", "dark"], screen: dict[str, Any]) -> None:
    context = chromium.new_context(color_scheme=scheme, **screen)
    asked: list[str] = []
    shown = context.new_page()
    shown.on("request", lambda request: asked.append(request.url))
    shown.goto(page.as_uri())
    shown.evaluate("document.querySelectorAll('details').forEach(each => each.open = true)")
    assert "noisy" in shown.locator("h1 + p").inner_text()
    assert shown.locator("main h2").first.inner_text() == "Latency under offered load"
    assert "sql up to 100 or more; memory up to 100; " in shown.locator("#latency-1-10-heading + p").inner_text()
    check(shown)
    assert faults_of(shown) == []
    assert asked == [page.as_uri()]
    context.close()


@pytest.fixture(scope="module")
def animation(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A fan-out with made-up times: 60 of 100 watched timelines before the kill."""
    path = tmp_path_factory.mktemp("animation") / "fan-out.html"
    arrivals = [10.0 + number for number in range(60)] + [140.0 + number for number in range(40)]
    write_page(
        Recording(
            "2026-11-23T12:00:00+00:00", {"cpus": 2, "python": "3.11"}, {"redis": "7.0"}, 1000, arrivals,
            [Progress(12.0, 0, 200), Progress(60.0, 0, 500), Progress(135.0, 1, 500), Progress(181.0, 1, 1000)],
            -3.0, 70.0, 135.0, PageRead(100.0, 2.5, "redis", True), (4.0, 9.0), 1, 100, 1000, 0,
        ),
        path,
    )  # fmt: skip
    return path


def test_the_animation(chromium: Browser, animation: Path) -> None:
    context = chromium.new_context(viewport={"width": 1280, "height": 900})
    asked: list[str] = []
    page = context.new_page()
    page.on("request", lambda request: asked.append(request.url))
    page.goto(animation.as_uri())
    check(page)
    first, second, waiting = (page.locator(f"#{id_}") for id_ in ("first", "second", "waiting"))
    drawn = [each.get_attribute("d") or "" for each in (first, second)]
    assert [path.count("M") for path in drawn] == [60, 40]
    assert all(f'd="{path}"' in animation.read_text(encoding="utf-8") for path in drawn)  # without a script, too
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    expect(page.get_by_role("button", name="Pause")).to_be_focused()
    page.get_by_label("Speed").select_option("real time")
    expect(page.get_by_role("button", name="Play")).to_be_visible()
    expect(page.locator("#status")).to_contain_text("100 of 100 watched timelines")
    moment = page.get_by_label("Moment")
    for at in (0, 10, 70):
        page.get_by_role("button", name="Next event").click()
        expect(moment).to_have_value(str(at))
    expect(page.locator("#status")).to_have_text(
        "70 ms: 60 of 100 watched timelines have the tweet. Relay 1 is killed (SIGKILL)."
    )
    assert (waiting.get_attribute("d") or "").count("M") == 40
    moment.press("ArrowLeft")
    expect(page.locator("#status")).to_contain_text("69 ms: 60 of 100")
    check(page)
    page.emulate_media(media="print")
    expect(page.get_by_role("button", name="Play")).to_be_hidden()
    page.evaluate("dispatchEvent(new Event('beforeprint'))")
    assert (second.get_attribute("d") or "").count("M") == 40
    assert asked == [animation.as_uri()]
    context.close()


def test_the_animation_on_a_dark_phone_that_prefers_reduced_motion(chromium: Browser, animation: Path) -> None:
    phone: dict[str, Any] = PHONE
    context = chromium.new_context(color_scheme="dark", reduced_motion="reduce", **phone)
    page = context.new_page()
    page.goto(animation.as_uri())
    check(page)
    assert faults_of(page) == []
    expect(page.get_by_role("button", name="Play")).to_be_hidden()
    page.get_by_role("button", name="Next event").click()
    expect(page.locator("#status")).to_contain_text("0 ms: 0 of 100")
    context.close()
