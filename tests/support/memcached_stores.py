"""Stores on memcached servers of their own, and servers that send anything."""

import contextlib
import itertools
import os
import socket
import threading
from collections.abc import Iterator
from contextlib import closing
from typing import Any

import pytest
from pymemcache.client.base import Client

from tweeter.backends.memcached.client import Servers
from tweeter.backends.memcached.store import MemcachedTimelineStore
from tweeter.devtools.servers import Memcached
from tweeter.ids import MAX_ID

END = MAX_ID + 1
TIMEOUT = 1.0
numbers = itertools.count()


class Small(Memcached):
    """It has a few pages of memory, and rejects writes instead of evicting."""

    def command(self):
        return [*super().command()[:-1], "4", "-M"]


@pytest.fixture(scope="module")
def trio(memcached_server) -> Iterator[list[Memcached]]:
    with closing(Memcached()) as second, closing(Memcached()) as third:
        second.start()
        third.start()
        yield [memcached_server, second, third]


@pytest.fixture
def own_server() -> Iterator[Memcached]:
    """A server that tests may break."""
    with closing(Memcached()) as server:
        server.start()
        yield server


def servers_at(*servers: Memcached, prefix: str | None = None, timeout: float = TIMEOUT, site: str = "s") -> Servers:
    """As in a process of the site; with separate keys unless a prefix is given."""
    return at([(server.host, server.port) for server in servers], prefix or f"t{next(numbers)}:", timeout, site)


def at(addresses: list[Any], prefix: str = "x:", timeout: float = TIMEOUT, site: str = "s") -> Servers:
    servers = Servers(addresses, prefix, timeout)
    servers.set_site(site)
    return servers


def store_at(*servers: Memcached, capacity: int = 10, **options: Any) -> Any:
    return MemcachedTimelineStore(servers_at(*servers, **options), capacity)


def hang(server: Memcached) -> None:
    """Returns once the condition holds."""
    server.pause()
    assert server._process
    os.waitid(os.P_PID, server._process.pid, os.WSTOPPED | os.WNOWAIT)


def client_of(server: Memcached) -> Client:
    return Client((server.host, server.port), timeout=5, connect_timeout=5, no_delay=True, default_noreply=False)


def name_of(store: Any, key: str) -> str:
    """The current memcached name of a key. The store has one server."""
    [epoch] = store._servers._epochs
    return str(store._name(epoch, key).decode())


@contextlib.contextmanager
def saying(*answers: bytes, pause: float = 0.0) -> Iterator[int]:
    """A server that sends these responses to any requests, and repeats the last one."""
    stopped = threading.Event()
    accepted: list[socket.socket] = []

    def serve(connection: socket.socket) -> None:
        with connection, contextlib.suppress(OSError):
            for answer in itertools.chain(answers, itertools.repeat(answers[-1])):
                if not answer or stopped.wait(pause) or not connection.recv(100_000):
                    return
                connection.sendall(answer)
                while pause and not stopped.wait(pause):
                    connection.sendall(answer)

    def accept() -> None:
        with contextlib.suppress(OSError):
            while not stopped.is_set():
                accepted.append(listening.accept()[0])
                threads.append(threading.Thread(target=serve, args=(accepted[-1],)))
                threads[-1].start()

    with socket.create_server(("127.0.0.1", 0)) as listening:
        threads = [threading.Thread(target=accept)]
        threads[0].start()
        try:
            yield listening.getsockname()[1]
        finally:
            stopped.set()
            for end in (listening, *accepted):
                with contextlib.suppress(OSError):
                    end.shutdown(socket.SHUT_RDWR)
    for thread in threads:
        thread.join()
