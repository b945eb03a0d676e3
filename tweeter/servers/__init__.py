"""Private servers for tests, benchmarks and the lab: each has a free port and a temporary folder."""

from tweeter.servers.base import (
    HOST,
    LOCAL,
    PATIENCE,
    NotInstalled,
    Server,
    find,
    free_port,
    release_port,
    reserve_port,
    resident,
)
from tweeter.servers.memcached import Memcached
from tweeter.servers.postgresql import PostgreSQL
from tweeter.servers.redis import Redis

__all__ = [
    "HOST",
    "LOCAL",
    "PATIENCE",
    "Memcached",
    "NotInstalled",
    "PostgreSQL",
    "Redis",
    "Server",
    "find",
    "free_port",
    "release_port",
    "reserve_port",
    "resident",
]
