"""The relay: its speed, its cost for the database, and the time until another relay takes over.

Catching up is measured on events of authors with few followers, whose timelines are warm. A watcher in a process of its
own reports when the last follower's timeline has a tweet. Posts on the store and on `sql` take turns, on separate
databases of one server.
"""

import argparse
import os
import signal
import statistics
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager
from typing import Any

from pyramid.registry import Registry
from sqlalchemy import Engine, insert, text

from tweeter.batches import batched
from tweeter.bench import posting
from tweeter.bench.children import Child
from tweeter.bench.figures import Figures, percentile, rotate
from tweeter.bench.machinery import PATIENT, by_hand, caught_up, machinery
from tweeter.bench.scratch import Scratch
from tweeter.bulk.rows import bulk_rows
from tweeter.console.commands import CommandError, count
from tweeter.ids import generate_id
from tweeter.interfaces import IDelivery, ITimelines
from tweeter.models import OutboxEvent
from tweeter.models.base import now
from tweeter.outbox import encode
from tweeter.outbox.checkpoint import decode
from tweeter.values import Cursor, Timeline, TweetCreated

AUTHORS = 100
FOLLOWERS = 10  # of each author
CAUGHT_UP = 120  # seconds
ROUND = 100  # posts in a row
STATISTICS = 1.5  # seconds: maximal delay of PostgreSQL's statistics
PAUSE = 0.01  # seconds between watched posts
LEAST_RATE = {"redis": 5000, "memcached": 2500, "memory": 5000}  # events per second
ONE_PROCESS, TWO_PROCESSES = ((2, 5), (3, 10))  # ms: median, 99th percentile
TURNS = 5  # with and without an open transaction each
ROW = 1024  # bytes
WAL = "SELECT pg_current_wal_insert_lsn() - '0/0'::pg_lsn"
POLLED = (5, 15)  # ms, if only polling wakes the relay


def add_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--events", type=count, default=20_000, metavar="N", help="events to catch up with (default 20000)"
    )
    parser.add_argument("--posts", type=count, default=1000, metavar="N", help="posts per contender (default 1000)")
    parser.add_argument(
        "--celebrity",
        type=count,
        default=100_000,
        metavar="N",
        help="followers of a second author (default 100000)",
    )
    parser.add_argument(
        "--open", type=count, default=5, metavar="S", help="seconds that a writing transaction stays open (default 5)"
    )
    parser.add_argument("--backend", choices=tuple(LEAST_RATE), help="only this backend (default: all)")


def run(scratch: Scratch, args: argparse.Namespace) -> Figures:
    figures = Figures(f"The relay: authors with {FOLLOWERS} followers", "seconds for 100 posts")
    for backend in [args.backend] if args.backend else list(LEAST_RATE):
        relay = _Relay(scratch, backend, args, figures)
        relay.catch_up()
        if backend != "memory":
            relay.latency()
            relay.beside_a_celebrity()
            if not relay.sqlite:  # where writers take turns
                relay.beside_a_transaction()
            relay.takeover()
    if args.backend != "memcached":
        _cost(scratch, args.posts, figures)
    return figures


class _Relay:
    """One backend, on a site of authors and of readers: FOLLOWERS of each author, in the order of authors."""

    def __init__(self, scratch: Scratch, backend: str, args: argparse.Namespace, figures: Figures) -> None:
        self._scratch = scratch
        self._backend = backend
        self._args = args
        self._figures = figures
        self._settings = scratch.settings(backend) | {"sqlalchemy.url": scratch.new_database()}
        self.sqlite = self._settings["sqlalchemy.url"].startswith("sqlite")
        with machinery(self._settings) as registry:
            self._authors, self._followers = _fill(scratch, registry)

    def _claim(self, name: str, value: float, **target: Any) -> None:
        self._figures.claim(f"{self._backend}: {name}", value, **target)

    def catch_up(self) -> None:
        events = self._args.events
        with machinery(self._settings) as registry:
            caught_up(registry)
            _warm(registry, self._followers)
            ids = [generate_id() for _ in range(events)]
            by = [self._authors[n % AUTHORS] for n in range(events)]
            with bulk_rows(registry.database.engine, self._scratch.progress) as rows:
                rows.tweets(((id_, author, "One of many.") for id_, author in zip(ids, by, strict=True)), events)
            self._scratch.progress.phase(f"{self._backend}: catching up with {events:,} events", None)
            made = ({"payload": encode(TweetCreated(*each)), "date": now()} for each in zip(ids, by, strict=True))
            with registry.database.writing_sessions.begin() as session:
                for part in batched(made, 10_000):
                    session.execute(insert(OutboxEvent), part)
            delivery = registry.getUtility(IDelivery)
            began = time.perf_counter()
            delivery.wake()
            if not delivery.drain(CAUGHT_UP):
                raise CommandError(f"{self._backend} does not catch up within {CAUGHT_UP} seconds.")
            rate = events / (time.perf_counter() - began)
        self._claim("events a second, catching up", rate, least=LEAST_RATE[self._backend])

    @contextmanager
    def _watched(self, number: int, what: str, processes: int = 1) -> Iterator[Callable[..., list[float]]]:
        """A function that posts for the author of this number, `post(how, posts, …)`.

        It returns the milliseconds of each tweet from the commit to the last follower. The first process posts, the
        last one delivers.
        """
        with ExitStack() as stack:
            watcher = stack.enter_context(closing(Child()))
            watcher.call(posting.begin_by_hand, self._settings)
            own = [
                stack.enter_context(posting.site_process(self._settings, delivers=place == processes - 1))
                for place in range(processes)
            ]
            last = self._followers[(number + 1) * FOLLOWERS - 1]
            self._scratch.progress.phase(f"{self._backend}: {what}", None)

            def post(how: Callable[..., dict[int, float]], posts: int, *more: Any) -> list[float]:
                watcher.begin(posting.watch, last, posts)
                time.sleep(0.2)
                committed = own[0].call(how, self._authors[number], posts, PAUSE, *more)
                seen = watcher.result()
                if missing := committed.keys() - seen.keys():
                    raise CommandError(f"{len(missing)} of {posts} tweets did not reach the last follower.")
                return [1000 * (seen[id_] - moment) for id_, moment in committed.items()]

            yield post

    def latency(self) -> None:
        polled = self._backend == "memcached" and self.sqlite
        for processes, bounds in ((1, ONE_PROCESS), (2, POLLED if polled else TWO_PROCESSES)):
            with (
                self._watched(processes, "from the commit to the last follower", processes) as post,
                machinery(self._settings) as registry,
            ):
                before, began = _progress_writes(registry.database.engine), time.perf_counter()
                took = post(posting.post_and_wake, self._args.posts)
                writes = _progress_writes(registry.database.engine) - before
                seconds = time.perf_counter() - began
            what = f"commit to last follower, {processes} process(es)"
            self._claim(f"{what}, median", statistics.median(took), most=bounds[0], unit="ms")
            self._claim(f"{what}, 99th percentile", percentile(took, 99), most=bounds[1], unit="ms")
            if not self.sqlite:
                name = f"writes of progress to SQL a second, {processes} process(es)"
                self._claim(name, writes / seconds, most=1)

    def beside_a_celebrity(self) -> None:
        """Posts of small authors during fan-outs to very many followers."""
        fans = self._args.celebrity
        with (
            machinery(self._settings) as registry,
            bulk_rows(registry.database.engine, self._scratch.progress) as rows,
        ):
            [celebrity] = rows.people(1, "celebrity")
            rows.follows(((fan, celebrity) for fan in rows.people(fans, "fan")), fans)
        with self._watched(5, f"beside {fans:,} followers") as post:
            took = post(posting.post_beside, max(self._args.posts // 10, 1), celebrity)
        name = f"commit to last follower during fan-outs to {fans}, 99th percentile"
        self._claim(name, percentile(took, 99), most=50, unit="ms")

    def beside_a_transaction(self) -> None:
        """Posts with and without an open writing transaction on PostgreSQL, in turns."""
        seconds = self._args.open
        taken: dict[bool, list[float]] = {False: [], True: []}
        size = 0
        with (
            self._watched(6, "beside an open transaction") as post,
            machinery(self._settings) as registry,
        ):
            for turn in range(2 * TURNS):
                with registry.database.engine.connect() as connection:
                    if turn % 2:
                        connection.execute(text("SELECT pg_current_xact_id()"))
                    taken[bool(turn % 2)] += post(posting.post_and_wake, max(1, round(seconds / TURNS / PAUSE)))
                size = max(size, _number(registry.database.engine, "SELECT max(length(checkpoint)) FROM consumers"))
        alone, beside = percentile(taken[False], 99), percentile(taken[True], 99)
        name = f"commit to last follower, 99th percentile, beside a transaction of {seconds} s / alone"
        self._claim(name, beside / alone, most=1.2)
        self._claim("row of progress", size, most=ROW, unit="bytes")

    def takeover(self) -> None:
        """The time from kill -9 of the lease holder until the store has a checkpoint of the other process."""
        with ExitStack() as stack:
            for _ in range(2):
                stack.enter_context(closing(Child())).call(posting.begin, self._settings, True)
            registry = stack.enter_context(machinery(self._settings | PATIENT))
            store = by_hand(registry).store

            def holder() -> str:
                checkpoint = decode(store.checkpoint())
                return checkpoint.holder if checkpoint else ""

            before = holder()
            os.kill(int(before.rpartition(":")[2]), signal.SIGKILL)
            began = time.perf_counter()
            while holder() == before:
                if time.perf_counter() - began > CAUGHT_UP:
                    raise CommandError("No other process took over the lease.")
                time.sleep(0.002)
            took = time.perf_counter() - began
        self._claim("kill -9 of the holder to the next one's checkpoint", took, most=1, unit="s")


def _fill(scratch: Scratch, registry: Registry) -> tuple[range, range]:
    """Authors, and the followers of each, in their order."""
    with bulk_rows(registry.database.engine, scratch.progress) as rows:
        authors = rows.people(AUTHORS)
        followers = rows.people(AUTHORS * FOLLOWERS, "reader")
        rows.follows(((follower, authors[n // FOLLOWERS]) for n, follower in enumerate(followers)), len(followers))
        rows.tweets(((generate_id(), author, "The first.") for author in authors), AUTHORS)
    return authors, followers


def _warm(registry: Registry, followers: range) -> None:
    timelines = registry.getUtility(ITimelines)
    for user in followers:
        timelines.page(Timeline("home", user), Cursor(limit=1))


def _cost(scratch: Scratch, posts: int, figures: Figures) -> None:
    """A post on redis, committed and delivered, compared with the same post on sql: time, and WAL bytes."""
    rounds, wal = max(1, posts // ROUND), Counter({"sql": 0, "redis": 0})
    with ExitStack() as stack:

        def contender(backend: str) -> Callable[[], float]:
            settings = scratch.settings(backend) | {"sqlalchemy.url": scratch.new_database()}
            with machinery(settings) as registry:
                authors, followers = _fill(scratch, registry)
                if backend == "redis":
                    caught_up(registry)
                    _warm(registry, followers)
            child = stack.enter_context(closing(Child()))
            child.call(posting.begin, settings, True)
            engine = stack.enter_context(machinery(settings)).database.engine

            def run() -> float:
                before = _number(engine, WAL)
                seconds = child.call(posting.post_and_deliver, authors[0], ROUND)
                wal[backend] += _number(engine, WAL) - before
                return seconds

            return run

        sql, redis = (f"{backend}: {ROUND} posts" for backend in wal)
        contenders = {sql: contender("sql"), redis: contender("redis")}
        figures.add(rotate(scratch.progress, contenders, rounds, "Posts, in turns"))
    figures.compare("time of a post on redis, delivered / on sql", redis, sql, most=1.3)
    if wal["sql"]:
        figures.claim("WAL of a post on redis / on sql", wal["redis"] / wal["sql"], most=1.1)
        figures.notes.append(f"WAL of a post on sql: {wal['sql'] / rounds / ROUND:,.0f} bytes")


def _number(engine: Engine, statement: str) -> int:
    """A number from PostgreSQL; 0 on SQLite."""
    if engine.dialect.name != "postgresql":
        return 0
    with engine.connect() as connection:
        return int(connection.execute(text(statement)).scalar_one())


def _progress_writes(engine: Engine) -> int:
    """The number of writes to the rows of `consumers` so far; PostgreSQL reports it a second later."""
    time.sleep(STATISTICS)
    return _number(engine, "SELECT n_tup_ins + n_tup_upd FROM pg_stat_user_tables WHERE relname = 'consumers'")
