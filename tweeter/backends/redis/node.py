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

from tweeter.measure import count_bytes
from tweeter.sockets import limit_waits, throw_away_unsent, time_to_wait

RECEIVED = 65_536  # bytes per recv
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


class Stranger(ConnectionError):
    """The server has another run id than expected: it was restarted, or is another server."""


def identify(connection: Any) -> None:
    """Called on each new connection: stores the run id of its server."""
    connection.on_connect()
    connection.send_command("INFO", "server")
    connection.run_id = field(connection.read_response(), b"run_id")
    connection.limit = None


def field(info: bytes, name: bytes) -> str:
    """One field of the reply to INFO.

    Raises ValueError.
    """
    for line in info.splitlines():
        if line.startswith(name + b":"):
            return line.partition(b":")[2].decode()
    raise ValueError(f"INFO answers without {name.decode()}")


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

        If `runs` is given, the server's run id must be one of them: raises Stranger otherwise.
        """
        connection = self._connection()
        try:
            if runs is not None and connection.run_id not in runs:
                connection.disconnect()  # it may be an old connection; check the run id of a new one
                connection.connect()
                if connection.run_id not in runs:
                    raise Stranger(f"{self.name} was started again, or is another server")
            _limit(connection, self._timeout)
            connection._sock.sendall(payload)
            count_bytes(sent=len(payload))
        except BaseException as error:
            self.drop(connection)
            raise _named(error, self.name) from error
        return Exchange(self, connection, replies, self._timeout)

    def ask(self, payload: bytes, replies: int, runs: Collection[str] | None = None) -> list[Any]:
        return self.begin(payload, replies, runs).read()

    def release(self, connection: Any) -> None:
        """Takes back an idle connection."""
        self._at_hand.append((connection, time.monotonic()))

    def drop(self, connection: Any) -> None:
        """Closes a connection at once, even in the middle of an exchange."""
        if connection._sock is not None:
            throw_away_unsent(connection._sock)
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
        try:
            connection, since = self._at_hand.pop()
        except IndexError:
            return self._pool.get_connection()
        if time.monotonic() - since < LONG_REST:
            return connection
        connection.limit = None  # the pool sets its own
        self._pool.release(connection)
        return self._pool.get_connection()


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
            _limit(self._connection, self._timeout)
            self._connection._sock.sendall(payload)
        except BaseException as error:
            self.abort()
            raise _named(error, self.node.name) from error
        count_bytes(sent=len(payload))
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
                left = deadline - time.monotonic()
                if left <= 0:
                    raise builtins.TimeoutError
                _limit(connection, time_to_wait(left, self._timeout))
                data = connection._sock.recv(RECEIVED)
                if not data:
                    raise ConnectionError("closed the connection")
                count_bytes(received=len(data))
                reader.feed(data)
            if self._lots:
                return replies
            if reader.has_data():
                raise ConnectionError("answered what nobody asked")
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


def _limit(connection: Any, seconds: float) -> None:
    """Sets how long the connection waits for the server."""
    if connection.limit != seconds:
        limit_waits(connection._sock, seconds)
        connection.limit = seconds


def _named(error: BaseException, name: str) -> BaseException:
    """The failure as an error of redis-py, which distinguishes "no response in time" from "no connection"."""
    if isinstance(error, builtins.TimeoutError | BlockingIOError):
        return TimeoutError(f"{name} does not answer in time")
    if isinstance(error, OSError | hiredis.HiredisError):
        return ConnectionError(f"{name}: {error or type(error).__name__}")
    return error
