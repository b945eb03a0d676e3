"""Runs a workload on all backends in turns, slice by slice, and compares pages with SQL's outside the timed part."""

from collections.abc import Callable, Iterator, Sequence
from time import perf_counter
from typing import Protocol

from sqlalchemy import select
from sqlalchemy.orm import Session

from tweeter.bench.contender import Contender
from tweeter.bench.report.schema import Cost, Run, summarize
from tweeter.bench.workloads import Workload, World
from tweeter.bench.workloads.operations import (
    AddUser,
    Follow,
    LogIn,
    LogOut,
    Operation,
    Post,
    ReadFollowers,
    ReadHome,
    ReadNews,
    ReadProfile,
    ReadTweet,
)
from tweeter.console.progress import Progress
from tweeter.measure import measuring
from tweeter.models import Relationship, User
from tweeter.timelines.queries import load_tweets
from tweeter.values import Cursor, Page, Timeline

CHECK_EVERY = 7  # timeline pages, one of which is compared with SQL's
PROFILE = 10  # tweets, as in BenchBase
PEOPLE = 20


class Directory(Protocol):
    """Maps the numbers of a workload to ids and names."""

    def user_id(self, user: int) -> int: ...

    def username(self, user: int) -> str: ...

    def tweet_id(self, tweet: int) -> int: ...


class Player:
    """Runs the operations of one workload on one backend, and records their costs."""

    def __init__(self, contender: Contender, directory: Directory) -> None:
        self._contender = contender
        self._directory = directory
        self._seen: dict[int, int] = {}  # user: the newest tweet they have seen since signing in
        self._pages = 0
        self.costs: dict[str, list[list[Cost]]] = {}

    def warm_up(self, operations: Sequence[Operation]) -> None:
        """Makes the timelines warm that will be read, as Pequod's clients do.

        The growth series show the cost of cold ones.
        """
        if self._contender.materialized:
            for timeline in dict.fromkeys(map(self._timeline, operations)):
                if timeline is not None:
                    self._contender.timelines.page(timeline, Cursor())

    def _timeline(self, operation: Operation) -> Timeline | None:
        match operation:
            case ReadHome(user) | LogIn(user) | ReadNews(user):
                return Timeline("home", self._id(user))
            case ReadProfile(user):
                return Timeline("profile", self._id(user))
        return None

    def play(self, operations: Sequence[Operation]) -> float:
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

    def _do(self, operation: Operation) -> Cost | None:
        match operation:
            case ReadHome(user):
                return self._read(Timeline("home", self._id(user)), Cursor())[1]
            case LogIn(user):
                self._seen.pop(user, None)
                return self._news(user)
            case ReadNews(user):
                return self._news(user)
            case LogOut(user):
                self._seen.pop(user, None)
                return None
            case ReadProfile(user):
                return self._read(Timeline("profile", self._id(user)), Cursor(limit=PROFILE))[1]
            case Post(user, message):
                return self._write(lambda: self._post(user, message))
            case Follow(user, followee):
                return self._write(lambda: self._follow(user, followee))
            case AddUser(user):
                return self._write(lambda: self._sign_up(user))
            case ReadTweet(tweet):
                return self._ask(lambda session: load_tweets(session, [self._directory.tweet_id(tweet)]))
            case ReadFollowers(user):
                return self._ask(lambda session: _followers(session, self._id(user)))
        raise TypeError(f"no rule for {operation!r}")

    def _id(self, user: int) -> int:
        return self._directory.user_id(user)

    def _news(self, user: int) -> Cost:
        page, cost = self._read(Timeline("home", self._id(user)), Cursor(after=self._seen.get(user, 0)))
        if page.tweets:
            self._seen[user] = page.tweets[0].id
        return cost

    def _read(self, timeline: Timeline, cursor: Cursor) -> tuple[Page, Cost]:
        page, cost = self._contender.read(timeline, cursor)
        self._pages += 1
        if self._pages % CHECK_EVERY == 0:
            self._contender.check(timeline, cursor, page)
        return page, cost

    def _write(self, act: Callable[[], None]) -> Cost:
        """Like a request: returns after the commit and the wake-up of the delivery."""
        with measuring() as meter:
            began = perf_counter()
            act()
            self._contender.delivery.wake()
            return Cost(perf_counter() - began, meter.round_trips, meter.sql)

    def _post(self, user: int, message: str) -> None:
        with self._contender.acting() as actions:
            actions.post(self._id(user), message)

    def _follow(self, user: int, followee: int) -> None:
        with self._contender.acting() as actions:
            actions.follow(self._id(user), self._directory.username(followee))

    def _sign_up(self, user: int) -> None:
        with self._contender.acting() as actions:
            actions.sign_up(f"new{user}", "a password")

    def _ask(self, question: Callable[[Session], object]) -> Cost:
        with measuring() as meter:
            began = perf_counter()
            with self._contender.sessions() as session:
                question(session)
            return Cost(perf_counter() - began, meter.round_trips, meter.sql)


def run(
    workload: Workload,
    world: World,
    directory: Directory,
    every: Sequence[Contender],
    count: int,
    rounds: int,
    seed: int,
    progress: Progress,
) -> Iterator[Run]:
    """Runs the workload on every Contender, in so many slices, taking turns."""
    operations = list(workload.operations(world, count, seed))
    players = [(contender, Player(contender, directory)) for contender in every]
    progress.phase(f"{workload.name}, warming", len(every))
    for _, player in players:
        player.warm_up(operations)
        progress.advance(1)
    progress.phase(workload.name, rounds * len(every))
    done: dict[str, list[tuple[int, float]]] = {contender.name: [] for contender in every}
    for number in range(rounds):
        part = operations[len(operations) * number // rounds : len(operations) * (number + 1) // rounds]
        for place in range(len(players)):
            contender, player = players[(place + number) % len(players)]
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
