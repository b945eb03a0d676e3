"""Timelines and tweets in Redis: `tweeter.timelines = redis`.

    tweeter.redis.url = redis://localhost:6379/0    # or sentinels, or a cluster: see `url`
    tweeter.redis.prefix = tweeter:                 # several sites can share a server
    tweeter.redis.timeout_ms = 250                  # after which SQL answers
    tweeter.redis.idle_days = 7                     # after which a timeline that nobody reads is forgotten

The server may evict what it likes; a user of its own needs the commands of `scripts` and `store`, INFO and SCAN.
"""

from pyramid.config import Configurator

from tweeter.backends.redis.cache import RedisTweetCache
from tweeter.backends.redis.store import RedisTimelineStore
from tweeter.backends.redis.url import open_url, without_secrets
from tweeter.backends.redis.wire import Wire
from tweeter.settings import setting


def includeme(config: Configurator) -> None:
    settings = config.get_settings()
    url = setting(settings, "tweeter.redis.url", str, "redis://localhost:6379/0")
    timeout = setting(settings, "tweeter.redis.timeout_ms", int, 250, least=1) / 1000
    prefix = setting(settings, "tweeter.redis.prefix", str, "tweeter:")
    idle = setting(settings, "tweeter.redis.idle_days", int, 7, least=1) * 86_400
    wire = Wire(open_url(url, timeout), timeout)
    config.add_timeline_store(
        __name__,
        store=RedisTimelineStore(
            wire, prefix, settings["tweeter.capacity"], idle_seconds=idle, identity=without_secrets(url)
        ),
        cache=RedisTweetCache(wire, prefix, seconds=idle),
    )
