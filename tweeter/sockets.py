"""What the stores' connections have in common."""

import socket
import struct
from contextlib import suppress

_AT_ONCE = struct.pack("ii", 1, 0)


def throw_away_unsent(connection: socket.socket) -> None:
    """Called before a connection is closed in the middle of something: what was not sent yet never will be.

    Otherwise the kernel would go on trying, and what was given up could reach a server minutes later, when timelines
    have been dropped and filled without it.
    """
    with suppress(OSError):
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _AT_ONCE)
