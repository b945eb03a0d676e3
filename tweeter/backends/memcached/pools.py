"""Connections to all servers, and exchanges with many servers at once."""

from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from functools import partial
from time import monotonic
from typing import NamedTuple

from pymemcache.exceptions import MemcacheError
from pymemcache.pool import ObjectPool

from tweeter.backends.memcached.wire import Address, Connection, Found, Request
from tweeter.errors import BackendUnavailable
from tweeter.measure import round_trip


class Reply(NamedTuple):
    """A line for each command, and the values found under the names."""

    lines: list[bytes]
    values: dict[bytes, Found]


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
                wires: dict[int, list[bytes]] = {}
                for server, request in requests.items():
                    connection = stack.enter_context(self._pools[server].get_and_release(destroy_on_fail=True))
                    connection.open()
                    connections[server] = connection
                    wires[server] = request.wire()
                lines: dict[int, list[bytes]] = {server: [] for server in requests}
                deadline = monotonic() + self._timeout
                for wave in range(max(map(len, wires.values())) + 1):
                    for server, connection in connections.items():
                        connection.deadline = deadline
                        if wave < len(wires[server]):
                            connection.send(wires[server][wave])
                    for server, connection in connections.items():
                        if 0 < wave <= len(requests[server].blocks):
                            lines[server] += connection.lines(requests[server].blocks[wave - 1].commands)
                            deadline = monotonic() + self._timeout  # it makes progress
                replies = {}
                for server, connection in connections.items():
                    replies[server] = Reply(lines[server], connection.values(requests[server].names))
                return replies
        except (OSError, ValueError, MemcacheError) as error:
            reason = "timed out" if isinstance(error, BlockingIOError) else error  # how the kernel reports a timeout
            raise BackendUnavailable(f"memcached {self.names[server]}: {reason}") from error
