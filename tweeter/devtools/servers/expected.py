"""The servers that backends expect by their settings, and settings that lead to another address."""

from collections.abc import Mapping
from typing import Any, NamedTuple
from urllib.parse import urlsplit

from tweeter.devtools.servers.base import HOST, Server
from tweeter.devtools.servers.memcached import Memcached
from tweeter.devtools.servers.redis import Redis
from tweeter.timelines import BACKENDS

LOCAL = ("localhost", HOST)


class Expected(NamedTuple):
    """One server. `ours`: it is on this machine, so that it may be one that `tweeter services` starts."""

    kind: type[Server]
    host: str
    port: int
    ours: bool


def expected(module: str, settings: Mapping[str, Any]) -> Expected | None:
    """The server of the backend in this module, by parsed settings.

    None for other modules than our own, for several servers, and for any address but a host and a port.
    """
    if module == f"{BACKENDS}.redis":
        url = urlsplit(settings["tweeter.redis.url"])
        host, ours = url.hostname or "localhost", url.hostname in LOCAL and "@" not in url.netloc
        return Expected(Redis, host, url.port or 6379, ours) if url.scheme == "redis" else None
    if module == f"{BACKENDS}.memcached":
        match settings["tweeter.memcached.servers"]:
            case [(host, port)]:
                return Expected(Memcached, host, int(port), host in LOCAL)
    return None


def moved(settings: Mapping[str, Any], host: str, port: int) -> dict[str, Any]:
    """The settings that lead these backends to another address."""
    found: dict[str, Any] = {"tweeter.memcached.servers": [(host, port)]}
    if "tweeter.redis.url" in settings:
        url = urlsplit(settings["tweeter.redis.url"])
        user, at, _ = url.netloc.rpartition("@")
        found["tweeter.redis.url"] = url._replace(netloc=f"{user}{at}{host}:{port}").geturl()
    return found
