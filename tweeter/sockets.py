"""What the stores' connections have in common."""

import socket
import ssl
import struct
from contextlib import suppress

ALMOST = 0.95  # of the time that is given

_AT_ONCE = struct.pack("ii", 1, 0)


def throw_away_unsent(connection: socket.socket) -> None:
    """Called before a connection is closed in the middle of something: what was not sent yet never will be.

    Otherwise the kernel would go on trying, and what was given up could reach a server minutes later, when timelines
    have been dropped and filled without it.
    """
    with suppress(OSError):
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _AT_ONCE)


def limit_waits(connection: socket.socket, seconds: float) -> None:
    """How long the socket waits for the server. It raises TimeoutError, or BlockingIOError.

    The kernel keeps the time: Python's own timeouts would ask it before each send and each receive.
    """
    if isinstance(connection, ssl.SSLSocket):  # it may have to do several things to receive once
        connection.settimeout(seconds)
        return
    connection.settimeout(None)
    span = struct.pack("ll", int(seconds), int(seconds % 1 * 1_000_000))
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, span)
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, span)


def time_to_wait(left: float, timeout: float) -> float:
    """The limit for a wait when `left` of the timeout is left. It mostly stays the same: no system call."""
    return timeout if left > timeout * ALMOST else max(left, 0.001)
