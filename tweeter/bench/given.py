"""User-provided servers to measure on: connects to them, and removes only the keys of the benchmark."""

from collections.abc import Iterator
from contextlib import closing, contextmanager
from typing import Any
from urllib.parse import unquote_to_bytes

import redis
from pymemcache.client.base import Client
from pymemcache.exceptions import MemcacheError
from redis.exceptions import RedisClusterException, RedisError

from tweeter.backends.memcached import addresses
from tweeter.batches import batched
from tweeter.console.commands import CommandError, describe

AT_ONCE = 1000  # keys per request
PATIENCE = 30  # seconds


@contextmanager
def redis_client(url: str) -> Iterator[redis.Redis]:
    """A redis-py client of a server or a cluster. Raises CommandError if it is unreachable."""
    first = url.replace("+cluster://", "://", 1)
    try:
        made: Any = redis.Redis.from_url(url) if first == url else redis.RedisCluster.from_url(first.partition(",")[0])
        with closing(made) as client:
            client.ping()
            yield client
    except (RedisError, RedisClusterException, ValueError) as error:
        raise CommandError(f"Redis at {url.rpartition('@')[2]}: {error}") from error


@contextmanager
def memcached_client(servers: str) -> Iterator[Client]:
    """A client of the first server. Raises CommandError if it is unreachable."""
    try:
        with closing(Client(addresses(servers)[0], timeout=PATIENCE, no_delay=True)) as client:
            client.version()
            yield client
    except (OSError, MemcacheError) as error:
        raise CommandError(f"memcached at {servers}: {describe(error)}") from error


def clean_redis(url: str, prefix: str) -> None:
    """Removes every key with the prefix."""
    with redis_client(url) as client:
        for names in batched(client.scan_iter(match=f"{prefix}*", count=AT_ONCE), AT_ONCE):
            client.unlink(*names)


def clean_memcached(servers: str, prefix: str) -> None:
    """Removes every key with the prefix from each server."""
    for server in servers.replace(",", " ").split():
        with memcached_client(server) as client:
            client.delete_many(memcached_names(client, prefix), noreply=False)


def memcached_names(client: Client, prefix: str) -> list[bytes]:
    """The existing keys with the prefix. The crawler walks the hash table: its walk by age omits recently read keys."""
    client.version()  # connects
    listed = b"BUSY"
    while listed.startswith(b"BUSY"):  # one crawler serves all clients and memcached's own upkeep
        # pymemcache's raw_command drops all but the last segment of a long response.
        client.sock.sendall(b"lru_crawler metadump hash\r\n")
        listed = b""
        while not listed.endswith(b"\r\n"):
            if not (received := client.sock.recv(262_144)):
                raise MemcacheError("memcached closed the connection while it listed its keys")
            listed += received
    keys = (line[4:].partition(b" ")[0] for line in listed.split(b"\n") if line.startswith(b"key="))
    return [name for name in map(unquote_to_bytes, keys) if name.startswith(prefix.encode())]
