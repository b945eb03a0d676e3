"""A site without its web application, to measure its parts one by one."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from pyramid.registry import Registry

import tweeter
from tweeter.cli.common import CommandError
from tweeter.interfaces import IDelivery, ITimelines


@contextmanager
def machinery(settings: Mapping[str, Any]) -> Iterator[Registry]:
    """The site of complete settings: `registry["sessions"]`, and the timelines and delivery utilities.

    Nothing is delivered in the background before somebody wakes the delivery.
    """
    registry = tweeter.make_registry(settings)
    try:
        yield registry
    finally:
        registry.getUtility(IDelivery).stop()
        registry["engine"].dispose()


def trusted(registry: Registry, seconds: float = 30) -> Any:
    """The registry's timelines, once they answer from their store.

    Raises CommandError where they don't in time.
    """
    timelines, delivery = registry.getUtility(ITimelines), registry.getUtility(IDelivery)
    delivery.ready()
    if not delivery.drain(seconds):
        raise CommandError(f"{timelines.name} does not answer.")
    return timelines


def by_hand(registry: Registry) -> Any:
    """The registry's timelines, trusted although nothing is delivered in the background: the caller delivers."""
    timelines = registry.getUtility(ITimelines)
    timelines.expect(timelines.incarnation())
    timelines.trust()
    return timelines
