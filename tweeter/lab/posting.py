"""A post of an author with many followers, and its deliveries as they occur."""

import time
from collections.abc import Callable
from functools import partial
from typing import NamedTuple

from pyramid.registry import Registry

from tweeter.bulk.rows import in_parts
from tweeter.errors import BackendUnavailable
from tweeter.interfaces import ITimelineKinds
from tweeter.lab import crowds
from tweeter.lab.instruments import Delivered
from tweeter.lab.jobs import Job, Phase
from tweeter.lab.status import Backend, Lab
from tweeter.services.actions import Actions
from tweeter.values import Slice, Timeline

OWN = 3  # timelines besides the followers': public, the author's profile and home
CHUNK = 1_000
LOOK = 0.05  # seconds between updates
STALLED = 20.0  # seconds without any delivery until the job ends; its page continues to update


def post_and_watch(registry: Registry, lab: Lab, size: int, warm: bool) -> Callable[[Job], None]:
    """The work of a job: creates the followers, makes their timelines warm or cold, posts, watches the deliveries."""

    def work(job: Job) -> None:
        sessions = registry.database.sessions
        author, followers = crowds.gather(registry, size, job)
        asked = [backend for backend in lab.stores if backend.status().answers]

        def newest() -> tuple[list[int], int]:
            with sessions() as session:
                profile = registry.getUtility(ITimelineKinds)["profile"]
                filled: Slice = profile.backfill(session, author, registry.settings["tweeter.capacity"])
                return filled.ids, filled.floor

        for backend in asked:
            phase = job.phase(f"{'Warm in' if warm else 'Dropped from'} {backend.name}", len(followers), "timelines")
            _prepare(backend, followers, phase, newest if warm else None)
        with registry.database.writing_sessions.begin() as session:
            actions = Actions(session, registry["passwords"], registry.settings["tweeter.message_limit"])
            tweet = actions.post(author, f"A test post of the lab to {len(followers):,} followers.")
            begun = [(backend, backend.store.tally.watch(tweet.id)) for backend in lab.stores]
        watched = [
            Watched(backend, delivered, job.phase(f"Delivered to {backend.name}", len(followers) + OWN, "timelines"))
            for backend, delivered in begun
        ]
        job.look = partial(_look, watched)
        lab.delivery.wake()
        _watch(watched)

    return work


def _prepare(
    backend: Backend, followers: list[int], phase: Phase, read: Callable[[], tuple[list[int], int]] | None
) -> None:
    """Makes the followers' timelines warm, as if each had just opened their home page; without `read`, cold."""
    store = backend.store
    try:
        for chunk in in_parts(followers, CHUNK):
            keys = [Timeline("home", follower).key for follower in chunk]
            if read is None:
                store.drop(keys)
                phase.advance(len(keys))
                continue
            # Like a reader's backfill, but one query serves the chunk: all follow this author and no other account.
            tokens = [store.begin_backfill(key) for key in keys]
            ids, floor = read()
            for key, token in zip(keys, tokens, strict=True):
                if token is not None:
                    store.backfill(key, token, ids, floor)
                phase.advance(1)
    except BackendUnavailable:
        phase.note = "then the store became unreachable"


class Watched(NamedTuple):
    """The deliveries of a tweet to one backend."""

    backend: Backend
    delivered: Delivered
    phase: Phase

    @property
    def complete(self) -> bool:
        return self.phase.done == self.phase.total

    def look(self) -> None:
        # An interrupted delivery starts again, so some timelines are counted twice.
        self.phase.done = min(self.delivered.timelines, self.phase.total)
        self.phase.seconds = max(0.0, self.delivered.latest - self.delivered.began)
        answers = self.complete or self.backend.status().answers
        self.phase.note = "" if answers else "waits in the outbox until the store responds"


def _look(watched: list[Watched]) -> None:
    for each in watched:
        each.look()


def _watch(watched: list[Watched]) -> None:
    """Waits until all is delivered to the reachable stores, or nothing is delivered any more."""
    seen, since = -1, time.monotonic()
    while time.monotonic() - since < STALLED:
        _look(watched)
        if all(each.complete or each.phase.note for each in watched):
            return
        if (now := sum(each.phase.done for each in watched)) > seen:
            seen, since = now, time.monotonic()
        time.sleep(LOOK)
