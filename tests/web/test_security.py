"""Authentication and authorization: permitted and rejected actions."""

import re
import socket
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import webtest
from pyramid.router import Router
from sqlalchemy import select

from tests.conftest import running
from tests.support.people import PASSWORD, Browser, Person
from tweeter.db.engines import make_engine
from tweeter.models import User
from tweeter.services.passwords import Passwords
from tweeter.web.security import local_url
from tweeter.web.views.monitoring import Probe

Visitor = Callable[[], webtest.TestApp]


@pytest.fixture
def app_with(sqlite_url: str) -> Iterator[Callable[..., Router]]:
    """The site with other settings."""
    from contextlib import ExitStack

    from tests.conftest import settings_of

    with ExitStack() as stack:

        def start(**changes: Any) -> Router:
            changed = {f"tweeter.{name}": str(value) for name, value in changes.items()}
            return stack.enter_context(running(settings_of(sqlite_url) | changed))

        yield start


# signing up, in and out


def test_signing_up_signs_in(visitor: Visitor) -> None:
    person = Person(visitor())
    answer = person.sign_up("new_one", display_name="  New\tOne ")
    assert answer.status_int == 303
    page = answer.follow()
    assert "Welcome, New One." in page.text
    assert "Welcome" not in person.get("/").text


@pytest.mark.parametrize("name", ["", "x" * 21, "a b", "a-b", "ä", "a\x00b", "../x", "<b>", "٣"])
def test_invalid_usernames_are_rejected(visitor: Visitor, name: str) -> None:
    page = Person(visitor()).send(
        "/signup", on="/signup", username=name, password=PASSWORD, display_name="Kept", status=400
    )
    assert 'id="username-error"' in page.text
    assert 'value="Kept"' in page.text
    assert PASSWORD not in page.text


@pytest.mark.parametrize("password", ["", "short", "x" * 201])
def test_invalid_passwords_are_refused(visitor: Visitor, password: str) -> None:
    page = Person(visitor()).send("/signup", on="/signup", username="someone", password=password, status=400)
    assert 'id="password-error"' in page.text
    assert 'value="someone"' in page.text


def test_sign_up_rejects_a_taken_name_in_any_case(ada: Person, visitor: Visitor) -> None:
    page = Person(visitor()).send("/signup", on="/signup", username="aDA", password=PASSWORD, status=400)
    assert "This username is taken." in page.text


def test_signing_in_and_out(ada: Person) -> None:
    ada.sign_out()
    assert "You are signed out." in ada.get("/").text
    assert ada.get("/settings", status=303).location.endswith("/login?next=/settings")
    assert ada.sign_in("ADA").location.endswith("/")
    ada.get("/settings", status=200)


def test_unknown_names_and_wrong_passwords_get_the_same_response(ada: Person, visitor: Visitor) -> None:
    stranger = Person(visitor())

    def answer(username: str) -> str:
        page = stranger.sign_in(username, "wrong password")
        assert page.status_int == 400
        return re.sub(r"csrf_token\W+value=\W+\w+|[\d.]+ ms|\d SQL quer\w+", "", page.text.replace(username, ""))

    assert answer("Ada") == answer("Eve") != ""
    assert stranger.sign_in("a\x00b", "x").status_int == 400


def test_an_unknown_name_takes_as_long(visitor: Visitor, monkeypatch: pytest.MonkeyPatch) -> None:
    checked = []
    monkeypatch.setattr(Passwords, "check", lambda self, hashed, password: checked.append(hashed) or False)
    Person(visitor()).sign_in("Eve", "x")
    Person(visitor()).sign_in("not a name", "x")
    assert checked == ["", ""]


def test_old_hashes_are_renewed(app_with: Callable[..., Router]) -> None:
    Person(Browser(app_with()), "Ada")
    app = app_with(**{"argon2.time_cost": 2})
    ada = Person(Browser(app))
    assert ada.sign_in("Ada").status_int == 303
    with app.registry.database.sessions() as session:
        hashed = session.scalar(select(User.password_hash))
    assert "t=2" in hashed
    assert ada.sign_in("Ada").status_int == 303


# sessions


def test_a_new_password_ends_all_other_sessions(ada: Person, visitor: Visitor) -> None:
    elsewhere = Person(visitor())
    elsewhere.sign_in("Ada")
    old = ada.browser.cookies["ticket"]
    wrong = ada.send("/settings", action="password", current_password="wrong", new_password="another one", status=400)
    assert 'id="current_password-error"' in wrong.text
    short = ada.send("/settings", action="password", current_password=PASSWORD, new_password="short", status=400)
    assert 'id="new_password-error"' in short.text
    elsewhere.get("/settings", status=200)
    ada.send("/settings", action="password", current_password=PASSWORD, new_password="another one", status=303)
    ada.get("/settings", status=200)
    elsewhere.get("/settings", status=303)
    assert ada.browser.cookies["ticket"] != old
    assert elsewhere.sign_in("Ada").status_int == 400
    assert elsewhere.sign_in("Ada", "another one").status_int == 303


def test_tickets_can_t_be_forged(ada: Person, testapp: webtest.TestApp) -> None:
    ticket = ada.browser.cookies["ticket"]
    other = ("1" if ticket[0] == "0" else "0") + ticket[1:]
    for forged in ("", "x", ticket[:-1], other, f"{ticket}=", ticket.swapcase(), "\xff" * 43, "\xff" * 200, "%00"):
        testapp.get("/settings", headers={"Cookie": f"ticket={forged}"}, status=303)
        testapp.get("/", headers={"Cookie": f"session={forged}"}, status=200)


def test_cookies_are_for_this_site_alone(app_with: Callable[..., Router]) -> None:
    https = {"wsgi.url_scheme": "https", "HTTP_HOST": "example.org:443"}
    browser = Browser(app_with(secure_cookies="true"), https)
    page = browser.get("/signup")
    token = page.forms[0]["csrf_token"].value
    session = page.headers["Set-Cookie"].split(";")[0]
    fields = {"csrf_token": token, "username": "ada", "password": PASSWORD}
    headers = {"Cookie": session, "Referer": "https://evil.example/"}
    browser.post("/signup", fields, headers=headers, status=400)
    answer = browser.post("/signup", fields, headers=headers | {"Referer": "https://example.org/signup"}, status=303)
    cookies = page.headers.getall("Set-Cookie") + answer.headers.getall("Set-Cookie")
    assert {cookie.partition("=")[0] for cookie in cookies} == {"session", "ticket", "browser"}
    for cookie in cookies:
        assert {"secure", "httponly", "samesite=lax", "path=/"} <= set(cookie.lower().split("; "))
        assert "domain" not in cookie.lower()


def test_pages_of_signed_in_users_are_not_cached(ada: Person, testapp: webtest.TestApp) -> None:
    for page in ("/", "/settings", "/mentions", "/@Ada", "/public", "/settings/export.json", "/nothing"):
        assert "no-store" in ada.get(page, status="*").headers["Cache-Control"]
    assert "private" in testapp.get("/@Ada").headers["Cache-Control"]


# forms


POSTS = ["/tweets", "/tweets/1/delete", "/@Ada/follow", "/@Ada/unfollow", "/settings", "/logout"]


@pytest.mark.parametrize("url", POSTS)
def test_forms_without_csrf_token_are_rejected(ada: Person, url: str) -> None:
    for token in ({}, {"csrf_token": ""}, {"csrf_token": "x" * 40}, {"csrf_token": "ä"}):
        page = ada.browser.post(url, {"message": "kept for you", **token}, status=400)
        assert "Go back, reload the page" in page.text
        assert "kept for you" in page.text
    assert ada.ids() == []
    ada.get("/settings", status=200)


@pytest.mark.parametrize(
    ("url", "back"),
    [
        ("/tweets", "/"),
        ("/tweets/12/delete", "/tweets/12"),
        ("/@Ada/follow", "/@Ada"),
        ("/@Ada/unfollow", "/@Ada"),
        ("/@Ada/mute", "/@Ada"),
        ("/@Ada/unblock", "/@Ada"),
        ("/lists", "/lists"),
        ("/lists/12/members", "/lists/12/members"),
        ("/settings", "/settings"),
    ],
)
def test_anonymous_visitors_must_sign_in(testapp: webtest.TestApp, ada: Person, url: str, back: str) -> None:
    assert testapp.post(url, {}, status=303).location.endswith(f"/login?next={back}")
    assert testapp.post(url, {"csrf_token": "x"}, status=303)
    for page in ("/settings", "/mentions", "/settings/export.json"):
        assert testapp.get(page, status=303).location.endswith(f"/login?next={page}")


def test_signing_in_redirects_to_the_requested_page(ada: Person) -> None:
    ada.sign_out()
    page = ada.get("/mentions?limit=5").follow()
    form = page.forms[0]
    form["username"], form["password"] = "Ada", "wrong"
    form = form.submit(status=400).forms[0]
    form["password"] = PASSWORD
    assert form.submit().location.endswith("/mentions?limit=5")


ELSEWHERE = [
    "//evil.example", "/\\evil.example", "\\\\evil.example", "https://evil.example", "https:evil.example", "http:/evil",
    "javascript:alert(1)", "/\t/evil.example", "\n//evil.example", " //evil.example", "/ /evil", "///evil.example",
    "evil.example", "", "@evil.example", "/\x00", "/\r\nSet-Cookie: x=y", "/\x7f", "\u2028//evil", "/a\\..\\\\evil",
]  # fmt: skip


@pytest.mark.parametrize("url", ELSEWHERE)
def test_redirects_to_other_sites_are_refused(ada: Person, url: str) -> None:
    assert local_url(url) == ""
    ada.sign_out()
    assert ada.sign_in(next=url).location == "/"
    assert ada.get("/login", params={"next": url}, status=302).location == "/"
    followed = ada.send("/@Ada/unfollow", next=url)
    assert followed.location in ("/", "/@Ada")


@pytest.mark.parametrize(
    ("url", "there"), [("/@Ada?a=b&c=d#e", "/@Ada?a=b&c=d#e"), ("/search?q=é", "/search?q=%C3%A9"), ("/a:b", "/a:b")]
)
def test_addresses_of_this_site(url: str, there: str) -> None:
    assert local_url(url) == there


# data of other users


def test_only_the_author_can_delete_a_tweet(ada: Person, bob: Person) -> None:
    tweet = ada.post("mine")
    assert "another user" in bob.delete(tweet, status=403).text
    assert ada.ids() == [tweet]
    assert re.search(r"<strong>1</strong>\s*tweet<", ada.get("/@Ada").text)


# user input


@pytest.mark.parametrize(
    "text",
    [
        "<script>alert(1)</script>",
        '"><img src=x onerror=alert(1)>',
        "https://x/\"onmouseover='alert(1)",
        "javascript:alert(1) https://e/?a=<b>",
        "@bob<i> #tag<i> </textarea><b>",
        "{{ 7*7 }} {% raw %} %s {0} &lt;b&gt;",
    ],
)
def test_user_input_is_escaped(ada: Person, text: str) -> None:
    ada.post(text)
    ada.send("/settings", action="profile", display_name=text[:50], bio=text)
    for page in ("/", "/@Ada", "/settings", "/search"):
        answer = ada.get(page, params={"q": text} if page == "/search" else None)
        assert not re.search(r"<(script>|img src=x|i>|b>)", answer.text), page
        for tag in re.findall(r"""<\w+(?:\s+[^\s=>]+(?:="[^"]*")?)*\s*>""", answer.text):
            assert not re.search(r"\s(on\w+|style)=", re.sub('"[^"]*"', '""', tag)), tag
    page = ada.send("/tweets", message=text + "x" * 150, status=400)
    assert not re.search(r"<(script>|img src=x|i>|b>)", page.text)


def test_text_cannot_change_the_page_direction(ada: Person) -> None:
    ada.post("safe \u202e\u2066\x07 text")
    ada.send("/settings", action="profile", display_name="Eve\u202e\u200f", bio="x")
    page = ada.get("/").text
    assert "\u202e" not in page
    assert "\u2066" not in page
    assert '<bdi class="name">' in page


# every answer


def test_security_headers(ada: Person, testapp: webtest.TestApp) -> None:
    urls = ("/", "/login", "/nothing", "/@Ada", "/?before=x", "/healthz")
    pages = [testapp.get(url, status="*") for url in urls]
    pages += [ada.get("/"), ada.get("/settings"), testapp.post("/login", status=400)]
    for page in pages:
        assert page.headers["X-Content-Type-Options"] == "nosniff"
        assert page.headers["Referrer-Policy"] == "same-origin"
        policy = page.headers["Content-Security-Policy"]
        assert "default-src 'none'" in policy
        assert "frame-ancestors 'none'" in policy
        assert "unsafe" not in policy
        if page.content_type == "text/html":
            assert not re.search(r"<style|\sstyle=|\son\w+=|<script(?! src=)|javascript:", page.text)
            assert not re.search(r'(src|action)="(https?:)?//', page.text)


def test_large_bodies_are_refused(ada: Person) -> None:
    token = ada.token()
    big = "x" * 70_000
    assert (
        "larger than this site accepts"
        in ada.browser.post("/tweets", {"csrf_token": token, "message": big}, status=413).text
    )
    ada.browser.put("/tweets", big, status=413)


@pytest.mark.parametrize(("length", "status"), [(100, 400), (70_000, 413)])
def test_bodies_of_unknown_length_are_refused(ada: Person, length: int, status: int) -> None:
    from io import BytesIO

    request = webtest.TestRequest.blank("/tweets", method="POST")
    body = BytesIO(b"message=" + b"x" * length)
    request.environ |= {
        "wsgi.input": body, "wsgi.input_terminated": True, "CONTENT_TYPE": "application/x-www-form-urlencoded",
        "HTTP_COOKIE": "; ".join(f"{name}={value}" for name, value in ada.browser.cookies.items()),
    }  # fmt: skip
    request.environ.pop("CONTENT_LENGTH", None)
    answer = request.get_response(ada.browser.app)
    assert answer.status_int == status
    assert body.tell() <= 65_537


def test_the_demo_account_is_shown_in_development_only(app_with: Callable[..., Router]) -> None:
    shown = Browser(app_with(demo_account="demo demodemo")).get("/login")
    assert "demo / demodemo" in shown.text
    secret = "0123456789abcdef" * 3
    hidden = Browser(app_with(demo_account="demo demodemo", production="true", secret=secret)).get("/login")
    assert "demodemo" not in hidden.text


def typed(person: Person) -> str:
    """The text in the tweet form."""
    (form,) = {id(form): form for form in person.get("/").forms.values() if "message" in form.fields}.values()
    return str(form["message"].value)


def test_draft_survives_a_sign_out_by_a_new_password(visitor: Visitor) -> None:
    browser = Person(visitor(), "Eve")
    token = browser.token("/")
    elsewhere = Person(visitor())
    elsewhere.sign_in("Eve")
    elsewhere.send("/settings", status=303, action="password", current_password=PASSWORD, new_password="a new password")
    answer = browser.browser.post("/tweets", {"csrf_token": token, "message": "Grüße 👋"}, status=303)
    assert "/login?next=" in answer.location
    browser.sign_in(password="a new password")
    assert typed(browser) == "Grüße 👋"
    assert typed(browser) == ""


def test_other_sites_cannot_prefill_the_tweet_form(visitor: Visitor) -> None:
    browser = Person(visitor(), "Eve")
    browser.sign_out()
    browser.browser.post("/tweets", {"message": "buy my pills"}, status="*")
    browser.sign_in()
    assert typed(browser) == ""


def test_rehash_during_sign_in_keeps_a_changed_password(
    app_with: Callable[..., Router], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Rehashing the old password at a new cost takes long enough for its owner to change it."""
    app = app_with()
    owner = Person(Browser(app), "Ada")
    passwords = app.registry["passwords"]
    hash_at_once = passwords.hash

    def hash_slowly(password: str) -> str:
        monkeypatch.undo()
        fields = {"action": "password", "current_password": PASSWORD, "new_password": "another password"}
        owner.send("/settings", status=303, **fields)
        return str(hash_at_once(password))

    monkeypatch.setattr(passwords, "outdated", lambda password_hash: True)
    monkeypatch.setattr(passwords, "hash", hash_slowly)
    Person(Browser(app)).sign_in("Ada")
    stranger = Person(Browser(app))
    assert stranger.sign_in("Ada", PASSWORD).status_int == 400
    assert stranger.sign_in("Ada", "another password").status_int == 303


def test_health_responds_while_the_database_hangs() -> None:
    """A listener that accepts and never responds, like a database with a hanging disk."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        engine = make_engine(f"postgresql+psycopg://x@127.0.0.1:{listener.getsockname()[1]}/x")
        probe = Probe(engine)
        assert probe.answers(0.05) is False
        assert probe.answers(0.05) is False  # and a second request does not take a second thread
        assert sum(thread.name == "health" for thread in threading.enumerate()) == 1
    engine.dispose()
