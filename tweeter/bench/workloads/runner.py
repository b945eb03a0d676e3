"""Runs a workload on all backends in turns, slice by slice, and compares pages with SQL's outside the timed part."""

from collections.abc import Callable, Iterator, Sequence
from time import perf_counter
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from tweeter.bench.contender import Contender
from tweeter.bench.figures import rotated
from tweeter.bench.schema import Cost, Run, summarize
from tweeter.bench.workloads import Workload, World
from tweeter.bench.workloads import operations as op
from tweeter.console.progress import Progress
from tweeter.measure import measuring
from tweeter.models import Relationship, User
from tweeter.services.actions import Actions, acting
from tweeter.timelines.queries import load_tweets
from tweeter.values import Cursor, Timeline

CHECK_EVERY = 7  # timeline pages, one of which is compared with SQL's
PROFILE = 10  # tweets, as in BenchBase
PEOPLE = 20


class Player:
    """Runs the operations of one workload on one backend, and records their costs."""

    def __init__(self, contender: Contender, world: World) -> None:
        self._contender = contender
        self._world = world
        self._seen: dict[int, int] = {}  # user: the newest tweet they have seen since signing in
        self._pages = 0
        self.costs: dict[str, list[list[Cost]]] = {}

    def warm_up(self, operations: Sequence[op.Operation]) -> None:
        """Makes the timelines warm that will be read, as Pequod's clients do.

        The growth series show the cost of cold ones.
        """
        if self._contender.materialized:
            for timeline in dict.fromkeys(map(self._timeline, operations)):
                if timeline is not None:
                    self._contender.timelines.page(timeline, Cursor())

    def _timeline(self, operation: op.Operation) -> Timeline | None:
        match operation:
            case op.ReadHome(user) | op.LogIn(user) | op.ReadNews(user):
                return Timeline("home", self._world.user_id(user))
            case op.ReadProfile(user):
                return Timeline("profile", self._world.user_id(user))
        return None

    def play(self, operations: Sequence[op.Operation]) -> float:
        """Runs the operations one after the other. Returns the seconds, including the delivery of pending events."""
        costs: dict[str, list[Cost]] = {}
        for operation in operations:
            if (cost := self._do(operation)) is not None:
                costs.setdefault(type(operation).__name__, []).append(cost)
        began = perf_counter()
        self._contender.drain()
        seconds = perf_counter() - began
        for kind, values in costs.items():
            self.costs.setdefault(kind, []).append(values)
            seconds += sum(cost.seconds for cost in values)
        return seconds

    def _do(self, operation: op.Operation) -> Cost | None:
        if isinstance(operation, op.LogIn | op.LogOut):
            self._seen.pop(operation.user, None)
        if (timeline := self._timeline(operation)) is not None:
            return self._read(operation, timeline)
        world = self._world
        match operation:
            case op.LogOut():
                return None
            case op.Post(user, message):
                return self._write(lambda actions: actions.post(world.user_id(user), message))
            case op.Follow(user, followee):
                return self._write(lambda actions: actions.follow(world.user_id(user), world.username(followee)))
            case op.AddUser(user):
                return self._write(lambda actions: actions.sign_up(f"new{user}", "a password"))
            case op.ReadTweet(tweet):
                return self._ask(lambda session: load_tweets(session, [world.tweet_id(tweet)]))
            case op.ReadFollowers(user):
                return self._ask(lambda session: _followers(session, world.user_id(user)))
        raise TypeError(f"no rule for {operation!r}")

    def _read(self, operation: Any, timeline: Timeline) -> Cost:
        news = isinstance(operation, op.LogIn | op.ReadNews)
        if isinstance(operation, op.ReadProfile):
            cursor = Cursor(limit=PROFILE)
        else:
            cursor = Cursor(after=self._seen.get(operation.user, 0) if news else 0)
        page, cost = self._contender.read(timeline, cursor)
        if news and page.tweets:
            self._seen[operation.user] = page.tweets[0].id
        self._pages += 1
        if self._pages % CHECK_EVERY == 0:
            self._contender.check(timeline, cursor, page)
        return cost

    def _write(self, act: Callable[[Actions], object]) -> Cost:
        """Like a request: returns after the commit and the wake-up of the delivery."""
        with measuring() as meter:
            with acting(self._contender.registry) as actions:
                act(actions)
            self._contender.delivery.wake()
            return Cost.of(meter)

    def _ask(self, question: Callable[[Session], object]) -> Cost:
        with measuring() as meter, self._contender.sessions() as session:
            question(session)
            return Cost.of(meter)


def run(
    workload: Workload,
    world: World,
    every: Sequence[Contender],
    count: int,
    rounds: int,
    seed: int,
    progress: Progress,
) -> Iterator[Run]:
    """Runs the workload on every Contender, in so many slices, taking turns."""
    operations = list(workload.operations(world, count, seed))
    players = [(contender, Player(contender, world)) for contender in every]
    progress.phase(f"{workload.name}, warming", len(every))
    for _, player in players:
        player.warm_up(operations)
        progress.advance(1)
    progress.phase(workload.name, rounds * len(every))
    done: dict[str, list[tuple[int, float]]] = {contender.name: [] for contender in every}
    for number in range(rounds):
        part = operations[len(operations) * number // rounds : len(operations) * (number + 1) // rounds]
        for contender, player in rotated(players, number):
            if part:
                done[contender.name].append((len(part), player.play(part)))
            progress.advance(1)
    for contender, player in players:
        played = done[contender.name]
        yield Run(
            workload.name,
            contender.name,
            sum(number for number, _ in played),
            sum(seconds for _, seconds in played),
            [number / seconds for number, seconds in played],
            {kind: summarize(batches) for kind, batches in sorted(player.costs.items())},
        )


def _followers(session: Session, user_id: int) -> Sequence[str]:
    return session.scalars(
        select(User.username)
        .join(Relationship, Relationship.from_user_id == User.id)
        .where(Relationship.to_user_id == user_id)
        .order_by(Relationship.from_user_id.desc())
        .limit(PEOPLE)
    ).all()
