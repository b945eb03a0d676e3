"""One Redis server: redis-py's pooled connections, and exchanges of many commands over them.

Connections come from redis-py (addresses, TLS, passwords, Sentinel). Commands and replies are written and read here in
bulk: redis-py's own pipelines take ten times as long, and refuse scripts on a cluster.
"""

import builtins
import os
import time
from collections import deque
from collections.abc import Collection
from contextlib import suppress
from itertools import islice
from typing import Any

import hiredis
from redis import ConnectionPool
from redis.exceptions import ConnectionError, TimeoutError

from tweeter.sockets import Channel

LONG_REST = 1.0  # seconds idle after which the server may have closed a connection

_MORE = object()


class Refusal(Exception):
    """An error reply of the server to one command, for example "OOM command not allowed …"."""

    @property
    def code(self) -> str:
        return str(self).partition(" ")[0]

    @property
    def damaged(self) -> bool:
        """Whether the key holds a value of the wrong type for the command; the server itself works."""
        return self.code == "WRONGTYPE"


class OtherRun(ConnectionError):
    """The server has another run id than expected: it was restarted, or is another server."""


def identify(connection: Any) -> None:
    """Called on each new connection: stores the run id of its server."""
    connection.on_connect()
    connection.send_command("INFO", "server")
    connection.run_id = field(connection.read_response(), b"run_id")


def field(info: bytes, name: bytes) -> str:
    """One field of the reply to INFO.

    Raises ValueError.
    """
    for line in info.splitlines():
        if line.startswith(name + b":"):
            return line.partition(b":")[2].decode()
    raise ValueError(f"INFO has no {name.decode()}")


class Node:
    """A server and its pool of connections, which must be made with `identify`.

    Used connections are kept outside the pool, which would first check whether they are alive. Each system call lets
    another thread compute, and with many threads that costs more than the call.
    """

    def __init__(self, name: str, pool: ConnectionPool, timeout: float) -> None:
        self.name = name
        self._pool = pool
        self._timeout = timeout
        self._at_hand: deque[tuple[Any, float]] = deque()  # idle connections, and since when
        self._process = os.getpid()

    def __repr__(self) -> str:
        return f"<Node {self.name}>"

    def begin(self, payload: bytes, replies: int, runs: Collection[str] | None = None) -> "Exchange":
        """Writes commands that get `replies` replies. The caller must read or abort the exchange.

        If `runs` is given, the server's run id must be one of them: raises OtherRun otherwise.
        """
        connection = self._connection()
        try:
            if runs is not None and connection.run_id not in runs:
                connection.disconnect()  # it may be an old connection; check the run id of a new one
                connection.connect()
                connection.channel = Channel(connection._sock, self._timeout)
                if connection.run_id not in runs:
                    raise OtherRun(f"{self.name} was started again, or is another server")
            connection.channel.send(payload, time.monotonic() + self._timeout)
        except BaseException as error:
            self.drop(connection)
            raise _named(error, self.name) from error
        return Exchange(self, connection, replies, self._timeout)

    def release(self, connection: Any) -> None:
        """Takes back an idle connection."""
        self._at_hand.append((connection, time.monotonic()))

    def drop(self, connection: Any) -> None:
        """Closes a connection at once, even in the middle of an exchange."""
        connection.channel.discard_unsent()
        connection.disconnect()
        self._pool.release(connection)

    def reconnect(self) -> None:
        """Closes the idle connections, so that the next ones connect to the current master."""
        while self._at_hand:
            with suppress(IndexError):  # another thread was faster
                self.drop(self._at_hand.pop()[0])
        self._pool.disconnect(inuse_connections=False)

    def _connection(self) -> Any:
        if self._process != os.getpid():  # forked: these connections belong to the parent
            self._at_hand, self._process = deque(), os.getpid()
        with suppress(IndexError):
            idle, since = self._at_hand.pop()
            if time.monotonic() - since < LONG_REST:
                return idle
            self._pool.release(idle)
        connection: Any = self._pool.get_connection()
        connection.channel = Channel(connection._sock, self._timeout)  # the pool may have changed its timeout
        return connection


class Exchange:
    """Commands that were written and whose replies are not read yet, in one or several lots, read in their order."""

    def __init__(self, node: Node, connection: Any, replies: int, timeout: float) -> None:
        self.node = node
        self._connection = connection
        self._lots = deque([replies])
        self._reader = hiredis.Reader(replyError=Refusal, notEnoughData=_MORE)
        self._timeout = timeout

    @property
    def over(self) -> bool:
        """Whether all replies were read, or the exchange was aborted."""
        return self._connection is None

    def write(self, payload: bytes, replies: int) -> None:
        """Writes one more lot while others are in progress."""
        try:
            self._connection.channel.send(payload, time.monotonic() + self._timeout)
        except BaseException as error:
            self.abort()
            raise _named(error, self.node.name) from error
        self._lots.append(replies)

    def read(self, deadline: float | None = None) -> list[Any]:
        """The replies to the next lot, a Refusal for each error reply. Returns or raises by the deadline."""
        if self.over:
            raise ConnectionError(f"{self.node.name}: given up")
        connection, reader = self._connection, self._reader
        deadline = deadline or time.monotonic() + self._timeout
        wanted = self._lots.popleft()
        replies: list[Any] = []
        try:
            while True:
                replies.extend(islice(iter(reader.gets, _MORE), wanted - len(replies)))
                if len(replies) == wanted:
                    break
                reader.feed(connection.channel.receive(deadline))
            if self._lots:
                return replies
            if reader.has_data():
                raise ConnectionError("sent more than was requested")
        except BaseException as error:
            self.abort()
            raise _named(error, self.node.name) from error
        self._connection = None
        self.node.release(connection)
        return replies

    def abort(self) -> None:
        """Drops the connection, unless the replies were read."""
        connection, self._connection = self._connection, None
        if connection is not None:
            self.node.drop(connection)


def _named(error: BaseException, name: str) -> BaseException:
    """The failure as an error of redis-py, which distinguishes "no response in time" from "no connection"."""
    if isinstance(error, builtins.TimeoutError | BlockingIOError):
        return TimeoutError(f"{name} does not respond in time")
    if isinstance(error, OSError | hiredis.HiredisError):
        return ConnectionError(f"{name}: {error or type(error).__name__}")
    return error
