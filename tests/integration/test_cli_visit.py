"""`tweeter visit`: requests and bytes of a page."""

import pytest

from tests.conftest import running, serving, settings_of
from tests.support.people import Browser, Person
from tweeter.cli import main


def test_second_visit_is_one_request(sqlite_url, capsys):
    with running(settings_of(sqlite_url)) as app, serving(app) as address:
        ada = Person(Browser(app), "Ada")
        for number in range(20):
            ada.post(f"number {number}")
        assert main(["visit", f"{address}/public"]) == 0
        lines = [line.strip("│ ").split("│") for line in capsys.readouterr().out.splitlines() if "│" in line]
        figures = {row[0].strip(): [int(value.replace(",", "")) for value in row[1:]] for row in lines}
        assert list(figures) == ["uncompressed", "gzip", "brotli", "as browsers ask"]
        assert figures["gzip"][0] < 5120 < figures["uncompressed"][0]  # the line of costs differs by a few bytes
        assert abs(figures["gzip"][0] - figures["as browsers ask"][0]) < 20
        for page, requests, size, later, size_later in figures.values():
            assert requests == 1 + 3 + 1  # the page, style, script and icon, one avatar
            assert page < size
            assert later == 1
            assert size_later < 1000  # a 304
        assert main(["visit", f"{address}/settings"]) == 1
        assert "status 303" in capsys.readouterr().err


@pytest.mark.parametrize("url", ["nonsense", "ftp://localhost/", "http:///", ""])
def test_other_words_are_rejected(url, capsys):
    assert main(["visit", url]) == 1
    assert "is no URL of a page" in capsys.readouterr().err
