"""The memory of a timeline in Redis: the list, and the same ids in the talk's sorted set."""

from contextlib import closing
from typing import NamedTuple

import redis
from pyramid.registry import Registry

from tweeter.lab.status import Lab
from tweeter.values import Timeline


class Footprint(NamedTuple):
    """Bytes by MEMORY USAGE; a cold timeline has no key."""

    ids: int
    list: int
    sorted_set: int


def footprint(registry: Registry, lab: Lab, timeline: Timeline) -> Footprint | None:
    """None if the timeline is cold, or Redis is no single server. Redis must answer."""
    backend = lab.backends["redis"]
    if backend.instrument is None or backend.instrument.server is None or backend.materialized is None:
        return None
    with closing(redis.Redis.from_url(registry.settings["tweeter.redis.url"])) as client:
        try:
            held = backend.materialized.peek(timeline)
            size = client.memory_usage(backend.instrument.store.name_of(timeline.key), samples=0)
            if held is None or not size:
                return None
            name = f"{registry.settings['tweeter.redis.prefix']}lab-talk:{timeline.key}"
            pipeline = client.pipeline()
            pipeline.delete(name)
            pipeline.zadd(name, {str(id_): id_ for id_ in held.ids or [0]})
            pipeline.memory_usage(name, samples=0)
            pipeline.delete(name)
            return Footprint(len(held.ids), size, pipeline.execute()[2])
        except redis.RedisError:
            return None
