"""A browser for benchmarks: one connection that is kept, cookies, and the tokens of forms."""

import http.client
import re
from http.cookies import SimpleCookie
from urllib.parse import urlencode

_TOKEN = re.compile(r'name="csrf_token" value="(\w+)"')
_TWEET = re.compile(r'<article[^>]* data-tweet-id="(\d+)"')
_BACKEND = re.compile(r'backend;desc="([^"]*)"')


class Browser:
    """Asks one site, one thing at a time. Follows nothing: a redirect is an answer."""

    def __init__(self, port: int) -> None:
        self._connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
        self.cookies: dict[str, str] = {}
        self.text = ""
        self.answered_by = ""
        self._token = ""

    def close(self) -> None:
        self._connection.close()

    def get(self, path: str) -> int:
        return self._ask("GET", path)

    def send(self, path: str, **fields: str) -> int:
        """Posts a form. The token is taken from the last page that had one, or from one that is got for it."""
        if not self._token:
            self.get("/login")
            if not self._token:
                self.get("/settings")
        return self._ask("POST", path, urlencode({"csrf_token": self._token, **fields}))

    @property
    def tweets(self) -> list[int]:
        """The ids on the last page, in order."""
        return [int(id_) for id_ in _TWEET.findall(self.text)]

    def _ask(self, method: str, path: str, body: str | None = None) -> int:
        headers = {"Cookie": "; ".join(f"{name}={value}" for name, value in self.cookies.items())}
        if body is not None:
            headers["Content-Type"] = "application/x-www-form-urlencoded"
        self._connection.request(method, path, body, headers)
        response = self._connection.getresponse()
        self.text = response.read().decode()
        for line in response.headers.get_all("Set-Cookie", []):
            self.cookies |= {name: morsel.value for name, morsel in SimpleCookie(line).items()}
        if found := _TOKEN.search(self.text):
            self._token = found[1]
        if found := _BACKEND.search(response.headers.get("Server-Timing", "")):
            self.answered_by = found[1]
        return response.status
