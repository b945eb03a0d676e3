"""Timelines and tweets in memcached, on one server or several: `tweeter.timelines = memcached`.

    tweeter.memcached.servers = localhost:11211 localhost:11212
    tweeter.memcached.prefix = tweeter:      # several sites can share servers
    tweeter.memcached.timeout_ms = 250       # after which SQL serves the page
    tweeter.memcached.idle_days = 7          # after which a timeline that is not read expires; 30 at most

All processes of a site must name the same servers in the same order, and reach the same ones by these names.
"""

import re
from collections.abc import Mapping
from typing import Any

from pymemcache.client.base import normalize_server_spec
from pyramid.config import Configurator

from tweeter.backends.memcached.cache import MemcachedTweetCache
from tweeter.backends.memcached.client import LONGEST_PREFIX, Servers
from tweeter.backends.memcached.limits import MemcachedLimits
from tweeter.backends.memcached.store import LONGEST_LIFE, MemcachedTimelineStore
from tweeter.backends.memcached.wire import Address
from tweeter.errors import SettingError
from tweeter.settings import Setting

DAY = 86_400


def includeme(config: Configurator) -> None:
    settings = config.get_settings()
    named, timeout, prefix = _servers(settings)
    days = settings["tweeter.memcached.idle_days"]
    every = Servers(named, prefix, timeout)
    store = MemcachedTimelineStore(every, settings["tweeter.capacity"], idle_seconds=days * DAY)
    config.add_timeline_store(__name__, store=store, cache=MemcachedTweetCache(every, seconds=days * DAY))


def limits_storage(settings: Mapping[str, Any]) -> MemcachedLimits:
    """Where `tweeter.web.ratelimits` counts."""
    named, timeout, prefix = _servers(settings)
    return MemcachedLimits(named, f"{prefix}limits:", timeout)


def _servers(settings: Mapping[str, Any]) -> tuple[list[Address], float, str]:
    """The servers, the timeout in seconds, and the prefix of their keys."""
    return (
        settings["tweeter.memcached.servers"],
        settings["tweeter.memcached.timeout_ms"] / 1000,
        settings["tweeter.memcached.prefix"],
    )


def addresses(text: str) -> list[Address]:
    """The servers of the setting: `host:port`, `host`, `[::1]:11211` or `/path/of/a/socket`, with blanks between.

    Raises SettingError.
    """
    found: list[Address] = []
    for word in text.replace(",", " ").split():
        try:
            address = normalize_server_spec(word)
        except ValueError:
            address = ("", 0)
        if not isinstance(address, str) and not (
            address[0] and 0 < address[1] < 65_536 and _HOST.fullmatch(address[0])
        ):
            raise SettingError(f"tweeter.memcached.servers: {word!r} is no server; one is written as host:port")
        if address in found:
            raise SettingError(f"tweeter.memcached.servers: {word} is there twice")
        found.append(address)
    if not found:
        raise SettingError("tweeter.memcached.servers must name at least one server, such as localhost:11211")
    return found


_HOST = re.compile(r"[\w.-]+|[0-9A-Fa-f:.]+(%\w+)?")


def _prefix(text: str) -> str:
    if len(text) > LONGEST_PREFIX or not (text.isascii() and text.isprintable()) or " " in text:
        raise SettingError(
            f"tweeter.memcached.prefix must be at most {LONGEST_PREFIX} ASCII characters without blanks, not {text!r}"
        )
    return text


SETTINGS = {
    "tweeter.memcached.servers": Setting(addresses, "localhost:11211", help="The servers, separated by spaces."),
    "tweeter.memcached.prefix": Setting(_prefix, "tweeter:", help="The prefix of every key."),
    "tweeter.memcached.timeout_ms": Setting(int, 250, 1, "Milliseconds until SQL serves the page instead."),
    "tweeter.memcached.idle_days": Setting(
        int, 7, 1, "Days until a timeline that is not read expires.", most=LONGEST_LIFE // DAY
    ),
}
