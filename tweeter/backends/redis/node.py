"""One Redis server: redis-py's pooled connections, and exchanges of many commands over them.

Connections come from redis-py (addresses, TLS, passwords, Sentinel). What goes over them is written and read here in
bulk: redis-py's own pipelines take ten times as long for it, and on a cluster they refuse scripts.
"""

import builtins
import time
from collections.abc import Collection
from typing import Any

import hiredis
from redis import ConnectionPool
from redis.exceptions import ConnectionError, TimeoutError

from tweeter.measure import count_bytes

RECEIVED = 65_536  # bytes at a time

_MORE = object()


class Refusal(Exception):
    """An error that the server answered to one command: "OOM command not allowed …"."""

    @property
    def code(self) -> str:
        return str(self).partition(" ")[0]


class Stranger(ConnectionError):
    """The server is another, or was started again: what it holds is not what is expected."""


def identify(connection: Any) -> None:
    """Called on each new connection: notes which run of which server it leads to."""
    connection.on_connect()
    connection.send_command("INFO", "server")
    connection.run_id = field(connection.read_response(), b"run_id")


def field(info: bytes, name: bytes) -> str:
    """One line of what INFO answers.

    Raises ValueError.
    """
    for line in info.splitlines():
        if line.startswith(name + b":"):
            return line.partition(b":")[2].decode()
    raise ValueError(f"INFO answers without {name.decode()}")


class Node:
    """A server by its pool of connections; they have to be made with `identify`."""

    def __init__(self, name: str, pool: ConnectionPool, timeout: float) -> None:
        self.name = name
        self._pool = pool
        self._timeout = timeout

    def __repr__(self) -> str:
        return f"<Node {self.name}>"

    def begin(self, payload: bytes, replies: int, runs: Collection[str] | None = None) -> "Exchange":
        """Writes commands that are answered by so many replies; whoever begins it reads or aborts it.

        Where `runs` is given, only to a server that is one of these runs: raises Stranger otherwise.
        """
        connection: Any = self._pool.get_connection()
        try:
            if runs is not None and connection.run_id not in runs:
                connection.disconnect()  # perhaps one from before; what would a new one lead to?
                connection.connect()
                if connection.run_id not in runs:
                    raise Stranger(f"{self.name} was started again, or is another server")
            connection._sock.settimeout(self._timeout)
            connection._sock.sendall(payload)
            count_bytes(sent=len(payload))
        except BaseException as error:
            connection.disconnect()
            self._pool.release(connection)
            raise _named(error, self.name) from error
        return Exchange(self, connection, replies, self._timeout)

    def ask(self, payload: bytes, replies: int, runs: Collection[str] | None = None) -> list[Any]:
        return self.begin(payload, replies, runs).read()

    def release(self, connection: Any) -> None:
        self._pool.release(connection)

    def reconnect(self) -> None:
        """Closes the connections that nobody uses, so that the next ones find the server that is the master now."""
        self._pool.disconnect(inuse_connections=False)


class Exchange:
    """Commands that were written, and whose replies are not read yet."""

    def __init__(self, node: Node, connection: Any, replies: int, timeout: float) -> None:
        self.node = node
        self._connection = connection
        self._replies = replies
        self._timeout = timeout

    def read(self, deadline: float | None = None) -> list[Any]:
        """The replies in order, a Refusal where the server answers an error. No later than at the deadline."""
        replies: list[Any] = []
        connection = self._connection
        reader = hiredis.Reader(replyError=Refusal, notEnoughData=_MORE)
        deadline = deadline or time.monotonic() + self._timeout
        try:
            while len(replies) < self._replies:
                connection._sock.settimeout(max(deadline - time.monotonic(), 0.001))
                data = connection._sock.recv(RECEIVED)
                if not data:
                    raise ConnectionError("closed the connection")
                count_bytes(received=len(data))
                reader.feed(data)
                replies.extend(iter(reader.gets, _MORE))
            if len(replies) > self._replies:
                raise ConnectionError("answered what nobody asked")
        except BaseException as error:
            self.abort()
            raise _named(error, self.node.name) from error
        self._connection = None
        self.node.release(connection)
        return replies

    def abort(self) -> None:
        """Gives the replies up; does nothing where they were read."""
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.disconnect()
            self.node.release(connection)


def _named(error: BaseException, name: str) -> BaseException:
    """The failure in redis-py's words, which tell "no answer in time" from "no connection"."""
    if isinstance(error, builtins.TimeoutError):
        return TimeoutError(f"{name} does not answer in time")
    if isinstance(error, OSError | hiredis.HiredisError):
        return ConnectionError(f"{name}: {error or type(error).__name__}")
    return error
