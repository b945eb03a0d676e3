"""Atom feeds of profiles and hashtags."""

from collections.abc import Iterator
from pathlib import Path
from xml.etree import ElementTree as xml

import pytest
from pyramid.router import Router

from tests.support.api import shared_site, someone

ATOM = "{http://www.w3.org/2005/Atom}"


@pytest.fixture(scope="module")
def app(sqlite_template: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Router]:
    with shared_site(sqlite_template, tmp_path_factory.mktemp("feeds")) as app:
        yield app


def test_feed_and_conditional_requests(app: Router) -> None:
    ada = someone(app)
    assert ada.get(f"/@{ada.username}/feed.atom").text.count("<entry>") == 0
    first = ada.post(f"<Hello> & #feed{ada.username}\nsecond line")
    for url in (f"/@{ada.username}/feed.atom", f"/tags/feed{ada.username}/feed.atom"):
        answer = ada.get(url)
        assert answer.content_type == "application/atom+xml"
        feed = xml.fromstring(answer.body)
        [entry] = feed.findall(f"{ATOM}entry")
        assert entry.findtext(f"{ATOM}id") == f"http://localhost/tweets/{first}"
        assert entry.findtext(f"{ATOM}title") == f"<Hello> & #feed{ada.username}"
        assert '&lt;Hello&gt; &amp; <bdi><a href="http://localhost/tag/' in entry.findtext(f"{ATOM}content", "")
        same = {"If-None-Match": answer.headers["ETag"]}
        ada.get(url, 304, headers=same)
        # A date would not tell of a deletion, or of a second tweet in the same second.
        ada.get(url, 200, headers={"If-Modified-Since": "Sat, 01 Jan 2050 00:00:00 GMT"})
    ada.post("another")
    assert ada.get(f"/@{ada.username}/feed.atom", headers=same).text.count("<entry>") == 2
    assert f'href="/@{ada.username}/feed.atom"' in ada.get(f"/@{ada.username}").text


def test_reposts_in_a_feed_are_marked(app: Router) -> None:
    ada, bob = someone(app), someone(app)
    tweet = ada.post("hello")
    bob.send(f"/tweets/{tweet}/repost", status=303)
    [entry] = xml.fromstring(bob.get(f"/@{bob.username}/feed.atom").body).findall(f"{ATOM}entry")
    assert entry.findtext(f"{ATOM}title") == f"Reposted @{ada.username}: hello"
    assert entry.findtext(f"{ATOM}author/{ATOM}uri") == f"http://localhost/@{ada.username}"
    address = entry.findtext(f"{ATOM}id", "").removeprefix("http://localhost")
    assert bob.get(address, 302).location == f"/tweets/{tweet}"


def test_unknown_feeds(app: Router) -> None:
    ada = someone(app)
    for url in ("/@nobody_here/feed.atom", "/tags/%20/feed.atom"):
        ada.get(url, 404)
