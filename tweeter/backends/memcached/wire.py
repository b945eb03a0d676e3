"""Exchanges with memcached servers: pipelined commands, responses read in bulk.

Writes are quiet meta commands (`ms … q`, `md … q`): memcached responds only to those that it refuses. A fan-out takes
half the time of one with a response to each `append`. Values are read with `gets`: one `mg` for each value of a page
takes the server half as long again.

pymemcache waits for each response before it sends the next command; a fan-out has thousands. So its parts are used
(addresses, names, the pool, the errors), but not its exchange. Every wait ends at a deadline, even if a response
arrives byte by byte, and anything that is not a response of memcached is an error.
"""

import os
import re
import socket
import weakref
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from functools import partial
from itertools import islice
from time import monotonic
from typing import NamedTuple

from pymemcache.exceptions import (
    MemcacheError,
    MemcacheServerError,
    MemcacheUnknownError,
)
from pymemcache.pool import ObjectPool

from tweeter.errors import BackendUnavailable
from tweeter.measure import round_trip
from tweeter.sockets import Channel

ADD, APPEND, SET = b"E", b"A", b"S"  # modes of `ms`
DELETE = b"md %s q\r\n".__mod__
TOO_LARGE = b"too large for cache"  # in place of the name, which memcached does not send

BLOCK = 500  # commands per write; two such blocks are in flight at a time

# Not stored, changed since, missing: the name follows, but after a delete.
_REFUSED = rb"(?:NF|(?:(?:NS|EX|NF) k|SERVER_ERROR object )([^\r\n]+))\r\n"
_NAMES = re.compile(_REFUSED)
_REFUSALS = re.compile(rb"(?:%s)*" % _REFUSED)

Address = tuple[str, int] | str


class Found(NamedTuple):
    """A value, and its CAS unique, the number of this version of it.

    Tweeter stores values with flags 0. A value with other flags has a foreign format, and its `data` is empty here.
    """

    data: bytes
    unique: bytes


class Request(NamedTuple):
    """Blocks of quiet commands, and names to get after them."""

    names: Sequence[bytes] = ()
    blocks: Sequence[bytes] = ()

    def writes(self) -> list[bytes]:
        """One write per block. All but the last end with a no-op, the last with the `gets` of the names."""
        *first, last = self.blocks or [b""]
        return [*(block + b"mn\r\n" for block in first), b"%sgets %s\r\n" % (last, b" ".join(self.names))]


class Reply(NamedTuple):
    """The names for which a command was refused, and the values found by name."""

    refused: list[bytes]
    values: dict[bytes, Found]


def storing(mode: bytes, name: bytes, data: bytes, seconds: int = 0, unique: bytes = b"") -> bytes:
    """Encodes a quiet `ms`. With a CAS unique, it is refused if the value is not that version any more."""
    cas = b" C" + unique if unique else b""
    return b"ms %s %d M%s T%d%s q k\r\n%s\r\n" % (name, len(data), mode, seconds, cas, data)


def blocks(commands: Iterable[bytes]) -> list[bytes]:
    """Joins quiet commands to blocks small enough that neither side waits for the other."""
    rest: Iterator[bytes] = iter(commands)
    return [b"".join(part) for part in iter(lambda: list(islice(rest, BLOCK)), [])]


class Connection:
    """A connection, opened at first use. `deadline` (monotonic) is the end of the current exchange."""

    def __init__(self, address: Address, timeout: float) -> None:
        self.deadline = 0.0
        self._address = address
        self._timeout = timeout
        self._channel: Channel | None = None
        self._let_go: Callable[[], object] = bool
        self._process = 0
        self._data = b""
        self._at = 0

    def open(self) -> None:
        """Connects unless connected; reconnects after the server closed the connection, and in a forked process."""
        if self._channel is not None and self._process == os.getpid() and not self._channel.readable():
            return
        self._let_go()
        connected = _connect(self._address, self._timeout)
        self._channel = Channel(connected, self._timeout)
        self._let_go = weakref.finalize(self, connected.close)  # also when the store is garbage-collected
        self._process = os.getpid()
        self._data, self._at = b"", 0

    def close(self) -> None:
        """Closes the connection at once, even in the middle of an exchange."""
        if self._channel is not None:
            self._channel.discard_unsent()
            self._let_go()
            self._channel = None

    def send(self, data: bytes) -> None:
        self._open().send(data, self.deadline)

    def refused(self, block: bool = False) -> list[bytes]:
        """The names for which a command was refused. `block`: reads the response to a block to its end."""
        names: list[bytes] = []
        while True:
            if run := _REFUSALS.match(self._data, self._at):
                names += _NAMES.findall(run[0])
                self._at = run.end()
            if self._data.find(b"\r\n", self._at) >= 0:  # another line
                break
            self._receive()
        if block and (line := self._line()) != b"MN":
            raise _strange(line)
        return names

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
                    raise _strange(line)
        if self._at != len(self._data):
            raise MemcacheUnknownError("more than was requested")
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
        self._data = self._data[self._at :] + self._open().receive(self.deadline)
        self._at = 0

    def _open(self) -> Channel:
        if self._channel is None:
            raise ConnectionError("not connected")
        return self._channel


def _strange(line: bytes) -> MemcacheError:
    error = MemcacheServerError if line.startswith(b"SERVER_ERROR") else MemcacheUnknownError
    return error(line[:100].decode("ascii", "replace"))


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


class Pools:
    """A pool of connections for each server. `timeout` (seconds) bounds an exchange, or each block of a long one."""

    def __init__(self, addresses: Sequence[Address], timeout: float) -> None:
        self.names = [a if isinstance(a, str) else f"{a[0]}:{a[1]}" for a in addresses]
        self._timeout = timeout
        # Connections connect at first use, because the pool creates them under its lock.
        self._pools: list[ObjectPool[Connection]] = [
            ObjectPool(partial(Connection, address, timeout), after_remove=Connection.close) for address in addresses
        ]

    def exchange(self, requests: Mapping[int, Request]) -> dict[int, Reply]:
        """One round trip with these servers: sends to all, then reads from all. No request, no round trip.

        A long request is sent block by block, each before the response to the previous one is read: the server never
        waits for the next block, and the buffers of neither side fill up.

        Raises BackendUnavailable.
        """
        if not requests:
            return {}
        server = next(iter(requests))
        try:
            with round_trip(), ExitStack() as stack:
                connections: dict[int, Connection] = {}
                for server in requests:
                    connections[server] = stack.enter_context(self._pools[server].get_and_release(destroy_on_fail=True))
                    connections[server].open()
                writes = {server: request.writes() for server, request in requests.items()}
                refused: dict[int, list[bytes]] = {server: [] for server in requests}
                deadline = monotonic() + self._timeout
                for wave in range(max(map(len, writes.values()))):
                    for server, connection in connections.items():
                        connection.deadline = deadline
                        if wave < len(writes[server]):
                            connection.send(writes[server][wave])
                    for server, connection in connections.items():
                        if 0 < wave < len(writes[server]):
                            refused[server] += connection.refused(block=True)
                            deadline = monotonic() + self._timeout  # it makes progress
                replies = {}
                for server, connection in connections.items():
                    connection.deadline = deadline
                    if requests[server].blocks:
                        refused[server] += connection.refused()
                    replies[server] = Reply(refused[server], connection.values(requests[server].names))
                return replies
        except (OSError, ValueError, MemcacheError) as error:
            reason = "timed out" if isinstance(error, BlockingIOError) else error  # how the kernel reports a timeout
            raise BackendUnavailable(f"memcached {self.names[server]}: {reason}") from error
