"""The race: the same delivery to each store, one after the other, and the talk's way as a lane of its own.

Each lane has the machine to itself; the relay has delivered the tweet to all stores before. Applying an event again
changes no page, and costs what the first delivery costs.
"""

import time
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import ExitStack, closing, contextmanager
from functools import partial
from statistics import median
from typing import Any

import redis
from markupsafe import Markup
from pyramid.registry import Registry

from tweeter.batches import batched
from tweeter.devtools import talk
from tweeter.errors import BackendUnavailable
from tweeter.lab.comparison import noise
from tweeter.lab.instruments import Delivered
from tweeter.lab.jobs import Job, Phase
from tweeter.lab.plots import Axis, Line, plot
from tweeter.lab.status import Backend, Lab
from tweeter.lab.steps import with_cache
from tweeter.values import TweetCreated

ROUNDS, FEW = 3, 20_000  # rounds of each lane, up to so many followers; above, one
ATTEMPTS, PAUSE = 3, 0.5  # of a round; seconds
LEAST = 1_000  # followers; the rates of fewer say nothing
CELEBRITY = 7_000_000  # followers, in the talk
DRAWN = 120  # points of a line
CHUNK = 1_000
TALK = "the talk’s way"
TALK_SECONDS = 600  # until its sorted sets expire, if this process is killed

Run = Callable[[int, Delivered], None]  # delivers once; its first argument is the number of the round


def race(
    registry: Registry, job: Job, backends: Sequence[Backend], lab: Lab, event: TweetCreated, followers: Sequence[int],
    older: Sequence[int],
) -> None:  # fmt: skip
    """Runs the lanes in turns. `older` are the other ids in the followers' timelines."""
    lanes: dict[str, tuple[Run, Callable[[], Delivered]]] = {}
    for backend in backends:
        timelines: Any = with_cache(backend.name, backend.name, lambda cache: cache)(lab, registry)
        watch = partial(backend.store.tally.watch, event.tweet_id)
        lanes[backend.name] = partial(_deliver, timelines.projector, event), watch
    try:
        with ExitStack() as stack:
            if any(each.name == "redis" and each.instrument and each.instrument.server for each in backends):
                lanes[TALK] = stack.enter_context(_talk_lane(registry, job, event, followers, older)), Delivered
            phases = {name: job.phase(f"Lane: {name}", len(followers), "timelines") for name in lanes}
            runs: dict[str, list[Delivered]] = {name: [] for name in lanes}
            kept = registry.settings["tweeter.memory.timelines"] if "memory" in lanes else len(followers)
            partly = {"memory"} if kept < len(followers) else set()
            shown = job.look

            def look() -> None:
                shown()
                _look(job, phases, runs, partly)

            job.look, job.plot = look, partial(_drawn, runs)
            for number in range(ROUNDS if len(followers) <= FEW else 1):
                for name, (run, begin) in lanes.items():
                    phases[name].note = _attempt(partial(run, number), begin, runs[name])
            look()
    except redis.RedisError as error:
        job.error = f"The race stopped: {error}"


def _attempt(run: Callable[[Delivered], None], begin: Callable[[], Delivered], runs: list[Delivered]) -> str:
    """Delivers once; begins again if the server does not respond in time. Returns why it failed, or nothing."""
    why = ""
    for _ in range(ATTEMPTS):
        runs.append(delivered := begin())
        try:
            run(delivered)
            return ""
        except (BackendUnavailable, redis.RedisError) as error:
            why = f"stopped: {error}"
            time.sleep(PAUSE)
    return why


def _deliver(projector: Any, event: TweetCreated, number: int, delivered: Delivered) -> None:
    for _ in projector.deliver(event):
        pass


@contextmanager
def _talk_lane(
    registry: Registry, job: Job, event: TweetCreated, followers: Sequence[int], older: Sequence[int]
) -> Iterator[Run]:
    """A sorted set for each follower, with as many ids as their timelines. Removes them at the end."""
    settings = registry.settings
    stem = f"{settings['tweeter.redis.prefix']}lab-talk:"
    capacity = settings["tweeter.capacity"]
    phase = job.phase(f"Sorted sets for {TALK}", len(followers), "sorted sets")
    with closing(redis.Redis.from_url(settings["tweeter.redis.url"])) as client:

        def run(number: int, delivered: Delivered) -> None:
            delivered.began = time.perf_counter()
            # Another id in each round: adding the same one again would be cheaper.
            for done in talk.deliver(client, stem, followers, event.tweet_id + number, capacity):
                delivered.count(done)

        try:
            for chunk in batched(followers, CHUNK):
                pipeline = client.pipeline(transaction=False)
                for follower in chunk:
                    pipeline.zadd(f"{stem}{follower}", {str(id_): id_ for id_ in [*older, 1]})
                    pipeline.expire(f"{stem}{follower}", TALK_SECONDS)
                pipeline.execute()
                phase.advance(len(chunk))
            yield run
        finally:
            for chunk in batched(followers, CHUNK):
                client.unlink(*(f"{stem}{follower}" for follower in chunk))


def _look(
    job: Job, phases: Mapping[str, Phase], runs: Mapping[str, Sequence[Delivered]], partly: Collection[str]
) -> None:
    """Shows the median of the complete rounds, and what a celebrity would take at that rate.

    Lanes of stores in which most timelines are cold (`partly`) allow no such conclusion.
    """
    complete: dict[str, list[float]] = {}
    for name, phase in phases.items():
        every = runs[name]
        phase.done = min(every[-1].timelines, phase.total) if every else 0
        complete[name] = [each.seconds for each in every if each.timelines >= phase.total]
        if complete[name]:
            phase.seconds = median(complete[name])
            if name in partly:
                phase.note = "most timelines are cold here: no conclusion"
            elif phase.total >= LEAST:
                phase.note = f"{CELEBRITY:,} would take {CELEBRITY * phase.seconds / phase.total:,.0f} s at this rate"
    job.noise = noise(complete.values())


def _drawn(runs: Mapping[str, Sequence[Delivered]]) -> Markup:
    """The latest round of each lane, over the seconds since its own start."""
    lines = []
    for look, (name, every) in enumerate(runs.items()):
        if every and (points := list(every[-1].points)):
            thin = [*points[:: max(1, len(points) // DRAWN)], points[-1]]
            lines.append(Line(name, [(0, 0), *((at - every[-1].began, number) for at, number in thin)], look))
    if not lines:
        return Markup()
    x = Axis([line.points[-1][0] for line in lines], "seconds", unit=" s")
    return plot("Deliveries over time", lines, x, Axis([n for line in lines for _, n in line.points], "deliveries"))
