"""A site without its web application, to measure its parts one by one."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from pyramid.registry import Registry
from sqlalchemy import Engine

import tweeter
from tweeter.console.commands import CommandError, trouble
from tweeter.db.options import engine_of
from tweeter.interfaces import IDelivery, IMaterializedTimelines, ITimelines
from tweeter.outbox.site import site_id
from tweeter.plugins import dotted
from tweeter.services.actions import acting
from tweeter.timelines import BACKENDS

# Backends with shared stores for which a scratch site has servers, and the one whose store is in its database.
REDIS, MEMCACHED, TABLE = (f"{BACKENDS}.{name}" for name in ("redis", "memcached", "table"))

# Settings of those that read or write a store directly: without a fallback to SQL, a late response must not end them.
PATIENT = {"tweeter.redis.timeout_ms": "10000", "tweeter.memcached.timeout_ms": "10000"}


@contextmanager
def machinery(settings: Mapping[str, Any]) -> Iterator[Registry]:
    """A site with these complete settings: `registry.database.sessions`, and the timelines and delivery utilities.

    `caught_up` starts the delivery. Raises CommandError for a shared store that may belong to a real site.
    """
    with tweeter.site(settings, deliver=False) as registry:
        _check_stores(registry, dotted(BACKENDS, settings["tweeter.timelines"]))
        yield registry


def _check_stores(registry: Registry, chosen: str) -> None:
    """Benchmarks clear stores. A module may register more backends than the chosen one."""
    for name, timelines in registry.getUtilitiesFor(ITimelines):
        shared = IMaterializedTimelines.providedBy(timelines) and not timelines.store.private
        if name and shared and not (name == chosen and chosen in (REDIS, MEMCACHED, TABLE)):
            raise CommandError(
                f"{chosen} can't be measured: its store ({name}) is shared, and may belong to the site. "
                "Private servers exist only for redis and memcached."
            )


@contextmanager
def engine_at(url: str) -> Iterator[Engine]:
    """An engine for a database, without connections after the block. Raises SettingError for a wrong URL."""
    engine = engine_of({"sqlalchemy.url": url})
    try:
        yield engine
    finally:
        engine.dispose()


def post(registry: Registry, author: int) -> int:
    """Commits a tweet. Returns its id."""
    with acting(registry) as actions:
        return actions.post(author, "Of everyday size, as most are.").id


def caught_up(registry: Registry, seconds: float = 30) -> Any:
    """The registry's timelines, once they read from their store.

    Raises CommandError if they do not in time.
    """
    timelines, delivery = registry.getUtility(ITimelines), registry.getUtility(IDelivery)
    delivery.start()
    if not delivery.drain(seconds):
        raise CommandError(f"{timelines.name} can't be used: {trouble(timelines)}")
    return timelines


def by_hand(registry: Registry) -> Any:
    """The registry's timelines, readable without a background delivery: the caller delivers."""
    timelines = registry.getUtility(ITimelines)
    timelines.set_site(site_id(registry.database.sessions))
    timelines.store.fence(timelines.store.run_id())
    timelines.circuit.succeeded()
    timelines.read_at_any_age()
    return timelines
