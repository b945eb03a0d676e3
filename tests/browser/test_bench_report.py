"""The report of `tweeter bench` in a browser: axe finds no violations, it fits a phone, and it loads nothing else."""

from pathlib import Path
from typing import Any, Literal

import pytest
from playwright.sync_api import Browser

from tests.browser.conftest import PHONE
from tests.browser.test_accessibility import check
from tests.browser.test_reflow import faults_of
from tests.integration.test_bench_report import TINY
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
