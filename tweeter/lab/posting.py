"""A post or a repost by an author with many followers, its deliveries by the relay as they occur, and then the race."""

import time
from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

from pyramid.registry import Registry

from tweeter.batches import batched
from tweeter.errors import BackendUnavailable
from tweeter.interfaces import ITimelineKinds, IWarmingStore
from tweeter.lab import accounts, crowds
from tweeter.lab.instruments import Delivered
from tweeter.lab.jobs import Job, Phase
from tweeter.lab.race import race
from tweeter.lab.status import Backend, Lab
from tweeter.services.actions import Actions
from tweeter.values import Slice, Timeline, TweetCreated

OWN = 2  # timelines besides the followers': the author's profile and home; the public timeline shows no reposts
REPOSTED = "lab_reposted"  # the account whose tweets are reposted
CHUNK = 1_000
LOOK = 0.05  # seconds between updates
ATTEMPTS, PAUSE = 5, 0.3  # to prepare timelines; seconds
STALLED = 20.0  # seconds without any delivery until the job ends; its page continues to update


def post_and_watch(registry: Registry, lab: Lab, size: int, warm: bool, repost: bool) -> Callable[[Job], None]:
    """The work of a job: creates the followers, makes their timelines warm or cold, posts, watches the deliveries.

    Or reposts: the fan-out of a repost is that of a post.
    """

    def work(job: Job) -> None:
        sessions = registry.database.sessions
        author, followers = crowds.gather(registry, size, job)
        reposted = accounts.one(registry, REPOSTED) if repost else None
        asked = [backend for backend in lab.stores if backend.status().answers]

        def newest() -> Slice:
            with sessions() as session:
                profile = registry.getUtility(ITimelineKinds)["profile"]
                filled: Slice = profile.backfill(session, author, registry.settings["tweeter.capacity"])
                return filled

        phase = job.phase(f"Timelines {'warmed' if warm else 'dropped'}", len(followers) * len(asked), "timelines")
        for backend in asked:
            _prepare(backend, followers, phase, newest if warm else None)
        if any(backend.name == "memory" for backend in asked):
            kept = registry.settings["tweeter.memory.timelines"]
            if warm and size > kept:
                note = f"memory keeps {kept:,} timelines; the others are cold, and nothing is written to them"
                phase.note = "; ".join(filter(None, [phase.note, note]))
        with registry.database.writing_sessions.begin() as session:
            actions = Actions(session, registry["passwords"], registry.settings["tweeter.message_limit"])
            tweet = actions.post(reposted or author, f"A test post of the lab to {len(followers):,} followers.")
            if reposted:
                tweet = actions.repost(author, tweet.id)
            event = TweetCreated(tweet.id, author, of=tweet.repost_of_id or 0)
            begun = [(backend, backend.store.tally.watch(tweet.id)) for backend in lab.stores]
        total = len(followers) + (OWN if repost else OWN + 1)
        watched = [
            Watched(backend, delivered, job.phase(f"Delivered to {backend.name}", total, "timelines"))
            for backend, delivered in begun
        ]
        job.look = partial(_look, watched)
        lab.delivery.wake()
        _watch(watched)
        if warm:
            complete = [each.backend for each in watched if each.complete]
            race(registry, job, complete, lab, event, followers, newest().ids[1:])

    return work


def _prepare(backend: Backend, followers: list[int], phase: Phase, read: Callable[[], Slice] | None) -> None:
    """Makes the followers' timelines warm, as if each had just opened their home page; without `read`, cold."""
    store = backend.store
    attempts = ATTEMPTS
    for chunk in batched(followers, CHUNK):
        keys = [Timeline("home", follower).key for follower in chunk]
        while True:
            try:
                if read is None:
                    store.drop(keys)
                else:
                    _warm(store, keys, read)
                break
            except BackendUnavailable:  # a busy server, or one that the lab broke
                attempts -= 1
                if not attempts:
                    phase.note = f"{backend.name} became unreachable"
                    return
                time.sleep(PAUSE)
        phase.advance(len(keys))


def _warm(store: Any, keys: list[str], read: Callable[[], Slice]) -> None:
    """Like readers' backfills, but one query serves all keys: their owners follow this author and no other account."""
    if IWarmingStore.providedBy(store):
        store.backfill_all(keys, read)
        return
    tokens = [store.begin_backfill(key) for key in keys]
    filled = read()
    for key, token in zip(keys, tokens, strict=True):
        if token is not None:
            store.backfill(key, token, filled.ids, filled.floor, filled.of)


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
        self.phase.seconds = self.delivered.seconds
        # One that is behind still receives deliveries.
        answers = self.complete or self.backend.status().word not in ("absent", "broken")
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
