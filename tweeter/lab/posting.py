"""A post of somebody with many followers, and its deliveries as they arrive."""

import time
from collections.abc import Callable

from pyramid.registry import Registry

from tweeter.actions import Actions
from tweeter.lab import crowds
from tweeter.lab.bench import Backend, Lab
from tweeter.lab.instruments import Delivered
from tweeter.lab.jobs import Job, Phase, Timer
from tweeter.models.meta import begin_immediate
from tweeter.values import Cursor, Timeline

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
        for backend in asked:
            (_warm if warm else _cool)(backend, followers, job)
        with sessions() as session:
            begin_immediate(session)
            actions = Actions(session, registry["passwords"], registry.settings["tweeter.message_limit"])
            tweet = actions.post(author, f"A test of the lab, to {len(followers):,} followers.")
            watched = [(backend, backend.instrument.tally.watch(tweet.id)) for backend in lab.stores]  # type: ignore[union-attr]
            session.commit()
        phases = [
            (backend, delivered, job.phase(f"Delivered to {backend.name}", len(followers) + OWN, "timelines"))
            for backend, delivered in watched
        ]
        lab.delivery.wake()
        _watch(phases)

    return work


def _warm(backend: Backend, followers: list[int], job: Job) -> None:
    """As if each of them had just opened their home page."""
    timer = Timer(job.phase(f"Warm in {backend.name}", len(followers), "timelines"))
    for follower in followers:
        backend.timelines.page(Timeline.home(follower), Cursor(limit=1))
        timer.advance(1)


def _cool(backend: Backend, followers: list[int], job: Job) -> None:
    """As if none of them had been here for long."""
    timer = Timer(job.phase(f"Dropped from {backend.name}", len(followers), "timelines"))
    for first in range(0, len(followers), CHUNK):
        chunk = followers[first : first + CHUNK]
        backend.instrument.store.drop([Timeline.home(follower).key for follower in chunk])  # type: ignore[union-attr]
        timer.advance(len(chunk))


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
