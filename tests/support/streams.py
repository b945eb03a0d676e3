"""Clients of streams for tests: server-sent events over a socket, with what they got."""

import http.client
import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from urllib.parse import urlsplit

from pyramid.router import Router

from tests.conftest import running, serving, settings_of
from tweeter.devtools.servers import Pushpin
from tweeter.devtools.servers.base import free_port, release_port


class Events:
    """A stream of server-sent events. Raises ConnectionError if the answer is no stream."""

    def __init__(self, url: str, token: str = "", first: str = ":", **headers: str) -> None:
        parts = urlsplit(url)
        headers |= {"Authorization": f"Bearer {token}"} if token else {}
        self._connection = http.client.HTTPConnection(parts.netloc, timeout=10)
        self._connection.request("GET", f"{parts.path}?{parts.query}", headers=headers)
        self.response = self._connection.getresponse()
        self.status = self.response.status
        if self.status != 200:
            error = self.response.read().decode()
            self.close()
            raise ConnectionError(self.status, error)
        self.read_until(first)  # it has begun

    def read_until(self, beginning: str) -> str:
        """The next line that begins so. Raises EOFError at the end of the stream."""
        while line := self.response.readline():
            if line.decode().startswith(beginning):
                return line.decode().rstrip("\n")
        raise EOFError

    def next(self) -> tuple[str, Any]:
        """The next event: its name, and its payload."""
        name = self.read_until("event:").removeprefix("event: ")
        payload = self.read_until("data:").removeprefix("data: ")
        return name, json.loads(payload) if payload.startswith("{") else payload

    def within(self, seconds: float) -> tuple[str, Any] | None:
        """The next event if it comes within so many seconds."""
        self._connection.sock.settimeout(seconds)
        try:
            return self.next()
        except TimeoutError:
            return None

    def close(self) -> None:
        self.response.close()
        self._connection.close()

    def __enter__(self) -> "Events":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def reconnect(url: str, token: str, seconds: float = 20) -> Events:
    """A new stream, as clients open it: again and again until there is an answer."""
    deadline = time.monotonic() + seconds
    while True:
        try:
            return Events(url, token)
        except OSError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.05)


@contextmanager
def streaming_site(url: str, **own: str) -> Iterator[tuple[Router, Pushpin]]:
    """A site behind a Pushpin."""
    port = free_port()
    pushpin = Pushpin(port)
    pushpin.start()
    try:
        with running(settings_of(url) | pushpin.settings | own) as app:
            release_port(port)
            with serving(app, port=port):
                deadline = time.monotonic() + 10
                while not app.registry["streams"].holds and time.monotonic() < deadline:
                    time.sleep(0.01)
                yield app, pushpin
    finally:
        pushpin.close()
