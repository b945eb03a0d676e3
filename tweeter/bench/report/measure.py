"""The whole run: creates the sites, measures the backends in turn, and collects the Result."""

import time
from collections.abc import Sequence
from datetime import UTC, datetime
from functools import cached_property, partial
from pathlib import Path
from typing import NamedTuple

import numpy as np

from tweeter.bench.contender import Answers, contenders
from tweeter.bench.figures import machine
from tweeter.bench.footprint import measure_memory
from tweeter.bench.growth import Site, grow_people, grow_site, make_site
from tweeter.bench.plan import Plan
from tweeter.bench.report.agenda import Agenda, Step
from tweeter.bench.report.schema import SCHEMA, VERSION, Footprint, Measurement, Result, Run, label
from tweeter.bench.scratch import Scratch
from tweeter.bench.workloads import REPLAY, Workload, World
from tweeter.bench.workloads.replay import read_recording
from tweeter.bench.workloads.runner import run as run_workload

# Settings that influence the figures.
SETTINGS = ("tweeter.capacity", "tweeter.delivery", "tweeter.outbox.keep_hours")


class Wanted(NamedTuple):
    """What to measure."""

    plan: Plan
    quick: bool
    seed: int
    backends: Sequence[str]
    workloads: Sequence[Workload]
    recording: tuple[Path, Path] | None = None  # files of follows and of tweets


class Numbered:
    """The users and tweets of a site that was written by `write_world`."""

    def __init__(self, site: Site) -> None:
        self._tweets = site.written.tweet_ids

    def user_id(self, user: int) -> int:
        return user + 1

    def username(self, user: int) -> str:
        return f"u{user + 1}"

    def tweet_id(self, tweet: int) -> int:
        return int(self._tweets[tweet])


class _Session:
    """One run and its results so far."""

    def __init__(self, scratch: Scratch, wanted: Wanted) -> None:
        self.scratch = scratch
        self.wanted = wanted
        self.plan = wanted.plan
        self.answers = {backend: Answers(label(backend)) for backend in wanted.backends}
        self.measurements: list[Measurement] = []
        self.workloads: list[Run] = []
        self.footprints: list[Footprint] = []
        self.sources = {workload.name: workload.source for workload in wanted.workloads}

    @cached_property
    def base(self) -> Site:
        """The site for growing users and for memory."""
        plan, seed = self.plan, self.wanted.seed
        tweets = plan.base_users * plan.tweets_each
        return make_site(self.scratch, plan, seed, plan.base_users, tweets, plan.followees, plan.followers)

    @cached_property
    def village(self) -> Site:
        """The smaller site on which workloads begin."""
        plan, users = self.plan, self.plan.workload_users
        return make_site(self.scratch, plan, self.wanted.seed, users, users * plan.tweets_each, [], [])

    def people(self) -> None:
        self.measurements += grow_people(self.scratch, self.plan, self.answers, self.base)

    def size(self, series: str, size: int) -> None:
        plan = self.plan
        users, tweets = (size, size * plan.tweets_each) if series == "users" else (plan.base_users, size)
        site = make_site(self.scratch, plan, self.wanted.seed, users, tweets, [plan.constant], [])
        self.measurements += grow_site(self.scratch, plan, self.answers, series, size, site)
        self.scratch.drop(site.url)

    def memory(self) -> None:
        site = self.base
        random = np.random.default_rng(self.wanted.seed)
        users = random.permutation(self.plan.base_users)[: self.plan.timelines].tolist()
        self.footprints += measure_memory(self.scratch, self.answers, site.url, users)

    def workload(self, workload: Workload) -> None:
        plan, site = self.plan, self.village
        world = World(site.planted.graph.followers_of_each(), len(site.written.tweet_ids))
        with contenders(self.scratch, self.answers, site.url) as every:
            self.workloads += run_workload(
                workload, world, Numbered(site), every, plan.operations, plan.rounds, self.wanted.seed,
                self.scratch.progress,
            )  # fmt: skip

    def replay(self, follows: Path, tweets: Path) -> None:
        plan, wanted = self.plan, self.wanted
        recording = read_recording(self.scratch, follows, tweets, plan.replayed, plan.reads_per_post)
        self.sources[recording.workload.name] = recording.workload.source
        with contenders(self.scratch, self.answers, recording.url, **recording.settings) as every:
            self.workloads += run_workload(
                recording.workload, recording.world, recording, every, recording.length, plan.rounds, wanted.seed,
                self.scratch.progress,
            )  # fmt: skip

    def steps(self) -> list[Step]:
        """All steps of the run. Weights are approximate seconds on a small machine."""
        plan, backends = self.plan, len(self.answers)
        person = backends * plan.rounds * (plan.reads * 0.002 + plan.cold * 0.01 + plan.posts * 0.02)
        row = 4e-6 * (1 + plan.follows_each)
        people = len(plan.followees) + len(plan.followers)
        warming = max([*plan.followers, plan.constant]) * backends * 0.002
        steps = []
        if self.wanted.recording:  # first, because the user's files may be invalid
            weight = 30 + backends * plan.replayed * (0.01 + plan.reads_per_post * 0.001)
            steps.append(Step(REPLAY, weight, partial(self.replay, *self.wanted.recording)))
        steps.append(Step("people", people * person + warming + 5, self.people))
        for users in plan.users:
            weight = person + users * (row + 4e-6 * plan.tweets_each) + 3
            steps.append(Step(f"{users:,} users", weight, partial(self.size, "users", users)))
        for tweets in plan.tweets:
            steps.append(Step(f"{tweets:,} tweets", person + tweets * 1e-5 + 3, partial(self.size, "tweets", tweets)))
        if plan.timelines:
            steps.append(Step("memory", backends * (2 + plan.timelines * 0.005), self.memory))
        for workload in self.wanted.workloads:
            weight = backends * (1 + plan.operations * 0.006)
            steps.append(Step(workload.name, weight, partial(self.workload, workload)))
        return steps


def measure(scratch: Scratch, wanted: Wanted) -> Result:
    """Measures everything in `wanted`."""
    began = time.monotonic()
    created = datetime.now(UTC)
    session = _Session(scratch, wanted)
    agenda = Agenda(scratch.progress)
    scratch.progress = agenda
    agenda.run(session.steps())
    settings = scratch.settings("sql")
    return Result(
        SCHEMA,
        VERSION,
        created.isoformat(timespec="seconds"),
        round(time.monotonic() - began, 1),
        wanted.seed,
        wanted.quick,
        wanted.plan.data(),
        machine(),
        scratch.versions(),
        {name: settings[name] for name in SETTINGS if name in settings},
        [label(backend) for backend in session.answers],
        session.sources,
        session.measurements,
        session.workloads,
        session.footprints,
        [answers.total() for answers in session.answers.values()],
    )
