"""Processes of a site that post, deliver and watch: the functions for the children of `tweeter bench relay`."""

import time
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from typing import Any

from pyramid.registry import Registry

import tweeter
from tweeter.bench.children import Child
from tweeter.bench.machinery import PATIENT, by_hand, trusted
from tweeter.interfaces import IDelivery, ITimelines
from tweeter.services.actions import acting
from tweeter.values import Cursor, Timeline

PATIENCE = 60  # seconds until all events are delivered

_registry: Any = None  # of this process


@contextmanager
def site_process(settings: dict[str, Any], delivers: bool = True) -> Iterator[Child]:
    """A process of the site that releases its lease at the end."""
    with closing(Child()) as child:
        child.call(begin, settings, delivers)
        yield child
        child.call(end)


def begin(settings: Mapping[str, Any], delivers: bool = True) -> None:
    """Starts a site in this process. Without `delivers` it only records events and wakes other processes' relays."""
    global _registry
    _registry = tweeter.make_registry(dict(settings) | {"tweeter.delivery": "inline" if delivers else "relay"})
    if delivers:
        trusted(_registry)
    else:
        _registry.getUtility(IDelivery).start()


def end() -> None:
    """Stops the site and releases its lease, so that another process takes over without the wait after a crash."""
    tweeter.shut_down(_registry)


def begin_watch(settings: Mapping[str, Any]) -> None:
    """Starts a site in this process that only reads the store."""
    global _registry
    _registry = tweeter.make_registry(dict(settings) | PATIENT)
    by_hand(_registry)


def post(registry: Registry, author: int) -> int:
    """Commits a tweet. Returns its id."""
    with acting(registry) as actions:
        return actions.post(author, "Of everyday size, as most are.").id


def post_and_wake(author: int, count: int, pause: float) -> dict[int, float]:
    """Posts so many tweets, `pause` seconds apart. Returns when each was committed (monotonic), by id."""
    wake = _registry.getUtility(IDelivery).wake
    committed = {}
    for _ in range(count):
        id_ = post(_registry, author)
        committed[id_] = time.monotonic()
        wake()
        time.sleep(pause)
    return committed


def post_beside(author: int, celebrity: int, count: int, pause: float) -> dict[int, float]:
    """Like `post_and_wake`, while at any time a tweet of the celebrity is being fanned out."""
    delivery = _registry.getUtility(IDelivery)
    [relay] = delivery.relays
    committed: dict[int, float] = {}
    for _ in range(count):
        if not relay.in_flight:
            post(_registry, celebrity)
            delivery.wake()
        committed |= post_and_wake(author, 1, pause)
    return committed


def post_and_deliver(author: int, count: int) -> float:
    """The seconds of so many posts in a row, until the last is delivered."""
    began = time.perf_counter()
    post_and_wake(author, count, 0.0)
    _registry.getUtility(IDelivery).drain(PATIENCE)
    return time.perf_counter() - began


def watch(follower: int, count: int) -> dict[int, float]:
    """When each of so many new tweets first appeared in the follower's home timeline (monotonic), by id."""
    store, key = _registry.getUtility(ITimelines).store, Timeline("home", follower).key
    last = store.read(key, Cursor().before, 1).ids[0]
    seen: dict[int, float] = {}
    deadline = time.monotonic() + PATIENCE
    while len(seen) < count and time.monotonic() < deadline:
        ids = store.read(key, Cursor().before, count).ids
        moment = time.monotonic()
        for id_ in ids:
            if id_ > last:
                seen.setdefault(id_, moment)
    return seen
