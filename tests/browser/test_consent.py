"""Giving an application access and taking it away, in a browser."""

from urllib.parse import urlencode

from playwright.sync_api import Page

from tests.browser.conftest import PHONE, Opener, press, sign_up
from tests.browser.test_accessibility import check


def test_consent_and_end_of_access(open_browser: Opener) -> None:
    page: Page = open_browser(color_scheme="dark", **PHONE)
    page.goto("/")
    site = page.url.rstrip("/")
    redirect = f"{site}/public?app=yes"
    values: dict[str, str | float | bool] = {
        "client_name": "A phone client",
        "redirect_uris": redirect,
        "scopes": "read write",
        "website": "https://app.example",
    }
    application = page.request.post("/api/v1/apps", form=values).json()
    asked = {
        "response_type": "code",
        "client_id": application["client_id"],
        "redirect_uri": redirect,
        "scope": "read write",
    }
    sign_up(page, "ada", "Ada")
    check(page, f"/oauth/authorize?{urlencode(asked)}")
    press(page.get_by_role("button", name="Allow"))
    assert page.url.startswith(f"{redirect}&code=")
    exchange: dict[str, str | float | bool] = {
        "grant_type": "authorization_code", "code": page.url.partition("code=")[2], "redirect_uri": redirect,
    }  # fmt: skip
    keys = {name: application[name] for name in ("client_id", "client_secret")}
    token = page.request.post("/oauth/token", form={**exchange, **keys}).json()["access_token"]
    headers = {"Authorization": f"Bearer {token}"}
    assert page.request.get("/api/v1/accounts/verify_credentials", headers=headers).json()["username"] == "ada"
    check(page, "/settings")
    press(page.get_by_role("link", name="Show applications"))
    check(page)
    press(page.get_by_role("button", name="End access of A phone client"))
    check(page)
    assert page.get_by_text("No applications have access").is_visible()
    assert page.request.get("/api/v1/accounts/verify_credentials", headers=headers).status == 401
    check(page, "/oauth/authorize/native?code=abc")
