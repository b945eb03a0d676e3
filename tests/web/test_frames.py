"""Pages assembled from cached frames equal the rendered pages byte for byte."""

import re

import pytest

from tests.conftest import running, settings_of
from tests.support.people import Browser, Person
from tweeter.web.tokens import unmask
from tweeter.web.views.frames import Frames

COSTS = re.compile(r'<span class="costs">.*?</span>')
VARYING = re.compile(rf'{COSTS.pattern}|name="csrf_token" value="\w+"')  # between two requests


@pytest.fixture
def app(sqlite_url):
    with running(settings_of(sqlite_url)) as app:
        yield app


@pytest.fixture
def rendered(app):
    """`rendered(person, url)` is the page without frames."""

    def rendered(person, url):
        frames = app.registry.pop("frames")
        try:
            return VARYING.sub("", person.get(url).text)
        finally:
            app.registry["frames"] = frames

    return rendered


def shown(person, url):
    page = person.get(url)
    assert COSTS.search(page.text)
    assert page.headers["Content-Type"] == "text/html; charset=UTF-8"
    return VARYING.sub("", page.text)


def frames_of(app):
    return app.registry["frames"]._frames


@pytest.fixture
def people(app):
    ada = Person(Browser(app), "Ada")
    bob = Person(Browser(app))
    bob.sign_up("bob", display_name="<b>Bob</b> & \\1 \u00e9 \U0001f426")
    for number in range(25):
        ada.post(f"number {number} <i> & \\g<0> {number:x}")
    bob.follow("Ada")
    for person in (ada, bob):
        person.get("/")  # takes the messages
    return ada, bob


URLS = ("/", "/public", "/?limit=3", "/public?limit=100", "/public?limit=24")


def test_framed_pages_equal_rendered_pages(app, people, rendered):
    stranger = Person(Browser(app))
    stranger.get("/login")  # has a session with a CSRF token
    for _ in range(2):  # frames are created, then used
        for person in (*people, stranger):
            for url in URLS:
                assert shown(person, url) == rendered(person, url)
        [older] = re.findall(r'rel="next" href="([^"]+)"', people[0].get("/").text)
        assert shown(people[0], older.replace("&amp;", "&")) == rendered(people[0], older.replace("&amp;", "&"))
    assert len(frames_of(app)) > 5


def test_changes_appear_on_the_next_page(app, people, rendered):
    ada, bob = people
    before = shown(ada, "/")
    assert ">Bob<" not in before
    assert "<strong>1</strong> follower" in before
    bob.unfollow("Ada")
    bob.get("/")  # takes the message
    assert "<strong>0</strong> followers" in shown(ada, "/")
    bob.send("/settings", action="profile", display_name="Robert", bio="", status=303)
    bob.get("/")
    for person in people:
        assert shown(person, "/") == rendered(person, "/")
    assert "Robert" in shown(bob, "/")


def test_a_message_and_a_draft_are_shown_once(app, people):
    ada, _ = people
    kept = len(frames_of(app))
    ada.send("/tweets", message="one more", status=303)
    assert 'class="flash"' in ada.get("/").text
    assert 'class="flash"' not in ada.get("/").text
    refused = ada.send("/tweets", message="x" * 1000, status=400)
    assert "x" * 1000 in refused.text
    assert "x" * 1000 not in ada.get("/").text
    assert len(frames_of(app)) >= kept


def test_frames_are_not_shared_between_viewers(app, people):
    ada, _ = people
    tokens = [unmask(person.token("/public")) for person in people]
    assert all(tokens)
    assert tokens[0] != tokens[1]
    assert "/@bob" not in shown(ada, "/public")
    ada.sign_out()
    page = ada.get("/public").text
    assert "Sign out" not in page
    assert "csrf_token" not in page


def test_frames_are_bounded(app, people):
    frames = app.registry["frames"] = Frames(size=3)
    for _ in range(2):
        for person in people:
            for url in URLS:
                person.get(url)
    assert len(frames._frames) == 3


@pytest.mark.parametrize("setting", ["pyramid.reload_templates", "tweeter.lab"])
def test_no_frames_with_template_reloading(sqlite_url, setting):
    with running(settings_of(sqlite_url) | {setting: True}) as app:
        assert "frames" not in app.registry
        ada = Person(Browser(app, extra_environ={"REMOTE_ADDR": "127.0.0.1"}), "Ada")
        ada.post("hello")
        assert "hello" in ada.get("/").text
