"""The steps of the talk (David Cramer, "Building Scalable Web Apps", EuroPython 2011), in its order.

A step says in two sentences what changed and what it costs, and names the timelines that are measured for it. Other
modules add steps with `config.add_lab_step`.
"""

from collections.abc import Callable
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


def as_it_is(backend: str) -> Callable[[Any, Registry], ITimelines]:
    """The backend as configured for the site."""

    def make(lab: Any, registry: Registry) -> ITimelines:
        timelines: ITimelines = lab.backends[backend].timelines
        return timelines

    return make


def with_cache(
    name: str, backend: str, make_cache: Callable[[ITweetCache], ITweetCache]
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


TALK = [
    Step(
        "join",
        "One SQL join",
        "13–15",
        "Tweets and relationships are joined and sorted each time somebody looks. "
        "Nothing has to be kept right, and every reader pays for everybody whom they follow.",
        "sql",
        as_it_is("sql"),
    ),
    Step(
        "in-process",
        "A list in the process’s memory",
        "16",
        "The timeline is materialised: its ids, and the tweets, lie ready in this process. "
        "Nothing is faster, but every process has to follow what all others do, and a new one begins with nothing.",
        "memory",
        as_it_is("memory"),
    ),
    Step(
        "ids",
        "Ids in Redis, tweets by SQL",
        "17–27",
        "All processes share one list of ids in Redis, and one query fetches the tweets of a page by their ids. "
        "A reader no longer pays for whom they follow, yet every page still asks the database.",
        "redis",
        with_cache("redis-ids", "redis", lambda cache: NoCache()),
    ),
    Step(
        "get-each",
        "Tweets in Redis, one GET for each",
        "30–33, as its code reads",
        "Tweets are cached by id, so that the database is not asked at all. "
        "Each is asked for by itself, and a page of twenty waits for more than twenty round trips.",
        "redis",
        with_cache("redis-get-each", "redis", OneByOneCache),
    ),
    Step(
        "bulk",
        "Tweets in Redis, all at once",
        "30–33, as it means it",
        "Redis is asked for the ids of a page and for all its tweets in one exchange. "
        "One round trip is left, whoever reads and however many they follow.",
        "redis",
        as_it_is("redis"),
    ),
    Step(
        "memcached",
        "The same in memcached",
        "36, push to caches",
        "Ids are packed into 8 bytes each and appended to a value, which memcached does without reading it. "
        "It takes two round trips, one for ids and one for tweets, and may forget any timeline, which SQL fills again.",
        "memcached",
        as_it_is("memcached"),
    ),
]
