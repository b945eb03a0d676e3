"""The relay: how quickly it delivers, what that costs the database, and how soon another takes over.

Catching up is measured on events of authors with few followers, whose timelines are warm. A watcher in a process of its
own reports when the last follower's timeline has a tweet. Posts on the store and on `sql` take turns, on separate
databases of one server.
"""

import argparse
import os
import signal
import statistics
import time
from collections.abc import Mapping
from contextlib import ExitStack, closing
from typing import Any, NamedTuple

from pyramid.registry import Registry
from sqlalchemy import Engine, insert, text

from tweeter.bench.children import Child
from tweeter.bench.figures import Figures, Ratio, percentile
from tweeter.bench.machinery import PATIENT, by_hand, machinery, trusted
from tweeter.bench.posting import begin, begin_watch, post_and_deliver, post_and_wake, post_beside, site_process, watch
from tweeter.bench.rows import bulk_rows
from tweeter.bench.scratch import Scratch
from tweeter.console.commands import CommandError, count
from tweeter.db.sessions import begin_immediate
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
POLLED = (5, 15)  # ms, if only polling wakes the relay


class _Site(NamedTuple):
    authors: range
    followers: range  # FOLLOWERS of each author, in the order of authors


def add_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--events", type=count, default=20_000, metavar="N", help="to catch up with (default 20000)")
    parser.add_argument("--posts", type=count, default=1000, metavar="N", help="of each contender (default 1000)")
    parser.add_argument(
        "--celebrity", type=count, default=100_000, metavar="N", help="followers of an author beside (default 100000)"
    )
    parser.add_argument(
        "--open", type=count, default=5, metavar="S", help="seconds that a writing transaction is open (default 5)"
    )
    parser.add_argument("--backend", choices=tuple(LEAST_RATE), help="only this one (default all)")


def run(scratch: Scratch, args: argparse.Namespace) -> Figures:
    figures = Figures(f"The relay: authors with {FOLLOWERS} followers", "seconds for 100 posts")
    backends = [args.backend] if args.backend else list(LEAST_RATE)
    for backend in backends:
        url = scratch.new_database()
        settings = scratch.settings(backend) | {"sqlalchemy.url": url}
        with machinery(settings) as registry:
            site = _fill(scratch, registry)
            _catch_up(scratch, registry, site, args.events, figures)
        if backend != "memory":
            _latency(scratch, settings, site, args.posts, figures)
            _beside_a_celebrity(scratch, settings, site, args, figures)
            _beside_a_transaction(scratch, settings, site, args.open, figures)
            _takeover(settings, figures)
    if args.backend != "memcached":
        _cost(scratch, args.posts, figures)
    return figures


def _fill(scratch: Scratch, registry: Registry) -> _Site:
    """Users whose home timelines are all warm."""
    with bulk_rows(registry.database.engine, scratch.progress) as rows:
        authors = rows.people(AUTHORS)
        followers = rows.people(AUTHORS * FOLLOWERS, "reader")
        pairs = [(follower, authors[n // FOLLOWERS]) for n, follower in enumerate(followers)]
        rows.follows(pairs, len(pairs))
        rows.tweets(((generate_id(), author, "The first.") for author in authors), AUTHORS)
    return _Site(authors, followers)


def _warm(registry: Registry, site: _Site) -> None:
    timelines = registry.getUtility(ITimelines)
    for user in site.followers:
        timelines.page(Timeline("home", user), Cursor(limit=1))


def _catch_up(scratch: Scratch, registry: Registry, site: _Site, events: int, figures: Figures) -> None:
    backend = trusted(registry).name
    _warm(registry, site)
    delivery = registry.getUtility(IDelivery)
    with bulk_rows(registry.database.engine, scratch.progress) as rows:
        ids = [generate_id() for _ in range(events)]
        by = [site.authors[n % AUTHORS] for n in range(events)]
        rows.tweets(((id_, author, "One of many.") for id_, author in zip(ids, by, strict=True)), events)
    scratch.progress.phase(f"{backend}: catching up with {events:,} events", None)
    with registry.database.sessions() as session:
        begin_immediate(session)
        moment = now()
        for first in range(0, events, 10_000):
            part = slice(first, first + 10_000)
            made = (TweetCreated(id_, author) for id_, author in zip(ids[part], by[part], strict=True))
            session.execute(insert(OutboxEvent), [{"payload": encode(event), "date": moment} for event in made])
        session.commit()
    began = time.perf_counter()
    delivery.wake()
    if not delivery.drain(CAUGHT_UP):
        raise CommandError(f"{backend} does not catch up within {CAUGHT_UP} seconds.")
    rate = events / (time.perf_counter() - began)
    figures.ratios.append(Ratio(f"{backend}: events a second, catching up", rate, least=LEAST_RATE[backend]))


def _latency(scratch: Scratch, settings: dict[str, Any], site: _Site, posts: int, figures: Figures) -> None:
    polled = settings["tweeter.timelines"] == "memcached" and settings["sqlalchemy.url"].startswith("sqlite")
    for processes, bounds in ((1, ONE_PROCESS), (2, POLLED if polled else TWO_PROCESSES)):
        with ExitStack() as stack:
            watcher = stack.enter_context(closing(Child()))
            watcher.call(begin_watch, settings)
            # The first process posts, the last one delivers.
            site_processes = [
                stack.enter_context(site_process(settings, delivers=number == processes - 1))
                for number in range(processes)
            ]
            author, last = site.authors[processes], site.followers[(processes + 1) * FOLLOWERS - 1]
            scratch.progress.phase(f"{settings['tweeter.timelines']}: from the commit to the last follower", None)
            watcher.begin(watch, last, posts)
            time.sleep(0.2)
            with machinery(settings) as registry:
                before, began = _progress_writes(registry.database.engine), time.perf_counter()
                committed = site_processes[0].call(post_and_wake, author, posts, PAUSE)
                writes = _progress_writes(registry.database.engine) - before
                seconds = time.perf_counter() - began
            seen = watcher.result()
        took = _milliseconds(committed, seen)
        what = f"{settings['tweeter.timelines']}: commit to last follower, {processes} process(es)"
        figures.ratios.append(Ratio(f"{what}, median", statistics.median(took), most=bounds[0], unit="ms"))
        figures.ratios.append(Ratio(f"{what}, 99th percentile", percentile(took, 99), most=bounds[1], unit="ms"))
        if not settings["sqlalchemy.url"].startswith("sqlite"):
            name = f"{settings['tweeter.timelines']}: writes of progress to SQL a second, {processes} process(es)"
            figures.ratios.append(Ratio(name, writes / seconds, most=1))


def _milliseconds(committed: Mapping[int, float], seen: Mapping[int, float]) -> list[float]:
    """The milliseconds of each tweet to the last follower. Raises CommandError if one did not arrive."""
    if missing := committed.keys() - seen.keys():
        raise CommandError(f"{len(missing)} of {len(committed)} tweets did not come to the last follower.")
    return [1000 * (seen[id_] - moment) for id_, moment in committed.items()]


def _beside_a_celebrity(
    scratch: Scratch, settings: dict[str, Any], site: _Site, args: argparse.Namespace, figures: Figures
) -> None:
    """Posts of small authors during fan-outs to very many followers."""
    posts = max(args.posts // 10, 1)
    with machinery(settings) as registry, bulk_rows(registry.database.engine, scratch.progress) as rows:
        [celebrity] = rows.people(1, "celebrity")
        fans = rows.people(args.celebrity, "fan")
        rows.follows(((fan, celebrity) for fan in fans), len(fans))
    with closing(Child()) as watcher, site_process(settings) as poster:
        watcher.call(begin_watch, settings)
        author, last = site.authors[5], site.followers[6 * FOLLOWERS - 1]
        scratch.progress.phase(f"{settings['tweeter.timelines']}: beside {args.celebrity:,} followers", None)
        watcher.begin(watch, last, posts)
        time.sleep(0.2)
        committed = poster.call(post_beside, author, celebrity, posts, PAUSE)
        seen = watcher.result()
    took = [1000 * (seen[id_] - moment) for id_, moment in committed.items() if id_ in seen]
    backend = settings["tweeter.timelines"]
    name = f"{backend}: commit to last follower during fan-outs to {args.celebrity:,}, 99th percentile"
    figures.ratios.append(Ratio(name, percentile(took, 99), most=50, unit="ms"))


def _beside_a_transaction(
    scratch: Scratch, settings: dict[str, Any], site: _Site, seconds: int, figures: Figures
) -> None:
    """Posts with and without an open writing transaction on PostgreSQL, in turns."""
    if settings["sqlalchemy.url"].startswith("sqlite"):  # where writers take turns
        return
    backend = settings["tweeter.timelines"]
    author, last = site.authors[6], site.followers[7 * FOLLOWERS - 1]
    taken: dict[bool, list[float]] = {False: [], True: []}
    size = 0
    with ExitStack() as stack:
        watcher = stack.enter_context(closing(Child()))
        watcher.call(begin_watch, settings)
        poster = stack.enter_context(site_process(settings))
        engine = stack.enter_context(machinery(settings)).database.engine
        scratch.progress.phase(f"{backend}: beside an open transaction", 2 * TURNS)
        for turn in range(2 * TURNS):
            with engine.connect() as connection:
                if turn % 2:
                    connection.execute(text("SELECT pg_current_xact_id()"))
                posts = max(1, round(seconds / TURNS / PAUSE))
                watcher.begin(watch, last, posts)
                time.sleep(0.2)
                committed = poster.call(post_and_wake, author, posts, PAUSE)
                seen = watcher.result()
                taken[bool(turn % 2)] += _milliseconds(committed, seen)
            with engine.connect() as connection:
                size = max(size, connection.execute(text("SELECT max(length(checkpoint)) FROM consumers")).scalar_one())
            scratch.progress.advance(1)
    name = f"{backend}: commit to last follower, 99th percentile"
    alone, beside = percentile(taken[False], 99), percentile(taken[True], 99)
    figures.ratios.append(Ratio(f"{name}, beside a transaction of {seconds} s / alone", beside / alone, most=1.2))
    figures.ratios.append(Ratio(f"{backend}: row of progress", size, most=ROW, unit="bytes"))


def _takeover(settings: dict[str, Any], figures: Figures) -> None:
    """The time from kill -9 of the lease holder until the store has a checkpoint of the other process."""
    with ExitStack() as stack:
        for _ in range(2):
            stack.enter_context(closing(Child())).call(begin, settings, True)
        registry = stack.enter_context(machinery(settings | PATIENT))
        store = by_hand(registry).store

        def holder() -> str:
            checkpoint = decode(store.checkpoint())
            return checkpoint.holder if checkpoint else ""

        before = holder()
        os.kill(int(before.rpartition(":")[2]), signal.SIGKILL)
        began = time.perf_counter()
        while holder() == before:
            if time.perf_counter() - began > CAUGHT_UP:
                raise CommandError("Nobody took over.")
            time.sleep(0.002)
        took = time.perf_counter() - began
    name = f"{settings['tweeter.timelines']}: kill -9 of the holder to the next one's checkpoint"
    figures.ratios.append(Ratio(name, took, most=1, unit="s"))


def _cost(scratch: Scratch, posts: int, figures: Figures) -> None:
    """A post on redis, committed and delivered, compared with the same post on sql: time, and what it writes in SQL."""
    with ExitStack() as stack:
        contenders = {}
        for backend in ("sql", "redis"):
            settings = scratch.settings(backend) | {"sqlalchemy.url": scratch.new_database()}
            with machinery(settings) as registry:
                site = _fill(scratch, registry)
                if backend == "redis":
                    trusted(registry)
                    _warm(registry, site)
            child = stack.enter_context(closing(Child()))
            child.call(begin, settings, True)
            engine = stack.enter_context(machinery(settings)).database.engine
            contenders[backend] = child, site.authors[0], engine
        rounds = max(1, posts // ROUND)
        scratch.progress.phase("Posts, in turns", rounds * 2)
        taken: dict[str, list[float]] = {backend: [] for backend in contenders}
        wal = dict.fromkeys(contenders, 0)
        for _ in range(rounds):
            for backend, (child, author, engine) in contenders.items():
                before = _written(engine)
                taken[backend].append(child.call(post_and_deliver, author, ROUND))
                wal[backend] += _written(engine) - before
                scratch.progress.advance(1)
    figures.add({f"{backend}: {ROUND} posts": values for backend, values in taken.items()})
    redis, sql = (f"{backend}: {ROUND} posts" for backend in ("redis", "sql"))
    figures.compare("time of a post on redis, delivered / on sql", redis, sql, most=1.3)
    if wal["sql"]:
        figures.ratios.append(Ratio("WAL of a post on redis / on sql", wal["redis"] / wal["sql"], most=1.1))
        figures.notes.append(f"WAL of a post on sql: {wal['sql'] / rounds / ROUND:,.0f} bytes")


def _written(engine: Engine) -> int:
    """Bytes of WAL so far; 0 on SQLite."""
    if engine.dialect.name != "postgresql":
        return 0
    with engine.connect() as connection:
        return int(connection.execute(text("SELECT pg_current_wal_insert_lsn() - '0/0'::pg_lsn")).scalar_one())


def _progress_writes(engine: Engine) -> float:
    """The number of writes to the rows of `consumers` so far; PostgreSQL reports it a second later."""
    if engine.dialect.name != "postgresql":
        return 0
    time.sleep(STATISTICS)
    with engine.connect() as connection:
        counted = "SELECT n_tup_ins + n_tup_upd FROM pg_stat_user_tables WHERE relname = 'consumers'"
        return float(connection.execute(text(counted)).scalar_one())
