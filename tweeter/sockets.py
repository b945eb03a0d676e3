"""Connections to the servers of the stores."""

import select
import socket
import ssl
import struct
from contextlib import suppress
from time import monotonic

from tweeter.measure import count_bytes

RECEIVED = 65_536  # bytes per receive
ALMOST = 0.95  # of the timeout
_AT_ONCE = struct.pack("ii", 1, 0)


class Channel:
    """A connected socket whose every wait ends at a deadline (monotonic), at most `timeout` seconds away."""

    def __init__(self, connection: socket.socket, timeout: float) -> None:
        self._socket = connection
        self._timeout = timeout
        self._limit = 0.0  # seconds that the socket waits

    def send(self, data: bytes, deadline: float) -> None:
        self._wait_until(deadline)
        self._socket.sendall(data)
        count_bytes(sent=len(data))

    def receive(self, deadline: float) -> bytes:
        self._wait_until(deadline)
        if not (data := self._socket.recv(RECEIVED)):
            raise ConnectionError("closed by the server")
        count_bytes(received=len(data))
        return data

    def readable(self) -> bool:
        """Whether there is unrequested data: the server closed the connection, or it is out of sync."""
        poll = select.poll()
        poll.register(self._socket, select.POLLIN)
        return bool(poll.poll(0))

    def discard_unsent(self) -> None:
        """Discards unsent data; called before a connection is closed in the middle of an exchange.

        Otherwise the kernel would keep trying to send it, and abandoned commands could reach a server minutes later,
        when timelines have been dropped and backfilled without them.
        """
        with suppress(OSError):
            self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _AT_ONCE)

    def _wait_until(self, deadline: float) -> None:
        """Sets the limit for the next wait. After that it raises TimeoutError, or BlockingIOError.

        The kernel enforces the limit: Python's own timeouts take a system call before each send and each receive. It
        rarely changes, which saves system calls, too.
        """
        left = deadline - monotonic()
        if left <= 0:
            raise TimeoutError("timed out")
        limit = self._timeout if left > self._timeout * ALMOST else max(left, 0.001)
        if limit == self._limit:
            return
        self._limit = limit
        if isinstance(self._socket, ssl.SSLSocket):  # one receive may take several system calls
            self._socket.settimeout(limit)
            return
        self._socket.settimeout(None)
        span = struct.pack("ll", int(limit), int(limit % 1 * 1_000_000))
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, span)
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, span)
