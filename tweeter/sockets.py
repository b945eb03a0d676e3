"""Functions shared by the connections of the stores."""

import select
import socket
import ssl
import struct
from contextlib import suppress

ALMOST = 0.95  # of the timeout

_AT_ONCE = struct.pack("ii", 1, 0)


def throw_away_unsent(connection: socket.socket) -> None:
    """Discards unsent data; called before a connection is closed in the middle of an exchange.

    Otherwise the kernel would keep trying to send it, and abandoned commands could reach a server minutes later, when
    timelines have been dropped and backfilled without them.
    """
    with suppress(OSError):
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _AT_ONCE)


def limit_waits(connection: socket.socket, seconds: float) -> None:
    """Sets how long the socket waits for the server. After that it raises TimeoutError, or BlockingIOError.

    The kernel enforces the limit: Python's own timeouts take a system call before each send and each receive.
    """
    if isinstance(connection, ssl.SSLSocket):  # one receive may take several system calls
        connection.settimeout(seconds)
        return
    connection.settimeout(None)
    span = struct.pack("ll", int(seconds), int(seconds % 1 * 1_000_000))
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, span)
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, span)


def time_to_wait(left: float, timeout: float) -> float:
    """The limit for a wait when `left` seconds of the timeout remain. It rarely changes, which saves system calls."""
    return timeout if left > timeout * ALMOST else max(left, 0.001)


def readable(connection: socket.socket) -> bool:
    """Whether there is unrequested data: the server closed the connection, or it is out of sync."""
    poll = select.poll()
    poll.register(connection, select.POLLIN)
    return bool(poll.poll(0))
