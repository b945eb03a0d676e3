"""The whole run: creates the sites, measures the backends in turn, and collects the Result."""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property, partial
from pathlib import Path
from typing import Any

import numpy as np

from tweeter.bench.climb import climb
from tweeter.bench.contender import Answers, contenders
from tweeter.bench.figures import machine
from tweeter.bench.footprint import measure_memory
from tweeter.bench.growth import Person, Site, grow, make_site
from tweeter.bench.latency import Climbing
from tweeter.bench.noise import calibrate, noise_sentence
from tweeter.bench.plan import Plan
from tweeter.bench.report.agenda import Agenda, Step
from tweeter.bench.schema import SCHEMA, VERSION, Footprint, Latency, Measurement, Result, Run, label
from tweeter.bench.scratch import Scratch
from tweeter.bench.workloads import REPLAY, Workload, World
from tweeter.bench.workloads.replay import read_recording
from tweeter.bench.workloads.runner import run as run_workload

# Settings that influence the figures.
SETTINGS = ("tweeter.capacity", "tweeter.delivery", "tweeter.outbox.keep_hours")


@dataclass
class Session:
    """What to measure in a run, and the results so far."""

    scratch: Scratch
    ini: str
    plan: Plan
    climbing: Climbing
    quick: bool
    seed: int
    backends: Sequence[str]
    workloads: Sequence[Workload]
    recording: tuple[Path, Path] | None = None  # files of follows and of tweets

    def __post_init__(self) -> None:
        self.answers = {backend: Answers(label(backend)) for backend in self.backends}
        self.sources = {workload.name: workload.source for workload in self.workloads}
        self.measurements: list[Measurement] = []
        self.runs: list[Run] = []
        self.footprints: list[Footprint] = []
        self.latency: Latency | None = None

    @cached_property
    def base(self) -> Site:
        """The site for growing users and for memory."""
        plan, users = self.plan, self.plan.base_users
        return self._make(users, users * plan.tweets_each, plan.followees, plan.followers)

    @cached_property
    def village(self) -> Site:
        """The smaller site on which workloads begin."""
        return self._make(self.plan.workload_users, self.plan.workload_users * self.plan.tweets_each)

    def _make(self, users: int, tweets: int, *planted: Sequence[int]) -> Site:
        return make_site(self.scratch, self.plan, self.seed, users, tweets, *planted)

    def load(self) -> None:
        self.latency = climb(self.scratch, self.ini, self.backends, self.climbing, self.seed)

    def people(self) -> None:
        planted = self.base.planted
        series = {"followees": planted.readers, "followers": planted.authors}
        people = [Person(name, count, user) for name, users in series.items() for count, user in users.items()]
        self.measurements += grow(self.scratch, self.plan, self.answers, self.base, people)

    def size(self, series: str, size: int) -> None:
        plan = self.plan
        users, tweets = (size, size * plan.tweets_each) if series == "users" else (plan.base_users, size)
        site = self._make(users, tweets, [plan.constant])
        (user,) = site.planted.readers.values()
        self.measurements += grow(self.scratch, plan, self.answers, site, [Person(series, size, user)])
        self.scratch.drop(site.url)

    def memory(self) -> None:
        site = self.base
        random = np.random.default_rng(self.seed)
        users = random.permutation(self.plan.base_users)[: self.plan.timelines].tolist()
        self.footprints += measure_memory(self.scratch, self.answers, site.url, users)

    def workload(self, workload: Workload) -> None:
        tweet_ids = self.village.tweet_ids
        world = World(self.village.planted.graph.followers_of_each(), len(tweet_ids), tweet_ids)
        self._play(workload, world, self.plan.operations, self.village.url)

    def replay(self, follows: Path, tweets: Path) -> None:
        plan = self.plan
        recording = read_recording(self.scratch, follows, tweets, plan.replayed, plan.reads_per_post)
        self.sources[REPLAY] = recording.workload.source
        self._play(recording.workload, recording.world, recording.length, recording.url, **recording.settings)

    def _play(self, workload: Workload, world: World, count: int, url: str, **settings: Any) -> None:
        with contenders(self.scratch, self.answers, url, **settings) as every:
            rounds, seed = self.plan.rounds, self.seed
            self.runs += run_workload(workload, world, every, count, rounds, seed, self.scratch.progress)

    def steps(self) -> list[Step]:
        """All steps of the run. Weights are approximate seconds on a small machine."""
        plan, backends = self.plan, len(self.answers)
        person = backends * plan.rounds * (plan.reads * 0.002 + plan.cold * 0.01 + plan.posts * 0.02)
        row = 4e-6 * (1 + plan.follows_each)
        people = len(plan.followees) + len(plan.followers)
        warming = max([*plan.followers, plan.constant]) * backends * 0.002
        steps = []
        if self.recording:  # first, because the user's files may be invalid
            weight = 30 + backends * plan.replayed * (0.01 + plan.reads_per_post * 0.001)
            steps.append(Step(REPLAY, weight, partial(self.replay, *self.recording)))
        if self.climbing.mixes:
            weight = len(self.climbing.mixes) * (5 + backends * 8 * self.climbing.seconds) + backends * 3
            steps.append(Step("load", weight, self.load))
        steps.append(Step("people", people * person + warming + 5, self.people))
        for users in plan.users:
            weight = person + users * (row + 4e-6 * plan.tweets_each) + 3
            steps.append(Step(f"{users:,} users", weight, partial(self.size, "users", users)))
        for tweets in plan.tweets:
            steps.append(Step(f"{tweets:,} tweets", person + tweets * 1e-5 + 3, partial(self.size, "tweets", tweets)))
        if plan.timelines:
            steps.append(Step("memory", backends * (2 + plan.timelines * 0.005), self.memory))
        for workload in self.workloads:
            weight = backends * (1 + plan.operations * 0.006)
            steps.append(Step(workload.name, weight, partial(self.workload, workload)))
        return steps


def measure(session: Session) -> Result:
    """Measures everything that the session wants."""
    began, created = time.monotonic(), datetime.now(UTC)
    scratch = session.scratch
    noise = calibrate()
    scratch.progress.say(noise_sentence(noise, []))
    scratch.progress = agenda = Agenda(scratch.progress)
    agenda.run(session.steps())
    settings = scratch.settings("sql")
    return Result(
        schema=SCHEMA,
        version=VERSION,
        created=created.isoformat(timespec="seconds"),
        seconds=round(time.monotonic() - began, 1),
        seed=session.seed,
        quick=session.quick,
        plan=session.plan.data(),
        machine=machine(),
        servers=scratch.versions(),
        settings={name: settings[name] for name in SETTINGS if name in settings},
        backends=[label(backend) for backend in session.backends],
        sources=session.sources,
        measurements=session.measurements,
        workloads=session.runs,
        footprints=session.footprints,
        latency=session.latency,
        noise=noise,
        answers=[answers.total() for answers in session.answers.values()],
    )
