"""The steps of the talk (David Cramer, "Building Scalable Web Apps", EuroPython 2011), in its order.

A step says in two sentences what changed and what it costs, and names the timelines that are measured for it. Other
modules add steps with `config.add_lab_step`.
"""

import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

from pyramid.registry import Registry

from tweeter.interfaces import ITimelineKinds, ITimelines, ITweetCache
from tweeter.lab.caches import NoCache, OneByOneCache
from tweeter.timelines.push import PushTimelines


class Step(NamedTuple):
    """The step is measured if `backend` is reachable. `make(lab, registry)` returns the timelines to measure."""

    name: str
    title: str
    slides: str
    text: str
    backend: str
    make: Callable[[Any, Registry], ITimelines]


def as_configured(backend: str) -> Callable[[Any, Registry], ITimelines]:
    """The backend as configured for the site."""

    def make(lab: Any, registry: Registry) -> ITimelines:
        timelines: ITimelines = lab.backends[backend].timelines
        return timelines

    return make


def with_cache(
    name: str, backend: str, make_cache: Callable[[ITweetCache], Any]
) -> Callable[[Any, Registry], ITimelines]:
    """The backend's own store with another tweet cache."""

    def make(lab: Any, registry: Registry) -> ITimelines:
        instrument = lab.backends[backend].instrument
        return PushTimelines(
            name,
            instrument.store,
            make_cache(instrument.cache),
            registry.database.read_sessions,
            registry.getUtility(ITimelineKinds),
            capacity=registry.settings["tweeter.capacity"],
            clock=registry.database.clock,
            circuit=lab.backends[backend].materialized.circuit,
        )

    return make


def talk() -> list[Step]:
    """The steps of the talk. Their texts are in talk.toml."""
    own = {
        "ids": with_cache("redis-ids", "redis", NoCache),
        "get-each": with_cache("redis-get-each", "redis", OneByOneCache),
    }
    found = tomllib.loads(Path(__file__).with_name("talk.toml").read_text(encoding="utf-8"))["step"]
    return [Step(**each, make=own.get(each["name"]) or as_configured(each["backend"])) for each in found]
