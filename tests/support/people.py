"""Users for tests: actions in a browser, in the site's terms."""

import re
import time
from contextlib import suppress
from typing import Any

import webtest
from pyramid.registry import Registry
from sqlalchemy.exc import SQLAlchemyError

from tweeter.interfaces import IDelivery
from tweeter.outbox.checkpoint import FRESH

PASSWORD = "a good password"


class Browser(webtest.TestApp):
    """A browser on a site in this process.

    A page may lag a second behind the commits. So that tests see earlier changes of others, a page is requested once
    the events are delivered, or after that second, when SQL serves it.
    """

    def do_request(self, req: webtest.TestRequest, *args: Any, **options: Any) -> webtest.TestResponse:
        if req.method == "GET":
            await_deliveries(self.app.registry)
        return super().do_request(req, *args, **options)


def await_deliveries(registry: Registry) -> None:
    deadline = time.monotonic() + FRESH
    for relay in getattr(registry.queryUtility(IDelivery), "relays", ()):
        with suppress(SQLAlchemyError):
            while relay.behind()[0] and time.monotonic() < deadline:
                time.sleep(0.002)


class Person:
    """A user with a browser."""

    def __init__(self, browser: webtest.TestApp, username: str = "") -> None:
        self.browser = browser
        self.username = username
        if username:
            self.sign_up(username)

    def sign_up(self, username: str, password: str = PASSWORD, display_name: str = "") -> webtest.TestResponse:
        self.username = username
        return self.send("/signup", username=username, password=password, display_name=display_name, on="/signup")

    def sign_in(self, username: str = "", password: str = PASSWORD, **fields: str) -> webtest.TestResponse:
        username = username or self.username
        return self.send("/login", username=username, password=password, on="/login", status="*", **fields)

    def sign_out(self) -> webtest.TestResponse:
        return self.send("/logout")

    def get(self, url: str, status: int | str | None = None, **options: object) -> webtest.TestResponse:
        return self.browser.get(url, status=status, **options)

    def send(
        self, url: str, on: str = "/settings", status: int | str | None = None, **fields: str
    ) -> webtest.TestResponse:
        """Posts a form with the token of the page `on`."""
        return self.browser.post(url, {"csrf_token": self.token(on), **fields}, status=status)

    def token(self, on: str = "/settings") -> str:
        page = self.browser.get(on, status="*")
        if page.status_int in (302, 303):
            page = page.follow(status="*")
        found = re.search(r'name="csrf_token" value="(\w+)"', page.text)
        return found.group(1) if found else ""

    def post(self, message: str, parent: int | None = None) -> int:
        """Tweets; the id of the tweet."""
        fields = {"message": message} | ({"parent_id": str(parent)} if parent else {})
        self.send("/tweets", status=303, **fields)
        return self.ids(f"/@{self.username}")[0]

    def delete(self, tweet: int, status: int | str = 303) -> webtest.TestResponse:
        return self.send(f"/tweets/{tweet}/delete", status=status)

    def follow(self, username: str, status: int = 303) -> webtest.TestResponse:
        return self.send(f"/@{username}/follow", status=status)

    def unfollow(self, username: str, status: int = 303) -> webtest.TestResponse:
        return self.send(f"/@{username}/unfollow", status=status)

    def ids(self, url: str = "/") -> list[int]:
        """The tweets on a page, in order."""
        return ids_on(self.get(url, status="*"))


def ids_on(page: webtest.TestResponse) -> list[int]:
    return [int(id_) for id_ in re.findall(r'<article[^>]* data-tweet-id="(\d+)"', page.text)]


def articles_on(page: webtest.TestResponse) -> list[str]:
    return re.findall(r"<article.*?</article>", page.text, re.DOTALL)
