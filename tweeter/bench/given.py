"""User-provided servers to measure on: connects to them, and removes only the keys of the benchmark."""

import socket
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from urllib.parse import unquote

import redis
from redis.exceptions import RedisError

from tweeter.backends.memcached import addresses
from tweeter.console.commands import CommandError, describe

AT_ONCE = 1000  # keys per request


@contextmanager
def redis_client(url: str) -> Iterator[redis.Redis]:
    """A redis-py client. Raises CommandError if the server is unreachable."""
    try:
        with closing(redis.Redis.from_url(url)) as client:
            client.ping()
            yield client
    except (RedisError, ValueError) as error:
        raise CommandError(f"Redis at {url.rpartition('@')[2]}: {error}") from error


@contextmanager
def memcached_socket(servers: str) -> Iterator[socket.socket]:
    """A connection to the first server. Raises CommandError if it is unreachable."""
    address = addresses(servers)[0]
    try:
        if isinstance(address, str):
            connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
            connection.connect(address)
        else:
            connection = socket.create_connection(address, timeout=30)
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        with connection:
            yield connection
    except OSError as error:
        raise CommandError(f"memcached at {servers}: {describe(error)}") from error


def clean_redis(url: str, prefix: str) -> None:
    """Removes every key with the prefix."""
    with redis_client(url) as client:
        found = []
        for key in client.scan_iter(match=f"{prefix}*", count=AT_ONCE):
            found.append(key)
            if len(found) == AT_ONCE:
                client.unlink(*found)
                found.clear()
        if found:
            client.unlink(*found)


def clean_memcached(servers: str, prefix: str) -> None:
    """Removes every key with the prefix from each server."""
    for server in servers.replace(",", " ").split():
        with memcached_socket(server) as connection:
            # A listing may omit recently read keys, so it is repeated until it was empty twice.
            quiet = 0
            while quiet < 2:
                names = memcached_names(connection, prefix)
                quiet = 0 if names else quiet + 1
                time.sleep(0.05)
                for name in names:  # awaits each response: a listing must not follow unread responses
                    connection.sendall(b"delete %s\r\n" % name)
                    connection.recv(100)


def memcached_names(connection: socket.socket, prefix: str) -> list[bytes]:
    """The existing keys with the prefix, as memcached lists them."""
    connection.sendall(b"lru_crawler metadump all\r\n")
    data = b""
    while not data.endswith(b"END\r\n"):
        if not (received := connection.recv(262_144)):
            raise CommandError("memcached closed the connection while it listed its keys")
        data += received
        if data.startswith((b"ERROR", b"BUSY", b"CLIENT_ERROR")):
            raise CommandError(f"memcached does not list its keys: {data.decode(errors='replace').strip()}")
    listed = (line[4:].partition(b" ")[0] for line in data.split(b"\n") if line.startswith(b"key="))
    names = (unquote(name.decode("ascii")).encode() for name in listed)
    return [name for name in names if name.startswith(prefix.encode())]
