"""Timelines and tweets in Redis: `tweeter.timelines = redis`.

    tweeter.redis.url = redis://localhost:6379/0    # or sentinels, or a cluster: see `url`
    tweeter.redis.prefix = tweeter:                 # several sites can share a server
    tweeter.redis.timeout_ms = 250                  # after which SQL serves the page
    tweeter.redis.idle_days = 7                     # after which a timeline that is not read expires

The server may evict what it likes; a user of its own needs the commands of `scripts` and `store`, INFO and SCAN.
"""

from collections.abc import Mapping
from typing import Any

from pyramid.config import Configurator

from tweeter.backends.redis.cache import RedisTweetCache
from tweeter.backends.redis.limits import RedisLimits
from tweeter.backends.redis.store import RedisTimelineStore
from tweeter.backends.redis.url import open_url, without_secrets
from tweeter.backends.redis.wire import Wire
from tweeter.settings import Setting


def _url(text: str) -> str:
    open_url(text, timeout=1.0)  # connects to nothing; raises SettingError
    return text


SETTINGS = {
    "tweeter.redis.url": Setting(
        _url, "redis://localhost:6379/0", help="The URL of a server, of sentinels or of a cluster."
    ),
    "tweeter.redis.prefix": Setting(str, "tweeter:", help="The prefix of every key."),
    "tweeter.redis.timeout_ms": Setting(int, 250, 1, "Milliseconds until SQL serves the page instead."),
    "tweeter.redis.idle_days": Setting(int, 7, 1, "Days until a timeline that is not read expires."),
}


def includeme(config: Configurator) -> None:
    settings = config.get_settings()
    url, timeout, prefix = _server(settings)
    idle = settings["tweeter.redis.idle_days"] * 86_400
    wire = Wire(open_url(url, timeout), timeout, prefix)
    cache = RedisTweetCache(wire, seconds=idle)
    store = RedisTimelineStore(
        wire,
        settings["tweeter.capacity"],
        idle_seconds=idle,
        identity=without_secrets(url),
        tweets=lambda: cache.prefix,
    )
    config.add_timeline_store(__name__, store=store, cache=cache)


def limits_storage(settings: Mapping[str, Any]) -> RedisLimits:
    """Where `tweeter.web.ratelimits` counts."""
    url, timeout, prefix = _server(settings)
    return RedisLimits(Wire(open_url(url, timeout), timeout, prefix), f"{prefix}limits")


def _server(settings: Mapping[str, Any]) -> tuple[str, float, str]:
    """The URL, the timeout in seconds, and the prefix of its keys."""
    return (
        settings["tweeter.redis.url"],
        settings["tweeter.redis.timeout_ms"] / 1000,
        settings["tweeter.redis.prefix"],
    )
