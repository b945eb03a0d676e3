"""The growth series: a home page and a post, while followees, followers, users or tweets grow tenfold repeatedly."""

import gc
from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

from tweeter.bench.contender import Answers, Contender, contenders
from tweeter.bench.graphs import Planted, plant, power_law
from tweeter.bench.plan import Plan
from tweeter.bench.report.schema import Cost, Measurement, summarize
from tweeter.bench.scratch import Scratch
from tweeter.bench.world import Written, write_world
from tweeter.console.progress import Progress
from tweeter.db.engines import make_engine
from tweeter.values import Cursor, Timeline


class Person(NamedTuple):
    """The user whose pages and posts are the point x of a series."""

    series: str
    x: int
    user: int


class Site(NamedTuple):
    """A database that is copied for each backend, and the users in it."""

    url: str
    planted: Planted
    written: Written


def make_site(
    scratch: Scratch, plan: Plan, seed: int, users: int, tweets: int, followees: Sequence[int], followers: Sequence[int]
) -> Site:
    """A site of so many users, and of users with exact numbers of followees or followers."""
    planted = plant(
        power_law(users, plan.follows_each, seed), followees, followers, min(plan.constant, users), seed + 1
    )
    url = scratch.new_database()
    engine = make_engine(url)
    try:
        written = write_world(engine, planted.graph, tweets, seed + 2, scratch.progress)
    finally:
        engine.dispose()
    return Site(url, planted, written)


def grow_people(scratch: Scratch, plan: Plan, answers: Mapping[str, Answers], site: Site) -> Iterator[Measurement]:
    """The series of followees and of followers, on one site."""
    people = [Person("followees", count, user) for count, user in site.planted.readers.items()]
    people += [Person("followers", count, user) for count, user in site.planted.authors.items()]
    with contenders(scratch, answers, site.url) as every:
        warm_up(every, site, scratch.progress)
        scratch.progress.phase("Followees, followers", len(people) * plan.rounds)
        yield from measure_people(plan, every, people, scratch.progress)


def grow_site(
    scratch: Scratch, plan: Plan, answers: Mapping[str, Answers], series: str, size: int, site: Site
) -> Iterator[Measurement]:
    """One point of the series of users or of tweets, for a user with 100 followees and 100 followers."""
    (user,) = site.planted.readers.values()
    with contenders(scratch, answers, site.url) as every:
        warm_up(every, site, scratch.progress)
        scratch.progress.phase("Home pages, posts", plan.rounds)
        yield from measure_people(plan, every, [Person(series, size, user)], scratch.progress)


def warm_up(every: Sequence[Contender], site: Site, progress: Progress) -> None:
    """Makes all followers' timelines warm: the worst case for a delivery."""
    materialized = [contender for contender in every if contender.materialized]
    progress.phase("Warming timelines", len(site.planted.fans) * len(materialized))
    for contender in materialized:
        for number, user in enumerate(site.planted.fans, 1):
            contender.timelines.page(Timeline("home", user + 1), Cursor())
            if number % 100 == 0:
                progress.advance(100)
        progress.advance(len(site.planted.fans) % 100)
    for contender in every:  # opens connections and prepares statements
        contender.post(site.planted.fans[0] + 1, "The first post of all is not counted.")


def measure_people(
    plan: Plan, every: Sequence[Contender], people: Sequence[Person], progress: Progress
) -> Iterator[Measurement]:
    """Measures home pages and posts of these users. In each round every user has a turn on every backend."""
    rounds: dict[tuple[Person, str, str], list[list[Cost]]] = {}
    gc.collect()
    for number in range(plan.rounds):
        for person in people:
            for place in range(len(every)):
                contender = every[(place + number) % len(every)]
                for measure, costs in _once(plan, contender, Timeline("home", person.user + 1)).items():
                    rounds.setdefault((person, contender.name, measure), []).append(costs)
            progress.advance(1)
    for (person, backend, measure), values in rounds.items():
        yield Measurement(person.series, person.x, backend, measure, summarize(values))


def _once(plan: Plan, contender: Contender, timeline: Timeline) -> dict[str, list[Cost]]:
    posts = [contender.post(timeline.owner, f"benchmarks say hello for the {n}th time") for n in range(plan.posts)]
    costs = {"commit": [cost for cost, _ in posts], "delivered": [cost for _, cost in posts]}
    if contender.materialized:
        costs["cold"] = []
        for _ in range(plan.cold):
            contender.timelines.drop(timeline)
            costs["cold"].append(contender.read(timeline)[1])
    page, _ = contender.read(timeline)
    contender.check(timeline, Cursor(), page)
    costs["home"] = [contender.read(timeline)[1] for _ in range(plan.reads)]
    return costs
