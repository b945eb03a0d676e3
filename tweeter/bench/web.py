"""Web servers that are measured: each is waitress in a process of its own, with the settings of the ini file."""

import http.client
import os
import re
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager
from html import unescape
from http.cookies import SimpleCookie
from typing import Any, NamedTuple
from urllib.parse import urlencode

import plaster
from pyramid.paster import setup_logging
from pyramid.router import Router
from waitress.server import create_server

import tweeter
from tweeter.bench.children import Child
from tweeter.cli.common import CommandError

Address = tuple[str, int]

# Where the ini file's server listens, and what it runs on, is not ours.
ELSEWHERE = frozenset(("use", "listen", "host", "port", "ipv4", "ipv6", "unix_socket", "unix_socket_perms", "sockets"))


class Answer(NamedTuple):
    status: int
    headers: http.client.HTTPMessage
    text: str


def server_settings(ini: str) -> dict[str, str]:
    """What the ini file tells waitress; its defaults where the file has no server."""
    found = plaster.get_loader(ini, protocols=["wsgi"]).get_settings("server:main")
    ours = "waitress" in found.get("use", "")
    return {key: value for key, value in found.items() if ours and key not in ELSEWHERE}


def site_app(settings: dict[str, Any]) -> Router:
    """The site itself, as pserve would have it."""
    return tweeter.main({}, **settings)


class Served(NamedTuple):
    """A server that runs."""

    address: Address
    child: Child

    def cpu(self) -> float:
        """Seconds that its process has computed."""
        return self.child.call(time.process_time)


@contextmanager
def serving(ini: str, log: str, make_app: Callable[..., Router], *arguments: Any) -> Iterator[Served]:
    """A server of the application that `make_app(*arguments)` makes there.

    It logs as the ini file says, only that standard error is the file `log`.
    """
    with closing(Child()) as child:
        yield Served(child.call(_serve, ini, log, server_settings(ini), make_app, arguments), child)


def _serve(ini: str, log: str, settings: Mapping[str, str], make_app: Callable[..., Router], arguments: Any) -> Address:
    with open(log, "ab") as file:
        os.dup2(file.fileno(), 2)
    setup_logging(ini)
    server = create_server(make_app(*arguments), **settings, listen="127.0.0.1:0")
    threading.Thread(target=server.run, daemon=True).start()
    return "127.0.0.1", server.effective_port


class Browser:
    """Somebody's cookies, on one connection."""

    def __init__(self, address: Address) -> None:
        self._connection = http.client.HTTPConnection(*address, timeout=60)
        self._cookies: dict[str, str] = {}

    def close(self) -> None:
        self._connection.close()

    def at(self, address: Address) -> "Browser":
        """The same cookies at another address."""
        other = Browser(address)
        other._cookies = dict(self._cookies)
        return other

    def get(self, path: str) -> Answer:
        return self._ask("GET", path)

    def sign_in(self, username: str, password: str) -> None:
        """Fills in the form. Raises CommandError where the site does not let one in."""
        form = self.get("/login").text
        token = re.search(r'name="csrf_token" value="([^"]+)"', form)
        if token is None:
            raise CommandError("The sign-in page has no form.")
        fields = {"csrf_token": unescape(token[1]), "username": username, "password": password}
        answer = self._ask("POST", "/login", urlencode(fields))
        if answer.status != http.client.SEE_OTHER:
            raise CommandError(f"{username} can't sign in: {answer.status}")

    def request(self, path: str) -> bytes:
        """The bytes that ask for a page on a connection that is kept alive."""
        cookie = f"Cookie: {self.cookie}\r\n" if self._cookies else ""
        return f"GET {path} HTTP/1.1\r\nHost: localhost\r\nAccept: text/html\r\n{cookie}\r\n".encode("ascii")

    @property
    def cookie(self) -> str:
        """What a request sends of its cookies."""
        return "; ".join(f"{name}={value}" for name, value in self._cookies.items())

    def _ask(self, method: str, path: str, body: str | None = None) -> Answer:
        headers = {"Content-Type": "application/x-www-form-urlencoded"} if body else {}
        if self._cookies:
            headers["Cookie"] = self.cookie
        self._connection.request(method, path, body, headers)
        response = self._connection.getresponse()
        for line in response.headers.get_all("Set-Cookie", ()):
            self._cookies |= {name: morsel.value for name, morsel in SimpleCookie(line).items()}
        return Answer(response.status, response.headers, response.read().decode())
