"""Forms of a page loaded before a sign-in or sign-out in another tab: typed text is not lost."""

import random
import re
from collections.abc import Callable
from html import unescape

import pytest
import webtest
from pyramid.router import Router
from sqlalchemy.exc import OperationalError

from tests.conftest import running, settings_of
from tests.support.people import PASSWORD, Browser, Person
from tweeter.services.actions import Actions

Visitor = Callable[[], webtest.TestApp]

TEXTS = [
    "hello",
    "Grüße 👋\nzweite Zeile",
    "".join(map(chr, random.Random(1).sample(range(0x4E00, 0x9FFF), 140))),
    "".join(map(chr, random.Random(2).sample(range(0x20000, 0x2A6DF), 140))),
    "👨‍👩‍👧‍👦" * 140,
    "</textarea><script>alert(1)</script> & \"quotes\" 'and' %41",
    "שלום and hello",
    "far too long " * 400,
]


@pytest.fixture
def database_url(sqlite_url: str) -> str:
    """Drafts have nothing to do with the database."""
    return sqlite_url


@pytest.fixture
def eve(visitor: Visitor) -> Person:
    return Person(visitor(), "Eve")


def sign_out(eve: Person) -> None:
    eve.sign_out()


def sign_out_and_in(eve: Person) -> None:
    eve.sign_out()
    eve.sign_in()


def sign_out_and_in_often(eve: Person) -> None:
    sign_out_and_in(eve)
    eve.sign_out()


def close_the_browser(eve: Person) -> None:
    """A browser without its cookies; later requests have a cross-site origin."""
    eve.browser.reset()


def change_the_password_elsewhere(eve: Person) -> None:
    other = Person(Browser(eve.browser.app))
    other.sign_in("Eve")
    other.send("/settings", status=303, action="password", current_password=PASSWORD, new_password=PASSWORD)


MEANWHILE = [sign_out, sign_out_and_in, sign_out_and_in_often, close_the_browser, change_the_password_elsewhere]


def fields_of(page: webtest.TestResponse) -> dict[str, str]:
    """The values of the fields of all forms of a page, by name."""
    texts = re.findall(r'<textarea[^>]* name="(\w+)"[^>]*>\n?(.*?)</textarea>', page.text, re.DOTALL)
    inputs = re.findall(r'<input[^>]* name="(\w+)"[^>]* value="([^"]*)"', page.text)
    return {name: unescape(text) for name, text in inputs + texts}


def arrive(eve: Person, response: webtest.TestResponse) -> webtest.TestResponse:
    """The page after a form, with a sign-in if the site requires one."""
    page = response.follow()
    while page.status_int in (302, 303):
        page = page.follow()
    if "/login" in page.request.path:
        page = eve.sign_in(next=page.forms[0]["next"].value).follow()
    return page


@pytest.mark.parametrize("text", TEXTS)
@pytest.mark.parametrize("meanwhile", MEANWHILE)
def test_typed_text_is_in_its_box_after_signing_in(eve: Person, meanwhile: Callable[[Person], None], text: str) -> None:
    parent = eve.post("a question")
    forms = [
        ("/tweets", "/", {"message": text}),
        ("/tweets", f"/tweets/{parent}", {"message": text, "parent_id": str(parent)}),
        ("/settings", "/settings", {"action": "profile", "display_name": text[:80].strip(), "bio": text}),
    ]
    for url, page, fields in forms:
        sent = fields | {"csrf_token": eve.token(page)}
        meanwhile(eve)
        page_after = arrive(eve, eve.browser.post(url, sent, headers={"Origin": "http://localhost"}, status=303))
        assert page_after.request.path == page
        shown = fields_of(page_after)
        for name in {"message", "display_name", "bio"} & fields.keys():
            assert shown[name].replace("\r", "") == fields[name], name
        again = fields_of(eve.get(page))
        assert text not in (again.get("message"), again.get("bio"))  # it is shown once
    assert len(eve.ids(f"/@{eve.username}")) == 1  # and nothing is posted in any user's name


def test_draft_too_long_to_store_is_shown_for_copying(eve: Person) -> None:
    text = "".join(map(chr, random.Random(3).sample(range(0x4E00, 0x9FFF), 3000)))
    for url, fields in (("/tweets", {"message": text}), ("/settings", {"action": "profile", "bio": text})):
        for meanwhile, status in ((sign_out, 401), (sign_out_and_in, 400)):
            fields["csrf_token"] = eve.token("/settings")
            meanwhile(eve)
            page = eve.browser.post(url, fields, status=status)
            assert text in page.text
            assert ('href="/login"' in page.text) == (status == 401)
            eve.sign_in()


@pytest.mark.parametrize(
    ("action", "url", "fields"),
    [
        ("post", "/tweets", {"message": "my own words"}),
        ("change_profile", "/settings", {"action": "profile", "display_name": "My own", "bio": "my own words"}),
    ],
)
@pytest.mark.parametrize(
    ("error", "status"), [(RuntimeError("x"), 500), (OperationalError("x", {}, Exception("gone")), 503)]
)
def test_error_pages_show_typed_text(
    eve: Person, monkeypatch: pytest.MonkeyPatch, action: str, url: str, fields: dict[str, str], error: Exception,
    status: int
) -> None:  # fmt: skip
    def fail(*arguments: object, **options: object) -> None:
        raise error

    monkeypatch.setattr(Actions, action, fail)
    page = eve.send(url, status=status, **fields)
    assert all(text in page.text for name, text in fields.items() if name != "action")


def test_names_typed_into_old_forms_stay(eve: Person) -> None:
    eve.sign_out()
    for url, fields in (("/login", {"username": "Eve"}), ("/signup", {"username": "Eve2", "display_name": "Eve 2"})):
        token = eve.token(url)
        sign_out_and_in_often(eve)
        page = eve.browser.post(url, {"csrf_token": token, "password": "my own secret", **fields}, status=303).follow()
        assert "Please send the form again" in page.text
        assert "my own secret" not in page.text
        shown = fields_of(page)
        assert {name: shown[name] for name in fields} == fields


@pytest.mark.parametrize("headers", [{}, {"Origin": "http://evil.example"}, {"Origin": "null"}, {"Origin": "http://["}])
@pytest.mark.parametrize("signed_in", [True, False])
def test_other_sites_cannot_prefill_forms(eve: Person, signed_in: bool, headers: dict[str, str]) -> None:
    """Text from another site is shown to the sender, and fills no form."""
    if not signed_in:
        eve.sign_out()
    for token in ({}, {"csrf_token": ""}, {"csrf_token": "x" * 40}, {"csrf_token": "ä"}):
        for url, field in (("/tweets", "message"), ("/settings", "bio")):
            fields = {field: "buy my pills", **token}
            page = eve.browser.post(url, fields, headers=headers, status=400 if signed_in else 401)
            assert "buy my pills" in page.text
    if not signed_in:
        eve.sign_in()
    assert not eve.ids()
    assert "buy my pills" not in eve.get("/").text + eve.get("/settings").text


def test_draft_is_restored_only_in_its_form_for_its_user(eve: Person) -> None:
    token = eve.token("/")
    eve.sign_out()
    eve.browser.post("/tweets", {"csrf_token": token, "message": "for the box"}, status=303)
    for page in ("/", "/signup", "/login", "/public"):
        assert "for the box" not in eve.get(page).text
    eve.sign_in()
    for page in ("/settings", "/?before=5"):
        assert "for the box" not in eve.get(page).text
    assert fields_of(eve.get("/"))["message"] == "for the box"

    token = eve.token("/")
    eve.sign_out()
    eve.browser.post("/tweets", {"csrf_token": token, "message": "secret"}, status=303)
    eve.sign_in()
    eve.sign_out()
    eve.sign_up("Mallory")
    assert "secret" not in eve.get("/").text


def test_buttons_of_an_old_page_lead_back_to_it(eve: Person, bob: Person) -> None:
    tweet = eve.post("hello")
    for url, page, fields in (
        ("/@bob/follow", "/@bob", {}),
        ("/@bob/follow", "/@Eve/following", {"next": "/@Eve/following"}),
        (f"/tweets/{tweet}/delete", f"/tweets/{tweet}", {}),
        ("/settings", "/settings", {"action": "close", "password": PASSWORD}),
    ):
        token = eve.token("/settings")
        sign_out_and_in(eve)
        shown = eve.browser.post(url, {"csrf_token": token, **fields}, status=303).follow()
        assert shown.request.path == page
        assert "Please send the form again" in shown.text
        eve.sign_out()
        shown = arrive(eve, eve.browser.post(url, {"csrf_token": token, **fields}, status=303))
        assert shown.request.path == page
    assert eve.ids("/@Eve") == [tweet]
    assert "has no followers yet" in bob.get("/@bob/followers").text


# signing in, up and out twice


@pytest.mark.parametrize("url", ["/login", "/signup"])
def test_second_tab_can_sign_in(visitor: Visitor, bob: Person, url: str) -> None:
    eve = Person(visitor())
    token = eve.token(url)
    eve.sign_up("Eve")
    fields = {"username": "bob", "password": "wrong", "next": "/mentions?limit=5"}
    for token_sent in (token, "x" * 40, "", eve.token("/settings")):
        response = eve.browser.post(f"{url}", fields | {"csrf_token": token_sent}, status=303)
        assert response.location.endswith("/mentions?limit=5")
        page = response.follow()
        assert "You are already signed in as @Eve." in page.text
    fields["next"] = "//evil.example"
    assert eve.browser.post(url, fields | {"csrf_token": token}, status=303).follow().request.path == "/"
    assert "already signed in" not in eve.get("/").text
    assert eve.get("/login?next=/mentions", status=302).location.endswith("/mentions")
    assert eve.get("/signup", status=302).follow().request.path == "/"


def test_signing_out_twice_is_no_error(eve: Person) -> None:
    token = eve.token("/")
    for _ in range(2):
        page = eve.browser.post("/logout", {"csrf_token": token}, status=303).follow()
        assert "You are signed out." in page.text
    eve.sign_in()
    assert "You are signed out." in eve.browser.post("/logout", {"csrf_token": token}, status=303).follow().text
    assert eve.get("/settings", status=303)


def test_cross_site_request_cannot_sign_out(eve: Person) -> None:
    eve.browser.post("/logout", {"csrf_token": "x"}, headers={"Origin": "http://evil.example"}, status=400)
    assert eve.get("/settings", status=200)
    # The ticket is not sent in a cross-site request, so the response must not delete it either.
    stranger = Browser(eve.browser.app)
    response = stranger.post("/logout", {}, headers={"Origin": "http://evil.example"}, status=303)
    assert "Set-Cookie" not in response.headers


# cookies that a browser does not store


@pytest.fixture
def secure(sqlite_url: str):
    secret = "0123456789abcdef" * 3
    settings = {"tweeter.production": True, "tweeter.secure_cookies": True, "tweeter.secret": secret}
    with running(settings_of(sqlite_url) | settings) as app:
        yield app


@pytest.mark.parametrize("url", ["/login", "/signup"])
def test_plain_http_in_production_explains_that_https_is_required(secure: Router, url: str) -> None:
    browser = Browser(secure, {"HTTP_HOST": "site.example"})
    fields = {"csrf_token": browser.get(url).forms[0]["csrf_token"].value, "username": "ada", "password": PASSWORD}
    page = browser.post(url, fields, status=400)
    assert "This site requires https" in page.text
    assert "too old" not in page.text
    assert "requires https" in browser.post(url, fields, headers={"Origin": "http://site.example"}, status=400).text
    # Over https an outdated form is reported as such, whether the proxy or only the browser reports https.
    assert (
        "requires https" not in browser.post(url, fields, headers={"Origin": "https://site.example"}, status=400).text
    )
    proxied = Browser(secure, {"HTTP_HOST": "site.example", "wsgi.url_scheme": "https"})
    page = proxied.post(url, fields, headers={"Origin": "https://site.example"}, status=400)
    assert "This form has expired" in page.text
    assert "Your browser sent no cookie" in page.text


def test_signing_up_over_https_works(secure: Router) -> None:
    browser = Browser(secure, {"HTTP_HOST": "site.example", "wsgi.url_scheme": "https"})
    browser.extra_environ["HTTP_REFERER"] = "https://site.example/signup"
    form = browser.get("https://site.example/signup").forms[0]
    form["username"], form["password"] = "ada", PASSWORD
    assert "Welcome, ada." in form.submit(status=303).follow().text


def test_missing_cookies_are_reported_in_development(testapp: webtest.TestApp) -> None:
    page = testapp.post("/login", {"csrf_token": "x", "username": "ada"}, status=400)
    assert "Your browser sent no cookie" in page.text
    assert "https" not in page.text
