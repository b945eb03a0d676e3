"""Parses `tweeter.redis.url`: one server, a service that sentinels watch, or a cluster.

    redis://localhost:6379/0          rediss://user:password@host:6379/0          unix:///run/redis.sock?db=0
    redis+sentinel://host:26379,host:26379/service?db=0        sentinels' own password: &sentinel_password=…
    redis+cluster://host:6379,host:6379                        any of its nodes; the others are found

TLS to sentinels and clusters: `rediss+sentinel`, `rediss+cluster`.
"""

import hashlib
from typing import Any
from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit

from redis import ConnectionPool
from redis.backoff import NoBackoff
from redis.connection import parse_url
from redis.retry import Retry
from redis.sentinel import Sentinel

from tweeter.backends.redis.cluster import Cluster
from tweeter.backends.redis.node import Node, identify
from tweeter.backends.redis.topology import Topology
from tweeter.errors import SettingError

LONGEST_IDENTITY = 150  # characters
MOST_CONNECTIONS = 200  # of a process to a server


def open_url(url: str, timeout: float) -> Topology:
    """The topology that the URL names. Does not connect, so a site starts while its server is down.

    Raises SettingError.
    """
    try:
        return _open(url, timeout)
    except (ValueError, TypeError) as error:
        raise SettingError(f"tweeter.redis.url: {error}") from error


def _open(url: str, timeout: float) -> Topology:
    options: dict[str, Any] = {
        # Version 2 of the protocol suffices, and sends no unrequested messages.
        "protocol": 2,
        "socket_timeout": timeout,
        "socket_connect_timeout": timeout,
        "max_connections": MOST_CONNECTIONS,
        # The driver would retry for more than four seconds; a site whose threads all wait that long is down.
        "retry": Retry(NoBackoff(), 0),
        "redis_connect_func": identify,
        "driver_info": None,  # would take two round trips for each new connection
    }
    parts = urlsplit(url)
    scheme, _, kind = parts.scheme.partition("+")
    if parts.netloc and "@" in parts.path + parts.fragment:  # the errors of urllib would quote a part of the password
        raise ValueError("special characters in a password must be escaped, such as / as %2F")
    if not kind:
        return Topology(Node(without_secrets(url), ConnectionPool.from_url(url, **options), timeout))
    if kind not in {"cluster", "sentinel"} or scheme not in {"redis", "rediss"}:
        raise ValueError(f"there is no {parts.scheme}://; known are redis, rediss, unix, redis+sentinel, redis+cluster")
    login, _, hosts = parts.netloc.rpartition("@")
    if not all(hosts.split(",")):
        raise ValueError(f"an address is missing in {without_secrets(url)}")
    user = f"{login}@" if login else ""
    each = [parse_url(f"{scheme}://{user}{host}/?{parts.query}") for host in hosts.split(",")]
    port = 6379 if kind == "cluster" else 26379
    addresses = [(str(one.get("host", "localhost")), int(one.get("port", port))) for one in each]
    shared = {key: value for key, value in each[0].items() if key not in {"host", "port"}}
    if kind == "cluster":
        if shared.pop("db", 0) or parts.path.strip("/"):
            raise ValueError("a cluster has no numbered databases")

        def connect(host: str, port: int) -> Node:
            return Node(f"{host}:{port}", ConnectionPool(host=host, port=port, **shared, **options), timeout)

        return Cluster(addresses, connect, timeout)
    service = parts.path.strip("/")
    if not service:
        raise ValueError("the name of the service is missing: redis+sentinel://host:26379/service")
    secure = {"ssl": True} if shared.pop("connection_class", None) else {}
    own = {key: shared.pop(f"sentinel_{key}") for key in ("username", "password") if f"sentinel_{key}" in shared}
    plain = {key: value for key, value in options.items() if key not in {"redis_connect_func", "max_connections"}}
    watchers = Sentinel(addresses, sentinel_kwargs={**plain, **own, **secure}, **shared, **options, **secure)
    pool = watchers.master_for(service).connection_pool
    return Topology(Node(f"{service} of {hosts}", pool, timeout))


def without_secrets(url: str) -> str:
    """The URL without user and password, for display and comparison; shortened to LONGEST_IDENTITY characters."""
    parts = urlsplit(url)
    query = urlencode([pair for pair in parse_qsl(parts.query) if not pair[0].endswith(("password", "username"))])
    shown = urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2], query=query))
    if len(shown) > LONGEST_IDENTITY:
        shown = shown[: LONGEST_IDENTITY - 20] + hashlib.sha256(shown.encode()).hexdigest()[:20]
    return shown
