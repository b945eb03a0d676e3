"""The public timeline of signed-out readers: cacheable, without cookies, with an ETag that changes with the page."""

import re
from http.cookies import SimpleCookie

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from webob import Request

from tests.conftest import running, settings_of
from tests.support.people import PASSWORD, Browser, Person, await_deliveries
from tweeter.services.actions import acting

COSTS = re.compile(r'<span class="costs">.*?</span>')
SHARED = "public, max-age=1, stale-while-revalidate=5"
URLS = ("/", "/public", "/?limit=2", "/public?limit=2")


@pytest.fixture
def app(sqlite_url):
    with running(settings_of(sqlite_url) | {"tweeter.timelines": "memory"}) as app:
        yield app


def get(app, url, etag=""):
    return Request.blank(url, headers={"If-None-Match": etag} if etag else {}).get_response(app)


class History:
    """A site in which things happen, and every page that it showed."""

    def __init__(self, app):
        self.app = app
        self.pages: dict[tuple[str, str], str] = {}  # by URL and ETag
        self.etags: dict[tuple[str, str], str] = {}  # by URL and page
        self.people: list[int] = []
        self.tweets: list[tuple[int, int]] = []  # author, id
        self.number = 0
        self.join()

    def join(self, who=0):
        self.number += 1
        with acting(self.app.registry) as actions:
            self.people.append(actions.sign_up(f"u{self.number}", PASSWORD).id)

    def post(self, who=0):
        self.number += 1
        author = self.people[who % len(self.people)]
        parent = self.tweets[-1][1] if self.number % 3 == 0 and self.tweets else None
        with acting(self.app.registry) as actions:
            self.tweets.append((author, actions.post(author, f"number {self.number}", parent).id))

    def delete(self, which=0):
        if self.tweets:
            author, id_ = self.tweets.pop(which % len(self.tweets))
            with acting(self.app.registry) as actions:
                actions.delete(author, id_)

    def rename(self, who=0):
        self.number += 1
        with acting(self.app.registry) as actions:
            actions.change_profile(self.people[who % len(self.people)], f"name {self.number}", "")

    def rename_bio(self, who=0):
        """Shown on no timeline."""
        self.number += 1
        with acting(self.app.registry) as actions:
            user = self.people[who % len(self.people)]
            actions.change_profile(user, "always the same", f"bio {self.number}")

    def follow(self, who=0):
        """Shown on no timeline."""
        one, other = self.people[0], self.people[who % len(self.people)]
        if one != other:
            with acting(self.app.registry) as actions:
                actions.follow(one, actions._user(other).username)

    def close(self, who=0):
        user = self.people.pop(who % len(self.people))
        self.tweets = [(author, id_) for author, id_ in self.tweets if author != user]
        with acting(self.app.registry) as actions:
            actions.close_account(user)
        if not self.people:
            self.join()

    def nothing(self, who=0):
        """A reload."""

    def check(self):
        await_deliveries(self.app.registry)
        for url in URLS:
            page = get(self.app, url)
            etag, shown = page.headers["ETag"], COSTS.sub("", page.text)
            assert self.pages.setdefault((url, etag), shown) == shown, "another page under the same ETag"
            assert self.etags.setdefault((url, shown), etag) == etag, "the same page under another ETag"
            for earlier in {etag for at, etag in self.pages if at == url}:
                answer = get(self.app, url, earlier)
                assert answer.status_int == (304 if earlier == etag else 200)
                assert COSTS.sub("", answer.text) == ("" if earlier == etag else shown)
            ids = [int(id_) for id_ in re.findall(r'data-tweet-id="(\d+)"', shown)]
            newest = sorted((id_ for _, id_ in self.tweets), reverse=True)
            assert ids == newest[: 2 if "limit" in url else 20]


ACTIONS = ("join", "post", "delete", "rename", "rename_bio", "follow", "close", "nothing")


def test_etag_changes_exactly_when_the_page_does(app):
    @settings(max_examples=15)
    @given(st.lists(st.tuples(st.sampled_from(ACTIONS), st.integers(0, 4)), min_size=1, max_size=6))
    def check(steps):
        for action, number in steps:
            getattr(history, action)(number)
            history.check()

    history = History(app)
    for _ in range(3):
        history.join()
        history.post()
    check()
    assert len(history.pages) > 2 * len(URLS)


def test_other_processes_make_the_same_etag(app, sqlite_url):
    Person(Browser(app), "Ada").post("hello")
    with running(settings_of(sqlite_url) | {"tweeter.timelines": "sql"}) as other:
        for url in URLS:
            assert get(app, url).headers["ETag"] == get(other, url).headers["ETag"]


def test_page_may_be_cached_and_sets_no_cookie(app):
    Person(Browser(app), "Ada").post("hello")
    for url in (*URLS, "/?before=1"):
        page = get(app, url)
        assert page.headers["Cache-Control"] == SHARED
        assert set(page.vary) == {"Cookie", "Accept-Encoding"}
        assert "Set-Cookie" not in page.headers
        assert "csrf_token" not in page.text
        again = get(app, url, page.headers["ETag"])
        assert again.status_int == 304
        assert {name: again.headers[name] for name in ("ETag", "Cache-Control", "Vary")} == {
            name: page.headers[name] for name in ("ETag", "Cache-Control", "Vary")
        }
        assert not {"Content-Type", "Content-Length", "Set-Cookie"} & set(again.headers)
        head = Request.blank(url, method="HEAD").get_response(app)
        assert head.headers["ETag"] == page.headers["ETag"]
        assert head.body == b""


def test_readers_with_a_session_share_nothing(app):
    ada = Person(Browser(app), "Ada")
    ada.post("hello")
    for url in URLS:
        page = ada.get(url)
        assert page.headers["Cache-Control"] == "private, no-store"
        assert "ETag" not in page.headers
    ada.sign_out()
    message = ada.get("/")
    assert "You are signed out." in message.text
    assert message.headers["Cache-Control"] == "private, no-cache"
    assert "You are signed out." not in ada.get("/", headers={"If-None-Match": message.headers["ETag"]}).text


def test_signing_up_on_the_front_page(app):
    fields = {"username": "bob", "password": PASSWORD, "display_name": "Bob"}
    assert 'action="/signup"' in get(app, "/").text
    for origin in ({}, {"Origin": "null"}, {"Origin": "http://evil.example"}, {"Origin": ""}):
        refused = Request.blank("/signup", POST=fields, headers=origin).get_response(app)
        assert refused.status_int == 400
        assert "ticket" not in SimpleCookie(refused.headers.get("Set-Cookie", ""))
    wrong = {**fields, "csrf_token": "x"}  # a form with a token needs the right one
    assert (
        Request.blank("/signup", POST=wrong, headers={"Origin": "http://localhost"}).get_response(app).status_int == 400
    )
    welcome = Request.blank("/signup", POST=fields, headers={"Origin": "http://localhost"}).get_response(app)
    assert welcome.status_int == 303
    assert "ticket=" in str(welcome.headers.getall("Set-Cookie"))
    explained = Request.blank(welcome.headers["Location"]).get_response(app)  # without the cookies
    assert explained.status_int == 400
    assert "Your account was created, but you are not signed in. Your browser sent no cookie" in explained.text
    other = Request.blank("/login", POST=fields, headers={"Origin": "http://localhost"}).get_response(app)
    assert other.status_int == 400


def test_a_browser_that_signs_up_on_the_front_page_is_welcomed(app):
    browser = Browser(app)
    fields = {"username": "cid", "password": PASSWORD}
    response = browser.post("/signup", fields, headers={"Origin": "http://localhost"}, status=303)
    assert response.headers["Location"].endswith("/login?new=account")
    page = response.follow(status=302).follow(status=200)
    assert page.request.path == "/"
    assert "Welcome, cid." in page.text
