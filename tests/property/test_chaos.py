"""Laws 7 and 9 under faults: pages are never older than a second, whatever is killed.

Two site processes on PostgreSQL share a store, and two others deliver to it. People post, delete, follow and unfollow,
and check every page: it contains their own writes and the changes of others older than a second, and
it shows no tweet of a person they do not follow. The test kills one thing after another: a site process, the process
that delivers, the store, PostgreSQL; and for two seconds nothing is delivered.

`CHAOS_SECONDS=600 pytest tests/property/test_chaos.py -s` does so for ten minutes a store, and prints what it found.
"""

import os
import random
import threading
import time
from collections import Counter
from contextlib import ExitStack, closing
from dataclasses import dataclass, field
from math import inf
from multiprocessing.connection import Connection

import psycopg
import pytest
from alembic import command

from tests.conftest import alembic_config
from tests.support.children import Child, act, ask, holds, home, reasons, sign_up
from tweeter.devtools.servers import Memcached, PostgreSQL, Redis
from tweeter.outbox.checkpoint import FRESH
from tweeter.testing import Process

pytestmark = pytest.mark.slow
SECONDS = float(os.environ.get("CHAOS_SECONDS", "0"))
PEOPLE = 8
READERS = 2  # of them do not write; the others mostly wait for their own writes
LIMIT = 100
PAUSE = 1.5  # seconds between two faults
DELIVERY = ["relay", "relay", "inline", "inline"]  # of the processes: two sites, and two that only deliver


@pytest.fixture(scope="module")
def postgresql():
    """Durable: acknowledged commits survive a kill."""
    with closing(PostgreSQL(synchronous_commit="on")) as server:
        server.start()
        server.execute("CREATE DATABASE site")
        command.upgrade(alembic_config(server.url("site")), "head")
        yield server


@pytest.fixture(params=[Redis, Memcached], ids=["redis", "memcached"])
def store(request):
    with closing(request.param()) as server:
        server.start()
        yield server


@dataclass
class Tweet:
    """The times of post and delete, on the common clock: when each began, and when its commit was known."""

    author: int
    posted: float
    deleting: float = inf
    deleted: float = inf


@dataclass
class World:
    """The users' shared knowledge of committed changes, and the errors they found."""

    names: dict[int, str]
    tweets: dict[int, Tweet] = field(default_factory=dict)
    over: threading.Event = field(default_factory=threading.Event)
    wrong: list[str] = field(default_factory=list)
    pages: Counter[str] = field(default_factory=Counter)
    oldest: float = 0.0  # seconds since the commit of a change that a page lacked
    writes: int = 0


class Person:
    """A user with a single thread, who knows exactly which changes are committed; after an error SQL decides."""

    def __init__(self, me: int, world: World, sites: list[Child], url: str, seed: int) -> None:
        self.me = me
        self.world = world
        self._sites = sites
        self._url = url.replace("+psycopg", "")
        self._chance = random.Random(seed)
        self._connections: dict[int, tuple[int, Connection]] = {}
        self.reads = False
        self._follows: set[int] = set()
        self._mine: list[int] = []

    def only_read(self, sql: Process) -> None:
        """Follows all users, and changes nothing afterwards."""
        self.reads = True
        self._follows = {user for user in self.world.names if user != self.me}
        for user in self._follows:
            act(sql, "follow", self.me, self.world.names[user])

    def live(self) -> None:
        try:
            while not self.world.over.is_set():
                if not self.reads:
                    self._write()
                for _ in range(3):
                    self._look()
        except Exception as error:
            self.world.wrong.append(repr(error))
            self.world.over.set()
            raise

    def _ask(self, function, *args):
        """On any of the sites. None if the site died or failed."""
        number = self._chance.randrange(len(self._sites))
        site = self._sites[number]
        try:
            known = self._connections.get(number)
            if known is None or known[0] != site.pid:
                known = self._connections[number] = site.pid, site.connect()
            return ask(known[1], function, *args)
        except (OSError, EOFError, RuntimeError):
            self._connections.pop(number, None)
            time.sleep(0.02)
            return None

    def _sql(self, statement, *values):
        """The rows, once PostgreSQL responds: the transactions of dead processes are committed or rolled back."""
        while True:
            try:
                with psycopg.connect(self._url, connect_timeout=5) as connection:
                    # The transaction of a dead process may still commit.
                    connection.execute("SELECT 1 FROM users WHERE id = %s FOR UPDATE", [self.me])
                    return connection.execute(statement, values).fetchall()
            except psycopg.Error:
                time.sleep(0.05)

    def _write(self) -> None:
        world, chance = self.world, self._chance
        step = chance.random()
        other = chance.choice([user for user in world.names if user != self.me])
        world.writes += 1
        if step < 0.5 or not self._mine:
            said = f"{self.me} {time.monotonic_ns()}"
            made = self._ask(act, "post", self.me, said)
            if made is None:
                rows = self._sql("SELECT id FROM tweets WHERE message = %s", said)
                made = rows[0][0] if rows else None
            if made is not None:
                world.tweets[made] = Tweet(self.me, time.monotonic())
                self._mine.append(made)
        elif step < 0.7:
            gone = self._mine.pop(chance.randrange(len(self._mine)))
            tweet = world.tweets[gone]
            tweet.deleting = time.monotonic()
            self._ask(act, "delete", self.me, gone)
            if self._sql("SELECT 1 FROM tweets WHERE id = %s", gone):
                tweet.deleting = inf
                self._mine.append(gone)
            else:
                tweet.deleted = time.monotonic()
        else:
            self._ask(act, "unfollow" if other in self._follows else "follow", self.me, world.names[other])
            rows = self._sql("SELECT to_user_id FROM relationships WHERE from_user_id = %s", self.me)
            self._follows = {row[0] for row in rows}

    def _look(self) -> None:
        began = time.monotonic()
        answer = self._ask(home, self.me, LIMIT)
        if answer is None:
            self.world.pages["none"] += 1
            return
        page, by = answer
        ended = time.monotonic()
        self.world.pages[by] += 1
        shown = {tweet.id: tweet.user_id for tweet in page.tweets}
        last = min(shown, default=0) if page.older else 0
        for id_, author in shown.items():
            tweet = self.world.tweets.get(id_)
            if author != self.me and author not in self._follows:
                self._complain(f"{id_} of {author}, whom they do not follow", by)
            if tweet and tweet.deleted < began:
                self._missed(began - tweet.deleted, author, f"{id_}, which was deleted", by)
        for id_, tweet in list(self.world.tweets.items()):
            wanted = tweet.author == self.me or tweet.author in self._follows
            if wanted and id_ > last and tweet.deleting > ended and id_ not in shown and tweet.posted < began:
                self._missed(began - tweet.posted, tweet.author, f"all but {id_}", by)

    def _missed(self, age: float, author: int, what: str, by: str) -> None:
        """A page shows state that has been stable for some seconds."""
        self.world.oldest = max(self.world.oldest, age)
        if author == self.me or age > FRESH:
            self._complain(f"{what} {age:.3f} s ago by {author}", by)

    def _complain(self, what: str, by: str) -> None:
        self.world.wrong.append(f"{self.me} was shown {what}; by {by}")
        self.world.over.set()


def test_no_page_is_older_than_a_second_when_processes_are_killed(postgresql, store):
    url = postgresql.url("site")
    backend = type(store).__name__.lower()
    address = store.url if backend == "redis" else store.address
    settings = {"tweeter.redis.url" if backend == "redis" else "tweeter.memcached.servers": address}
    with ExitStack() as stack:
        sql = stack.enter_context(closing(Process(url, "sql")))
        names = {sign_up(sql, name): name for name in (f"{backend}{n}" for n in range(PEOPLE))}
        world = World(names)
        watching = stack.enter_context(closing(Process(url, backend, **settings, **{"tweeter.delivery": "relay"})))

        def begin(delivery):
            return Child(url, backend, None, **settings, **{"tweeter.delivery": delivery})

        children = [begin(delivery) for delivery in DELIVERY]
        stack.callback(lambda: [child.close() for child in children])
        sites = children[:2]
        for child in children:
            child.connect().close()
        assert watching.delivery.drain(20)

        def kill_child(number):
            children[number].kill()
            children[number] = begin(DELIVERY[number])
            sites[:] = children[:2]
            children[number].connect().close()

        def kill_holder():
            kill_child(2 if children[2].do(holds) else 3)

        def let_nobody_deliver():
            for child in children[2:]:
                child.stop()
            world.over.wait(2 * FRESH)
            for child in children[2:]:
                child.resume()

        def restart(server):
            server.kill()
            server.start()

        faults = [
            lambda: restart(store), kill_holder, lambda: restart(postgresql), let_nobody_deliver, lambda: kill_child(1)
        ]  # fmt: skip
        people = [Person(user, world, sites, url, seed) for seed, user in enumerate(names)]
        for person in people[:READERS]:
            person.only_read(sql)
        threads = [threading.Thread(target=person.live) for person in people]
        for thread in threads:
            thread.start()
        number = 0
        ends = time.monotonic() + SECONDS
        try:
            while (number < len(faults) or time.monotonic() < ends) and not world.over.wait(PAUSE):
                faults[number % len(faults)]()
                number += 1
            world.over.wait(PAUSE)
        finally:
            world.over.set()
            for thread in threads:
                thread.join()
        print(f"{backend}: {number} faults, {world.writes} writes, {dict(world.pages)}, oldest {world.oldest:.3f} s")
        print("from SQL, since the sites began:", *(child.do(reasons) for child in sites))
        assert not world.wrong, world.wrong[:5]
        assert world.pages[backend] > 20  # the store served pages, too
        assert watching.delivery.drain(20)
        for person in people:
            assert home(watching, person.me)[0] == home(sql, person.me)[0]
