"""One connection to one memcached server: pipelines many commands and reads their responses in bulk.

pymemcache waits for the response to each append before it sends the next; a fan-out has thousands. So its parts are
used (addresses, names, the pool, the errors), but not its exchange. Every wait ends at a deadline, even if a response
arrives byte by byte, and anything that is not a response of memcached is an error.
"""

import os
import select
import socket
import weakref
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import islice
from time import monotonic
from typing import NamedTuple

from pymemcache.exceptions import MemcacheServerError, MemcacheUnexpectedCloseError, MemcacheUnknownError

from tweeter.measure import count_bytes
from tweeter.sockets import limit_waits, throw_away_unsent, time_to_wait

STORED = b"STORED"
NOT_STORED = b"NOT_STORED"
TOO_LARGE = b"SERVER_ERROR object too large for cache"
ANSWERS = frozenset({STORED, NOT_STORED, b"EXISTS", b"NOT_FOUND", b"DELETED", TOO_LARGE})

BLOCK = 500  # commands per write; two such blocks are in flight at a time
RECEIVED = 65_536  # bytes per recv

Address = tuple[str, int] | str


class Found(NamedTuple):
    """A value, and its CAS unique, the number of this version of it.

    Tweeter stores values with flags 0. A value with other flags has a foreign format, and its `data` is empty here.
    """

    data: bytes
    unique: bytes


class Block(NamedTuple):
    """Commands whose response is one line each, and their number."""

    data: bytes
    commands: int


class Request(NamedTuple):
    """Commands, and names to get after them."""

    names: Sequence[bytes] = ()
    blocks: Sequence[Block] = ()

    def wire(self) -> list[bytes]:
        """The writes: one per block, the last with the `gets` of the names."""
        *first, last = [block.data for block in self.blocks] or [b""]
        return [*first, b"%sgets %s\r\n" % (last, b" ".join(self.names))]


def storing(verb: bytes, name: bytes, data: bytes, seconds: int = 0, unique: bytes = b"") -> bytes:
    """Encodes the command add, set, append or cas."""
    return b"%s %s 0 %d %d%s\r\n%s\r\n" % (verb, name, seconds, len(data), b" " + unique if unique else b"", data)


def blocks(commands: Iterable[bytes]) -> list[Block]:
    """Splits the commands into blocks small enough that neither side waits for the other."""
    rest: Iterator[bytes] = iter(commands)
    parts = iter(lambda: list(islice(rest, BLOCK)), [])
    return [Block(b"".join(part), len(part)) for part in parts]


class Connection:
    """A connection, opened at first use. `deadline` (monotonic) is the end of the current exchange."""

    def __init__(self, address: Address, timeout: float) -> None:
        self.deadline = 0.0
        self._address = address
        self._timeout = timeout
        self._socket: socket.socket | None = None
        self._let_go: Callable[[], object] = bool
        self._process = 0
        self._limit = 0.0  # seconds that the socket waits
        self._data = b""
        self._at = 0

    def open(self) -> None:
        """Connects unless connected; reconnects after the server closed the connection, and in a forked process."""
        if self._socket is not None and (self._process != os.getpid() or _readable(self._socket)):
            self._let_go()
            self._socket = None
        if self._socket is None:
            self._socket = _connect(self._address, self._timeout)
            self._let_go = weakref.finalize(self, self._socket.close)  # also when the store is garbage-collected
            self._process = os.getpid()
            self._data, self._at, self._limit = b"", 0, 0.0

    def close(self) -> None:
        """Closes the connection at once, even in the middle of an exchange."""
        if self._socket is not None:
            throw_away_unsent(self._socket)
            self._let_go()
            self._socket = None

    def send(self, data: bytes) -> None:
        self._waiting().sendall(data)
        count_bytes(sent=len(data))

    def lines(self, count: int) -> list[bytes]:
        """The responses to `count` commands."""
        while self._data.count(b"\r\n", self._at) < count:
            self._receive()
        *lines, self._data = self._data[self._at :].split(b"\r\n", count)
        self._at = 0
        if strange := set(lines) - ANSWERS:
            line = strange.pop()[:100]
            error = MemcacheServerError if line.startswith(b"SERVER_ERROR") else MemcacheUnknownError
            raise error(line.decode("ascii", "replace"))
        return lines

    def values(self, names: Sequence[bytes]) -> dict[bytes, Found]:
        """The response to `gets` of these names, which ends the exchange."""
        wanted = set(names)
        found: dict[bytes, Found] = {}
        while (line := self._line()) != b"END":
            match line.split(b" "):
                case [b"VALUE", name, flags, length, cas] if name in wanted and length.isdigit() and cas.isdigit():
                    data = self._bytes(int(length) + 2)
                    if not data.endswith(b"\r\n"):
                        raise MemcacheUnknownError("a value of another length than it said")
                    found[name] = Found(data[:-2] if flags == b"0" else b"", cas)
                case _:
                    raise MemcacheUnknownError(line[:100].decode("ascii", "replace"))
        if self._at != len(self._data):
            raise MemcacheUnknownError("more than it was asked for")
        return found

    def _line(self) -> bytes:
        while (end := self._data.find(b"\r\n", self._at)) < 0:
            self._receive()
        line = self._data[self._at : end]
        self._at = end + 2
        return line

    def _bytes(self, count: int) -> bytes:
        while len(self._data) - self._at < count:
            self._receive()
        self._at += count
        return self._data[self._at - count : self._at]

    def _receive(self) -> None:
        chunk = self._waiting().recv(RECEIVED)
        if not chunk:
            raise MemcacheUnexpectedCloseError("closed by the server")
        count_bytes(received=len(chunk))
        self._data = self._data[self._at :] + chunk
        self._at = 0

    def _waiting(self) -> socket.socket:
        """The socket, with a timeout that ends at the deadline."""
        left = self.deadline - monotonic()
        if self._socket is None or left <= 0:
            raise TimeoutError("timed out")
        if (limit := time_to_wait(left, self._timeout)) != self._limit:
            limit_waits(self._socket, limit)
            self._limit = limit
        return self._socket


def _connect(address: Address, timeout: float) -> socket.socket:
    if isinstance(address, str):
        connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            connection.settimeout(timeout)
            connection.connect(address)
        except OSError:
            connection.close()
            raise
        return connection
    # Tries all addresses of the name: memcached often listens on 127.0.0.1 only, and localhost resolves to ::1 first.
    connection = socket.create_connection(address, timeout)
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return connection


def _readable(connection: socket.socket) -> bool:
    """Whether there is unrequested data: the server closed the connection, or it is out of sync."""
    poll = select.poll()
    poll.register(connection, select.POLLIN)
    return bool(poll.poll(0))
