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
from collections.abc import Callable
from contextlib import ExitStack, closing
from multiprocessing.connection import Connection
from typing import Any

import pytest
from alembic import command

from tests.support.children import Child, act, ask, done, holds, home, read, reasons, sign_up
from tests.support.databases import alembic_config
from tweeter.bench.chaos.history import History, Shown
from tweeter.bench.chaos.person import Person
from tweeter.devtools.servers import Memcached, PostgreSQL, Redis
from tweeter.outbox.checkpoint import FRESH
from tweeter.testing import Process
from tweeter.values import Timeline

pytestmark = pytest.mark.slow
SECONDS = float(os.environ.get("CHAOS_SECONDS", "0"))
PEOPLE = 8
READERS = 2  # of them do not write; the others mostly wait for their own writes
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


class Door:
    """One user's access to any of the sites: calls in their processes. What fails is not acknowledged."""

    def __init__(self, me: int, names: dict[int, str], sites: list[Child], seed: int) -> None:
        self._me = me
        self._users = {name: user for user, name in names.items()}
        self._sites = sites
        self._chance = random.Random(seed)
        self._connections: dict[int, tuple[int, Connection]] = {}

    def post(self, message: str) -> bool:
        return self._ask(act, "post", self._me, message) is not None

    def delete(self, tweet: int) -> bool:
        return self._ask(done, "delete", self._me, tweet) is not None

    def follow(self, name: str, begin: bool) -> bool:
        return self._ask(done, "follow" if begin else "unfollow", self._me, name) is not None

    def page(self, timeline: Timeline) -> Shown | None:
        answer = self._ask(read, self._me, timeline)
        if answer is None:
            return None
        page, by = answer
        return Shown({tweet.id: tweet.user_id for tweet in page.tweets}, by, page.older is not None)

    def _ask(self, function: Callable[..., Any], *args: object) -> Any:
        """None if the site died or failed."""
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


def test_no_page_is_older_than_a_second_when_processes_are_killed(postgresql, store):
    url = postgresql.url("site")
    backend = type(store).__name__.lower()
    address = store.url if backend == "redis" else store.address
    settings = {"tweeter.redis.url" if backend == "redis" else "tweeter.memcached.servers": address}
    with ExitStack() as stack:
        sql = stack.enter_context(closing(Process(url, "sql")))
        names = {sign_up(sql, name): name for name in (f"{backend}{n}" for n in range(PEOPLE))}
        history = History(names)
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
            history.over.wait(2 * FRESH)
            for child in children[2:]:
                child.resume()

        def restart(server):
            server.kill()
            server.start()

        faults = [
            lambda: restart(store), kill_holder, lambda: restart(postgresql), let_nobody_deliver, lambda: kill_child(1)
        ]  # fmt: skip
        people = []
        for seed, user in enumerate(names):
            follows = set(names) - {user} if seed < READERS else set()
            for other in follows:
                act(sql, "follow", user, names[other])
            door = Door(user, names, sites, seed)
            people.append(Person(user, history, door, url, seed, follows=follows, writes=seed >= READERS))
        threads = [threading.Thread(target=history.run, args=[person.live]) for person in people]
        for thread in threads:
            thread.start()
        number = 0
        ends = time.monotonic() + SECONDS
        try:
            while (number < len(faults) or time.monotonic() < ends) and not history.wrong:
                history.over.wait(PAUSE)
                faults[number % len(faults)]()
                number += 1
            history.over.wait(PAUSE)
        finally:
            history.over.set()
            for thread in threads:
                thread.join()
        tally = history.tally
        print(f"{backend}: {number} faults, {tally.writes} writes, {dict(tally.pages)}, oldest {tally.oldest:.3f} s")
        print("from SQL, since the sites began:", *(child.do(reasons) for child in sites))
        assert not history.wrong, history.wrong[:5]
        assert tally.pages[backend] > 20  # the store served pages, too
        assert watching.delivery.drain(20)
        for person in people:
            assert home(watching, person.me)[0] == home(sql, person.me)[0]
            person.check_at_rest()
        assert not history.wrong, history.wrong[:5]
