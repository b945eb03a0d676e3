"""A load generator for web servers: keep-alive connections that send the next request after each response.

It runs in a process of its own. A request takes it some 30 µs, so it keeps up with any single server process that
renders pages; it reports its own CPU share.
"""

import selectors
import socket
import time
from collections.abc import Iterator, Sequence
from itertools import cycle
from typing import NamedTuple

from tweeter.bench.figures import percentile
from tweeter.errors import TweeterError

RECEIVED = 262_144  # bytes at a time


PATIENCE = 10.0  # seconds until the first response


class Load(NamedTuple):
    """The result. Only requests sent and answered within the measured time count."""

    rate: float  # requests per second
    median: float  # seconds per request
    slowest: float  # the 99th percentile, in seconds
    busy: float  # the CPU share of this process
    answers: int  # including uncounted responses
    unanswered: int  # connections without any response


class WrongAnswer(TweeterError):
    """A response other than a page with status 200 or a redirect (303) after a form."""


class Connection:
    """One keep-alive connection, and the response it waits for."""

    def __init__(self, address: tuple[str, int]) -> None:
        self.socket = socket.create_connection(address, timeout=30)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.answered = 0

    def ask(self, request: bytes, keep: bool = False) -> None:
        """Sends a request. With `keep`, `body` has the content of the response in the end."""
        self._head = b""
        self._missing = -1  # bytes; unknown before the headers have arrived
        self.body = bytearray() if keep else None
        self.asked = time.perf_counter()
        self._expected = b" 303 " if request.startswith(b"POST") else b" 200 "
        self.socket.sendall(request)

    def receive(self) -> bool:
        """Reads available bytes. Returns True once the response is complete."""
        chunk = self.socket.recv(RECEIVED)
        if not chunk:
            raise WrongAnswer("The server closed a connection that was to be kept alive.")
        if self._missing < 0:
            self._head += chunk
            head, end, chunk = self._head.partition(b"\r\n\r\n")
            if not end:
                return False
            self._missing = _length(head, self._expected)
        self._missing -= len(chunk)
        if self.body is not None:
            self.body += chunk
        if self._missing == 0:
            self.answered += 1
        return self._missing == 0


def load(
    address: tuple[str, int], requests: bytes | Sequence[bytes], connections: int, seconds: float, warm_up: float
) -> Load:
    """Sends a request, or several in rotation, for `seconds`, after a warm-up that does not count.

    Raises WrongAnswer.
    """
    turns = cycle([requests] if isinstance(requests, bytes) else requests)
    all_of_them = [Connection(address) for _ in range(connections)]
    try:
        with selectors.DefaultSelector() as selector:
            for connection in all_of_them:
                selector.register(connection.socket, selectors.EVENT_READ, connection)
                connection.ask(next(turns))
            _ask_for(selector, turns, warm_up)
            busy, began = time.process_time(), time.perf_counter()
            times = _ask_for(selector, turns, seconds)
            took = time.perf_counter() - began
            busy = time.process_time() - busy
    finally:
        for connection in all_of_them:
            connection.socket.close()
    if not times:
        raise WrongAnswer(f"No response within {max(seconds, PATIENCE):g} seconds.")
    answered = [connection.answered for connection in all_of_them]
    return Load(
        len(times) / took, percentile(times, 50), percentile(times, 99), busy / took, sum(answered), answered.count(0)
    )


def _ask_for(selector: selectors.BaseSelector, turns: Iterator[bytes], seconds: float) -> list[float]:
    """Continues for so many seconds, on a slow machine until the first response.

    Returns the seconds of each response that arrived in that time.
    """
    times: list[float] = []
    end, at_last = (time.perf_counter() + patience for patience in (seconds, max(seconds, PATIENCE)))
    while (now := time.perf_counter()) < (end if times else at_last):
        for key, _ in selector.select((end if times else at_last) - now):
            connection: Connection = key.data
            if connection.receive():
                times.append(time.perf_counter() - connection.asked)
                connection.ask(next(turns))
    return times


def _length(head: bytes, expected: bytes) -> int:
    status, *lines = head.split(b"\r\n")
    if expected not in status:
        raise WrongAnswer(f"The server responds {status.decode(errors='replace')}.")
    for line in lines:
        name, _, value = line.partition(b":")
        if name.lower() == b"content-length":
            return int(value)
    raise WrongAnswer("The server responds without Content-Length.")
