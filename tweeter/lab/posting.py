"""A post of somebody with many followers, and its deliveries as they arrive."""

import time
from collections.abc import Callable

from pyramid.registry import Registry

from tweeter.actions import Actions
from tweeter.errors import BackendUnavailable
from tweeter.lab import crowds
from tweeter.lab.bench import Backend, Lab
from tweeter.lab.instruments import Delivered
from tweeter.lab.jobs import Job, Phase, Timer
from tweeter.models.meta import begin_immediate
from tweeter.timelines import plans
from tweeter.values import Timeline

OWN = 3  # timelines besides the followers': the public one, the author's profile and home
CHUNK = 1_000
LOOK = 0.05  # seconds
STALLED = 20.0  # seconds without any delivery until nobody waits any more


def post_and_watch(registry: Registry, lab: Lab, size: int, warm: bool) -> Callable[[Job], None]:
    """The work of a Job: gathers the followers, makes their timelines warm or cold, posts, and watches."""

    def work(job: Job) -> None:
        sessions = registry["sessions"]
        author, followers = crowds.gather(sessions, size, job)
        asked = [backend for backend in lab.stores if backend.status().answers]

        def newest() -> tuple[list[int], int]:
            with sessions() as session:
                return plans.fill(session, Timeline.profile(author), registry.settings["tweeter.capacity"])

        for backend in asked:
            phase = job.phase(f"{'Warm in' if warm else 'Dropped from'} {backend.name}", len(followers), "timelines")
            _prepare(backend, followers, phase, newest if warm else None)
        with sessions() as session:
            begin_immediate(session)
            actions = Actions(session, registry["passwords"], registry.settings["tweeter.message_limit"])
            tweet = actions.post(author, f"A test of the lab, to {len(followers):,} followers.")
            watched = [(backend, backend.store.tally.watch(tweet.id)) for backend in lab.stores]
            session.commit()
        phases = [
            (backend, delivered, job.phase(f"Delivered to {backend.name}", len(followers) + OWN, "timelines"))
            for backend, delivered in watched
        ]
        lab.delivery.wake()
        _watch(phases)

    return work


def _prepare(
    backend: Backend, followers: list[int], phase: Phase, read: Callable[[], tuple[list[int], int]] | None
) -> None:
    """Makes the followers' timelines warm, as if each had just opened their home page; without `read`, cold."""
    store = backend.store
    timer = Timer(phase)
    try:
        for first in range(0, len(followers), CHUNK):
            keys = [Timeline.home(follower).key for follower in followers[first : first + CHUNK]]
            if read is None:
                store.drop(keys)
                timer.advance(len(keys))
                continue
            # As any reader does, but with one query for the chunk: they all follow the author, and nobody else.
            tokens = [store.begin_fill(key) for key in keys]
            ids, floor = read()
            for key, token in zip(keys, tokens, strict=True):
                if token is not None:
                    store.fill(key, token, ids, floor)
                timer.advance(1)
    except BackendUnavailable:
        phase.note = "then the store could not be asked any more"


def _watch(phases: list[tuple[Backend, Delivered, Phase]]) -> None:
    """Until all is delivered, or nothing is any more."""
    progress = time.monotonic()
    while True:
        before = sum(phase.done for _, _, phase in phases)
        for _, delivered, phase in phases:
            # A delivery that was interrupted begins anew: then some are told twice.
            phase.done = min(delivered.timelines, phase.total)
            phase.seconds = max(0.0, delivered.latest - delivered.began)
        waiting = [(backend, phase) for backend, _, phase in phases if phase.done < phase.total]
        for backend, _, phase in phases:
            answers = phase.done == phase.total or backend.status().answers
            phase.note = "" if answers else "waits in the outbox until the store answers"
        if not [phase for _, phase in waiting if not phase.note]:
            return
        if sum(phase.done for _, _, phase in phases) > before:
            progress = time.monotonic()
        if time.monotonic() - progress > STALLED:
            for _, phase in waiting:
                phase.note = "another process delivers, or it takes long: look at the metrics"
            return
        time.sleep(LOOK)
