"""Processes of a site that post, deliver and watch: the functions for the children of benchmarks.

Each child has one site, which `begin` or `begin_by_hand` starts.
"""

import time
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import tweeter
from tweeter.bench.children import Child
from tweeter.bench.machinery import PATIENT, by_hand, caught_up, post
from tweeter.console.commands import CommandError
from tweeter.interfaces import IDelivery, ITimelines
from tweeter.outbox.checkpoint import decode, tweets_in_flight
from tweeter.values import Cursor, Timeline, TweetCreated

PATIENCE = 60  # seconds until all events are delivered
LONGEST = 900  # seconds of a fan-out

_registry: Any = None  # of this process


class Delivered(NamedTuple):
    seconds: float
    computed: float  # CPU seconds of this process
    grown: int | None  # maximal growth of this process in bytes; None on systems without that information


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
    _registry = tweeter.make_registry(dict(settings) | ({} if delivers else {"tweeter.delivery": "relay"}))
    if delivers:
        caught_up(_registry)
    else:
        _registry.getUtility(IDelivery).start()


def end() -> None:
    """Stops the site and releases its lease, so that another process takes over without the wait after a crash."""
    tweeter.shut_down(_registry)


def begin_by_hand(settings: Mapping[str, Any]) -> None:
    """Starts a site in this process whose store is read, and written by `deliver`, without a relay."""
    global _registry
    _registry = tweeter.make_registry(dict(settings) | PATIENT)
    by_hand(_registry)


def deliver(event: TweetCreated) -> Delivered:
    """Delivers a committed event completely."""
    projector = _registry.getUtility(ITimelines).projector
    before = _memory("VmRSS", forget_peak=True)
    computed, began = time.process_time(), time.perf_counter()
    for _ in projector.deliver(event):
        pass
    seconds, computed = time.perf_counter() - began, time.process_time() - computed
    peak = _memory("VmHWM")
    return Delivered(seconds, computed, None if before is None or peak is None else peak - before)


def _memory(name: str, forget_peak: bool = False) -> int | None:
    """Bytes of resident memory from Linux: VmRSS is the current value, VmHWM the peak since it was last reset."""
    try:
        if forget_peak:
            Path("/proc/self/clear_refs").write_text("5", encoding="ascii")
        lines = Path("/proc/self/status").read_text(encoding="utf-8").splitlines()
    except OSError:
        return None
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith(f"{name}:"))


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


def post_beside(author: int, count: int, pause: float, celebrity: int) -> dict[int, float]:
    """Like `post_and_wake`, while at any time a tweet of the celebrity is being fanned out."""
    wake, store = _registry.getUtility(IDelivery).wake, _registry.getUtility(ITimelines).store
    committed: dict[int, float] = {}
    for _ in range(count):
        checkpoint = decode(store.checkpoint())
        if checkpoint and celebrity not in {tweet.user_id for tweet in tweets_in_flight(checkpoint)}:
            post(_registry, celebrity)
            wake()
        committed |= post_and_wake(author, 1, pause)
    return committed


def post_and_deliver(author: int, count: int) -> float:
    """The seconds of so many posts in a row, until the last is delivered. Raises CommandError."""
    began = time.perf_counter()
    post_and_wake(author, count, 0.0)
    if not _registry.getUtility(IDelivery).drain(LONGEST):
        raise CommandError(f"A fan-out takes longer than {LONGEST} s.")
    return time.perf_counter() - began


def watch(follower: int, count: int, pause: float = 0.0) -> dict[int, float]:
    """When each of so many new tweets first appeared in the follower's home timeline (monotonic), by id.

    Without a pause between two reads of the store, it uses a CPU.
    """
    store, key = _registry.getUtility(ITimelines).store, Timeline("home", follower).key
    last = store.read(key, Cursor().before, 1).ids[0]
    seen: dict[int, float] = {}
    deadline = time.monotonic() + PATIENCE
    while len(seen) < count and time.monotonic() < deadline:
        ids = store.read(key, Cursor().before, count).ids
        moment = time.monotonic()
        seen |= {id_: moment for id_ in ids if id_ > last and id_ not in seen}
        time.sleep(pause)
    return seen
