"""Private servers for tests, benchmarks and the lab: a free port, a temporary folder, a handle that stops them."""

from tweeter.devtools.servers.base import (
    HOST,
    PATIENCE,
    NotInstalled,
    Server,
    find,
    free_port,
    release_port,
    reserve_port,
    resident,
)
from tweeter.devtools.servers.memcached import Memcached
from tweeter.devtools.servers.postgresql import PostgreSQL, PostgreSQLReplica
from tweeter.devtools.servers.pushpin import Pushpin
from tweeter.devtools.servers.rabbitmq import RabbitMQ
from tweeter.devtools.servers.redis import Redis

__all__ = [
    "HOST",
    "PATIENCE",
    "Memcached",
    "NotInstalled",
    "PostgreSQL",
    "PostgreSQLReplica",
    "Pushpin",
    "RabbitMQ",
    "Redis",
    "Server",
    "find",
    "free_port",
    "release_port",
    "reserve_port",
    "resident",
]
