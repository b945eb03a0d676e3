"""An HTTP client for benchmarks: one keep-alive connection, cookies, and CSRF tokens."""

import http.client
import re
from collections.abc import Mapping
from html import unescape
from http.cookies import SimpleCookie
from typing import NamedTuple
from urllib.parse import urlencode

from tweeter.console.commands import CommandError

Address = tuple[str, int]

_TOKEN = re.compile(r'name="csrf_token" value="([^"]+)"')
TWEET = re.compile(r'<article[^>]* data-tweet-id="(\d+)"')
_BACKEND = re.compile(r'backend;desc="([^"]*)"')


class Answer(NamedTuple):
    status: int
    headers: http.client.HTTPMessage
    text: str

    @property
    def served_by(self) -> str:
        """The backend that served the page; empty for pages without a timeline."""
        found = _BACKEND.search(self.headers.get("Server-Timing", ""))
        return found[1] if found else ""

    @property
    def tweets(self) -> list[int]:
        """The ids on the page, in order."""
        return [int(id_) for id_ in TWEET.findall(self.text)]


class Browser:
    """Sends requests to one site, one at a time. Does not follow redirects."""

    def __init__(self, address: Address, cookies: Mapping[str, str] = {}) -> None:
        self._connection = http.client.HTTPConnection(*address, timeout=60)
        self._cookies: dict[str, str] = dict(cookies)
        self._token = ""

    def close(self) -> None:
        self._connection.close()

    def at(self, address: Address) -> "Browser":
        """A browser with the same cookies at another address."""
        return Browser(address, self._cookies)

    @property
    def cookie(self) -> str:
        """The Cookie header."""
        return "; ".join(f"{name}={value}" for name, value in self._cookies.items())

    def get(self, path: str) -> Answer:
        return self._ask("GET", path)

    def send(self, path: str, **fields: str) -> Answer:
        """Posts a form. The token is that of the last page that had one, or of a page that is fetched for it.

        Raises CommandError if no page has a token.
        """
        for page in ("/login", "/settings"):
            if not self._token:
                self.get(page)
        if not self._token:
            raise CommandError("The site has no form.")
        return self._ask("POST", path, urlencode({"csrf_token": self._token, **fields}))

    def sign_in(self, username: str, password: str, path: str = "/login") -> None:
        """Submits the form at `path`, which may be "/signup". Raises CommandError if signing in fails."""
        answer = self.send(path, username=username, password=password)
        if answer.status != http.client.SEE_OTHER:
            raise CommandError(f"{username} can't sign in: {answer.status}")
        self._token = ""  # the session is new

    def request(self, path: str, codings: str = "") -> bytes:
        """The bytes of a GET request on a keep-alive connection."""
        more = f"Cookie: {self.cookie}\r\n" if self._cookies else ""
        more += f"Accept-Encoding: {codings}\r\n" if codings else ""
        return f"GET {path} HTTP/1.1\r\nHost: localhost\r\nAccept: text/html\r\n{more}\r\n".encode("ascii")

    def form(self, path: str, **fields: str) -> bytes:
        """The bytes of a POST request on a keep-alive connection, with the token of the last page."""
        body = urlencode({"csrf_token": self._token, **fields})
        return (
            f"POST {path} HTTP/1.1\r\nHost: localhost\r\nAccept: text/html\r\nCookie: {self.cookie}\r\n"
            f"Content-Type: application/x-www-form-urlencoded\r\nContent-Length: {len(body)}\r\n\r\n{body}"
        ).encode("ascii")

    def _ask(self, method: str, path: str, body: str | None = None) -> Answer:
        headers = {"Content-Type": "application/x-www-form-urlencoded"} if body else {}
        if self._cookies:
            headers["Cookie"] = self.cookie
        self._connection.request(method, path, body, headers)
        response = self._connection.getresponse()
        for line in response.headers.get_all("Set-Cookie", ()):
            self._cookies |= {name: morsel.value for name, morsel in SimpleCookie(line).items()}
        answer = Answer(response.status, response.headers, response.read().decode())
        if found := _TOKEN.search(answer.text):
            self._token = unescape(found[1])
        return answer
