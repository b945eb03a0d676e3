"""OAuth: applications get exactly the access that a user gave them, until it ends."""

import base64
import hashlib
from collections.abc import Iterator
from pathlib import Path

import pytest
from pyramid.router import Router
from sqlalchemy import select

from tests.conftest import running, settings_of
from tests.support.api import OUT_OF_BAND, SCOPES, Api, consent, shared_site, someone
from tests.support.people import PASSWORD, Browser, Person
from tweeter.api.provider import MOST_TOKENS
from tweeter.models import AccessToken, Application, AuthorizationCode


@pytest.fixture(scope="module")
def app(sqlite_template: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Router]:
    with shared_site(sqlite_template, tmp_path_factory.mktemp("api")) as app:
        yield app


@pytest.fixture
def ada(app: Router) -> Person:
    return someone(app)


REDIRECT = "https://app.example/callback?kept=1"
VERIFIER = "a" * 50
CHALLENGE = base64.urlsafe_b64encode(hashlib.sha256(VERIFIER.encode()).digest()).decode().rstrip("=")


def test_code_out_of_band(app: Router, ada: Person) -> None:
    api = Api(app)
    query = {"response_type": "code", "client_id": api.app["client_id"], "redirect_uri": OUT_OF_BAND,
             "scope": "read+write", "force_login": "False", "state": "None", "lang": "None"}  # fmt: skip
    answer, _ = consent(ada, **query)
    page = ada.get(answer.location)
    code = page.html.select_one("code").text
    exchange = {"grant_type": "authorization_code", "code": code, "redirect_uri": OUT_OF_BAND, **api.keys}
    found = api.send_json("/oauth/token", exchange, Authorization="Bearer stale").json
    assert found.keys() == {"access_token", "token_type", "scope", "created_at"}
    assert set(found["scope"].split()) == {"read", "write"}
    assert api.post("/oauth/token", 400, **exchange).json["error"] == "invalid_grant"  # a code is valid once
    api.token = found["access_token"]
    assert api.get("/api/v1/accounts/verify_credentials").json["username"] == ada.username
    assert api.get("/api/v1/apps/verify_credentials").json["name"] == "Test"


def test_code_with_redirect_and_pkce(app: Router, ada: Person) -> None:
    api = Api(app, redirect_uris=f"{OUT_OF_BAND}\n{REDIRECT}")
    query = {
        "response_type": "code", "client_id": api.app["client_id"], "redirect_uri": REDIRECT.replace("?", "%3F"),
        "scope": "read", "state": "x%26y", "code_challenge": CHALLENGE, "code_challenge_method": "S256",
    }  # fmt: skip
    page = ada.get("/oauth/authorize?" + "&".join(f"{name}={value}" for name, value in query.items()))
    assert "form-action 'self' https://app.example;" in page.headers["Content-Security-Policy"]
    answer, found = consent(ada, **query)
    assert answer.location.startswith(REDIRECT + "&")
    assert found["state"] == "x&y"
    exchange = {"grant_type": "authorization_code", "redirect_uri": REDIRECT, **api.keys}
    wrong = api.post("/oauth/token", 400, code=found["code"], code_verifier="b" * 50, **exchange)
    assert wrong.json["error"] == "invalid_grant"
    _, found = consent(ada, **query)
    assert api.post("/oauth/token", 400, code=found["code"], **exchange).json["error"] == "invalid_request"
    _, found = consent(ada, **query)
    token = api.post("/oauth/token", code=found["code"], code_verifier=VERIFIER, **exchange).json
    assert token["scope"] == "read"
    answer, found = consent(ada, "refuse", **query)
    assert found["error"] == "access_denied"


@pytest.mark.parametrize(
    ("changed", "status"),
    [
        ({"client_id": "unknown"}, 400),
        ({"redirect_uri": "https://evil.example"}, 400),
        ({"scope": "admin"}, 303),
        ({"response_type": "token"}, 303),
    ],
)
def test_wrong_requests_for_consent(app: Router, ada: Person, changed: dict[str, str], status: int) -> None:
    api = Api(app, redirect_uris="https://app.example")
    query = {
        "response_type": "code",
        "client_id": api.app["client_id"],
        "redirect_uri": "https://app.example",
    } | changed
    answer = ada.get("/oauth/authorize?" + "&".join(f"{name}={value}" for name, value in query.items()), status=status)
    assert status == 400 or answer.location.startswith("https://app.example?error=")


def test_consent_needs_a_session_and_its_token(app: Router, ada: Person) -> None:
    api = Api(app)
    query = f"response_type=code&client_id={api.app['client_id']}&redirect_uri={OUT_OF_BAND}"
    answer = Browser(app).get(f"/oauth/authorize?{query}", status=303)
    assert answer.location.startswith("/login?next=/oauth/authorize%3F")
    answer = ada.browser.post(f"/oauth/authorize?{query}", {"decision": "allow"}, status="*")
    assert "code=" not in answer.headers.get("Location", "")


def test_consent_can_be_given_by_another_account(app: Router, ada: Person) -> None:
    api, bob = Api(app), someone(app)
    bob.sign_out()
    answer, _ = consent(ada, "switch", response_type="code", client_id=api.app["client_id"], redirect_uri=OUT_OF_BAND)
    assert answer.location.startswith("/login?next=%2Foauth%2Fauthorize%3Fclient_id%3D")
    page = ada.get(answer.location)
    next_ = page.html.select_one("input[name=next]")["value"]
    answer = ada.send("/login", username=bob.username, password=PASSWORD, next=next_, status=303, on=answer.location)
    assert f"@{bob.username}" in ada.get(answer.location).html.select_one("main").text


def test_password_and_client_credentials(app: Router, ada: Person, sqlite_url: str) -> None:
    api = Api(app, scopes="read write")
    asked = {"grant_type": "password", "username": ada.username, "password": PASSWORD, **api.keys}
    assert api.post("/oauth/token", **asked).json["scope"] == "read"
    assert api.post("/oauth/token", 400, **asked | {"password": "wrong"}).json["error"] == "invalid_grant"
    assert api.post("/oauth/token", 400, scope="follow", **asked).json["error"] == "invalid_scope"
    assert api.post("/oauth/token", 401, **asked | {"client_secret": "wrong"}).json["error"] == "invalid_client"
    basic = base64.b64encode(":".join(api.keys.values()).encode()).decode()
    asked = {"grant_type": "client_credentials", "scope": "read"}
    api.token = api.post("/oauth/token", 200, {"Authorization": f"Basic {basic}"}, **asked).json["access_token"]
    assert api.get("/api/v1/timelines/public").json == []
    assert api.get("/api/v1/timelines/home", 422).json == {"error": "This method requires an authenticated user"}
    for _ in range(MOST_TOKENS):
        api.post("/oauth/token", **asked, **api.keys)
    api.get("/api/v1/apps/verify_credentials", 401)  # the oldest token of an application ends
    with running(settings_of(sqlite_url) | {"tweeter.api.direct_login": False}) as other:
        found = Browser(other).post("/oauth/token", {"grant_type": "password", **api.keys}, status=400)
    assert found.json["error"] == "unsupported_grant_type"


def test_wrong_passwords_are_limited_as_on_the_page(sqlite_url: str) -> None:
    with running(settings_of(sqlite_url) | {"tweeter.limits.sign_in": "2/hour"}) as app:
        api = Api(app)
        asked = {"grant_type": "password", "username": "ada", "password": "wrong", **api.keys}
        assert [api.post("/oauth/token", status, **asked).status_int for status in (400, 400, 429)][-1] == 429


def test_scopes(app: Router, ada: Person) -> None:
    api = Api(app).sign_in(ada.username, scope="read:statuses")
    assert api.get("/api/v1/timelines/home").json == []
    assert (
        api.get("/api/v1/accounts/verify_credentials", 403).json["error"]
        == "This action is outside the authorized scopes"
    )
    assert api.post("/api/v1/statuses", 403, status="x").json["error"] == "This action is outside the authorized scopes"
    api.sign_in(ada.username, scope="follow")
    bob = Browser(app).get(f"/api/v1/accounts/lookup?acct={ada.username}").json["id"]
    assert api.get(f"/api/v1/accounts/relationships?id={bob}").json[0]["following"] is False
    assert api.get("/api/v1/timelines/home", 403)


@pytest.mark.parametrize("end", ["revoke", "password", "everywhere", "close", "settings"])
def test_tokens_end(app: Router, ada: Person, end: str) -> None:
    api, other = Api(app).sign_in(ada.username), Api(app)
    me = api.get("/api/v1/accounts/verify_credentials").json["id"]
    if end == "revoke":
        for keys in (other.keys, api.keys | {"client_secret": "wrong"}):  # one cannot end the tokens of another
            refused = other.post("/oauth/revoke", 403, token=api.token, **keys).json
            assert refused["error"] == "unauthorized_client"
        api.get("/api/v1/timelines/home")
        assert other.post("/oauth/revoke", token="unknown", **other.keys).json == {}
        assert api.post("/oauth/revoke", token=api.token, **api.keys).json == {}
    elif end == "password":
        ada.send("/settings", action="password", current_password=PASSWORD, new_password="another password")
    elif end == "everywhere":
        ada.send("/settings", action="sessions")
    elif end == "close":
        ada.send("/settings", action="close", password=PASSWORD, confirm="yes")
        assert api.get(f"/api/v1/accounts/{me}", 401)
    else:
        page = ada.get("/settings/applications")
        assert "Test" in page.text
        id_ = page.html.select_one("input[name=application]")["value"]
        ada.send("/settings/applications", application=id_)
        assert "Test" not in ada.get("/settings/applications").text
    assert api.get("/api/v1/timelines/home", 401).json == {"error": "The access token is invalid"}


def test_secrets_are_stored_as_hashes_and_the_export_lists_applications(app: Router, ada: Person) -> None:
    api = Api(app).sign_in(ada.username)
    query = {"response_type": "code", "client_id": api.app["client_id"], "redirect_uri": OUT_OF_BAND}
    _, found = consent(ada, **query)
    with app.registry.database.sessions() as session:
        stored = [
            row for model in (Application, AccessToken, AuthorizationCode) for row in session.scalars(select(model))
        ]
    assert stored
    texts = " ".join(str(vars(row)) for row in stored)
    for secret in (api.app["client_secret"], api.token, found["code"]):
        assert secret not in texts
    exported = ada.get("/settings/export.json").json["applications"]
    assert [(row["name"], row["scopes"]) for row in exported] == [("Test", SCOPES)]


@pytest.mark.parametrize(
    "changed",
    [
        {"client_name": ""},
        {"redirect_uris": "javascript:alert(1)"},
        {"redirect_uris": "/relative"},
        {"redirect_uris": "https://app.example/#fragment"},
        {"scopes": "read everything"},
        {"website": "javascript:alert(1)"},
    ],
)
def test_invalid_registrations(app: Router, changed: dict[str, str]) -> None:
    api = Api(app, redirect_uris="myapp://callback")
    values = {"client_name": "Test", "redirect_uris": OUT_OF_BAND} | changed
    assert api.post("/api/v1/apps", 422, **values).json["error"].startswith("Validation failed: ")


def test_registrations_are_limited_by_address(sqlite_url: str) -> None:
    with running(settings_of(sqlite_url) | {"tweeter.limits.app": "1/hour"}) as app:
        api = Api(app)
        answer = api.post("/api/v1/apps", 429, client_name="Test", redirect_uris=OUT_OF_BAND)
    assert answer.headers["X-RateLimit-Remaining"] == "0"
    assert answer.json["error"]


def test_cookies_of_pages_do_not_count(app: Router, ada: Person) -> None:
    assert ada.browser.get("/api/v1/timelines/home", status=401).json == {"error": "The access token is invalid"}
    assert ada.browser.post("/api/v1/statuses", {"status": "forged"}, status=401)


def test_without_the_api_the_site_has_none_of_its_addresses(sqlite_url: str) -> None:
    with running(settings_of(sqlite_url) | {"tweeter.api": False}) as app:
        person = Person(Browser(app), "Ada")
        for path in ("/api/v1/instance", "/oauth/authorize", "/settings/applications"):
            person.get(path, status=404)
        assert "Applications" not in person.get("/settings").text
