"""An application for tests of the API: it registers itself and gets tokens as real ones do."""

import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import count
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import webtest
from pyramid.router import Router

from tests.conftest import running, settings_of
from tests.support.people import PASSWORD, Browser, Person

OUT_OF_BAND = "urn:ietf:wg:oauth:2.0:oob"
SCOPES = "read write follow push"


_numbers = count(1)


@contextmanager
def shared_site(template: Path, folder: Path) -> Iterator[Router]:
    """A site for all tests of a module: each test has users of its own."""
    shutil.copyfile(template, folder / "api.sqlite")
    own = {"tweeter.timelines": "memory", "tweeter.limits.sign_up": "none", "tweeter.limits.app": "none"}
    with running(settings_of(f"sqlite:///{folder / 'api.sqlite'}") | own) as app:
        yield app


def someone(app: Router) -> Person:
    """A new user."""
    return Person(Browser(app, {"REMOTE_ADDR": "127.0.0.1"}), f"user{next(_numbers)}")


class Api:
    """A client of the API with its own application; with a token once it has one."""

    def __init__(self, app: Router, scopes: str = SCOPES, redirect_uris: str = OUT_OF_BAND) -> None:
        self.browser = Browser(app, {"REMOTE_ADDR": "127.0.0.1"})
        self.token = ""
        self.app = self.post("/api/v1/apps", client_name="Test", redirect_uris=redirect_uris, scopes=scopes).json
        self.keys = {name: self.app[name] for name in ("client_id", "client_secret")}

    def sign_in(self, username: str, password: str = PASSWORD, scope: str = SCOPES) -> "Api":
        """By the password grant."""
        found = self.post(
            "/oauth/token", grant_type="password", username=username, password=password, scope=scope, **self.keys
        )
        self.token = found.json["access_token"]
        return self

    def request(self, method: str, path: str, status: int | str = 200, **options: Any) -> webtest.TestResponse:
        headers = options.pop("headers", {})
        if self.token:
            headers = {"Authorization": f"Bearer {self.token}"} | headers
        return self.browser.request(path, method=method, status=status, headers=headers, **options)

    def get(self, path: str, status: int = 200, **options: Any) -> webtest.TestResponse:
        return self.request("GET", path, status, **options)

    def post(
        self, path: str, code: int = 200, headers: dict[str, str] | None = None, /, **fields: Any
    ) -> webtest.TestResponse:
        """A form, in the body."""
        headers = ({"Authorization": f"Bearer {self.token}"} if self.token else {}) | (headers or {})
        return self.browser.post(path, fields, headers=headers, status=code)

    def patch(self, path: str, **fields: Any) -> webtest.TestResponse:
        return self.browser.patch(path, fields, headers={"Authorization": f"Bearer {self.token}"})

    def send_json(self, path: str, value: Any, status: int = 200, **headers: str) -> webtest.TestResponse:
        headers = ({"Authorization": f"Bearer {self.token}"} if self.token else {}) | headers
        return self.browser.post_json(path, value, headers=headers, status=status)

    def toot(self, text: str, **fields: Any) -> Any:
        """Posts a tweet; its Status."""
        return self.send_json("/api/v1/statuses", {"status": text, **fields}).json


def consent(person: Person, decision: str = "allow", **query: str) -> tuple[webtest.TestResponse, dict[str, str]]:
    """Opens the consent page in the person's browser and answers it; the redirect, and its query."""
    page = person.get("/oauth/authorize/?" + "&".join(f"{name}={value}" for name, value in query.items()))
    fields = dict(re.findall(r'type="hidden" name="(\w+)" value="([^"]*)"', page.text))
    fields = {name: value.replace("&amp;", "&") for name, value in fields.items()}
    answer = person.browser.post("/oauth/authorize", fields | {"decision": decision}, status=303)
    return answer, {name: values[0] for name, values in parse_qs(urlsplit(answer.location).query).items()}
