"""The growth series: a home page and a post, while followees, followers, users or tweets grow tenfold repeatedly."""

import gc
from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

from tweeter.batches import batched
from tweeter.bench.contender import Answers, Contender, contenders
from tweeter.bench.figures import rotated
from tweeter.bench.graphs import Numbers, Planted, plant, power_law
from tweeter.bench.machinery import engine_at
from tweeter.bench.plan import Plan
from tweeter.bench.schema import Cost, Measurement, summarize
from tweeter.bench.scratch import Scratch
from tweeter.bench.world import write_world
from tweeter.console.progress import Progress
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
    tweet_ids: Numbers


def make_site(
    scratch: Scratch,
    plan: Plan,
    seed: int,
    users: int,
    tweets: int,
    followees: Sequence[int] = (),
    followers: Sequence[int] = (),
) -> Site:
    """A site of so many users, and of users with exact numbers of followees or followers."""
    planted = plant(
        power_law(users, plan.follows_each, seed), followees, followers, min(plan.constant, users), seed + 1
    )
    url = scratch.new_database()
    with engine_at(url) as engine:
        tweet_ids = write_world(engine, planted.graph, tweets, seed + 2, scratch.progress)
    return Site(url, planted, tweet_ids)


def warm_up(every: Sequence[Contender], site: Site, progress: Progress) -> None:
    """Makes all followers' timelines warm: the worst case for a delivery."""
    materialized = [contender for contender in every if contender.materialized]
    progress.phase("Warming timelines", len(site.planted.fans) * len(materialized))
    for contender in materialized:
        for users in batched(site.planted.fans, 100):
            for user in users:
                contender.timelines.page(Timeline("home", user + 1), Cursor())
            progress.advance(len(users))
    for contender in every:  # opens connections and prepares statements
        contender.post(site.planted.fans[0] + 1, "The first post of all is not counted.")


def grow(
    scratch: Scratch, plan: Plan, answers: Mapping[str, Answers], site: Site, people: Sequence[Person]
) -> Iterator[Measurement]:
    """Measures home pages and posts of these users. In each round every user has a turn on every backend."""
    rounds: dict[tuple[Person, str, str], list[list[Cost]]] = {}
    with contenders(scratch, answers, site.url) as every:
        warm_up(every, site, scratch.progress)
        scratch.progress.phase("Home pages, posts", len(people) * plan.rounds)
        gc.collect()
        for number in range(plan.rounds):
            for person in people:
                for contender in rotated(every, number):
                    for measure, costs in _once(plan, contender, Timeline("home", person.user + 1)).items():
                        rounds.setdefault((person, contender.name, measure), []).append(costs)
                scratch.progress.advance(1)
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
