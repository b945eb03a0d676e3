"""Operating system processes on one database: concurrent, killed with -9, and with different backends."""

import multiprocessing
import os
import random
import signal
from contextlib import ExitStack, closing

import pytest

from tests.support.faults import breakable
from tweeter.errors import Refused
from tweeter.testing import Process
from tweeter.timelines import projector
from tweeter.values import NOTHING, Cursor, Timeline

pytestmark = pytest.mark.slow
CONTEXT = multiprocessing.get_context("spawn")
PATIENCE = 60  # seconds for a process to end
STEPS = 30


@pytest.fixture(scope="module")
def stores():
    """The settings of both stores, on servers of their own."""
    with breakable("redis") as redis, breakable("memcached") as memcached:
        yield redis.settings | memcached.settings


@pytest.fixture
def settings(stores, sqlite_url):
    prefix = sqlite_url[-30:].replace("/", "-")
    return {"tweeter.capacity": "10", "tweeter.redis.prefix": prefix, "tweeter.memcached.prefix": prefix, **stores}


def start(target, *args):
    process = CONTEXT.Process(target=target, args=args)
    process.start()
    return process


def pages(process, people):
    timelines = list(process.kinds.timelines(people.values(), process.sessions))
    return [process.walk(timeline, 3) for timeline in timelines]


def live(url, backend, settings, people, seed):
    """Posts, deletes, follows, unfollows and reads at random."""
    chance = random.Random(seed)
    mine = []
    with closing(Process(url, backend, **settings)) as process:
        for _ in range(STEPS):
            name, other = chance.sample(sorted(people), 2)
            step = chance.random()
            for timeline in (Timeline("home", people[name]), Timeline("public")):
                process.timelines.page(timeline, Cursor(limit=3))
            try:
                with process.acting(deliver=chance.random() < 0.8) as actions:
                    if step < 0.6:
                        mine.append((people[name], actions.post(people[name], f"{seed} {step}").id))
                    elif step < 0.8 and mine:
                        actions.delete(*mine.pop(0))
                    elif step < 0.9:
                        actions.follow(people[name], other)
                    else:
                        actions.unfollow(people[name], other)
            except Refused:
                pass


@pytest.mark.parametrize(
    ("one", "other"),
    [("redis", "redis"), ("memcached", "memcached"), ("memory", "redis"), ("redis", "memcached"), ("sql", "memcached")],
)
def test_two_processes_post_and_read_concurrently(sqlite_url, settings, one, other):
    with ExitStack() as stack:
        sql, *watching = (
            stack.enter_context(closing(Process(sqlite_url, backend, **settings)))
            for backend in dict.fromkeys(("sql", one, other))
        )
        with sql.acting() as actions:
            people = {name: actions.sign_up(name, "password").id for name in ("ann", "bob", "cid")}
            actions.follow(people["ann"], "bob")
        for process in watching:
            pages(process, people)  # warm, before anything happens
        running = [start(live, sqlite_url, backend, settings, people, n) for n, backend in enumerate((one, other))]
        for process in running:
            process.join(PATIENCE)
            assert process.exitcode == 0
        expected = pages(sql, people)
        assert sum(len(page.tweets) for page in expected[0]) > STEPS / 2
        for process in watching:
            assert pages(process, people) == expected


def die_after_commit(url, backend, settings, user):
    process = Process(url, backend, **settings)
    process.page(Timeline("home", user), Cursor())
    with process.acting(deliver=False) as actions:
        actions.post(user, "my last words")
    os.kill(os.getpid(), signal.SIGKILL)


def die_in_the_middle_of_a_delivery(url, backend, settings, user):
    process = Process(url, backend, **settings)
    process.page(Timeline("home", user), Cursor())
    add = projector.Projector._add

    def die(self, added, of=NOTHING):
        add(self, dict(list(added.items())[:2]), of)
        os.kill(os.getpid(), signal.SIGKILL)

    projector.Projector._add = die
    with process.acting() as actions:
        actions.post(user, "my last words")
    process.delivery.drain(PATIENCE)


@pytest.mark.parametrize("backend", ["memory", "redis", "memcached"])
@pytest.mark.parametrize("die", [die_after_commit, die_in_the_middle_of_a_delivery])
def test_a_process_killed_between_commit_and_delivery_loses_nothing(sqlite_url, settings, backend, die):
    with closing(Process(sqlite_url, "sql")) as sql:
        with sql.acting() as actions:
            people = {name: actions.sign_up(name, "password").id for name in ("ann", "bob")}
            actions.follow(people["ann"], "bob")
        with closing(Process(sqlite_url, backend, **settings)) as warm:
            assert pages(warm, people) == pages(sql, people)
        dying = start(die, sqlite_url, backend, settings, people["bob"])  # the lease holder
        dying.join(PATIENCE)
        assert dying.exitcode == -signal.SIGKILL
    with (
        closing(Process(sqlite_url, "sql")) as sql,
        closing(Process(sqlite_url, backend, **settings)) as other,
    ):
        shown = pages(other, people)
        assert [tweet.message for tweet in shown[1][0].tweets] == ["my last words"]
        assert shown == pages(sql, people)


@pytest.mark.parametrize("backend", ["memory", "redis", "memcached"])
def test_switching_to_sql_and_back(sqlite_url, settings, backend):
    """Intermediate changes are present, deleted tweets are absent, and there are no duplicates."""
    with closing(Process(sqlite_url, "sql")) as sql:
        with sql.acting() as actions:
            people = {name: actions.sign_up(name, "password").id for name in ("ann", "bob", "cid")}
            actions.follow(people["ann"], "bob")
        posted = []
        for round_, name in enumerate((backend, "sql", backend, "sql", backend)):
            with closing(Process(sqlite_url, name, **settings)) as process:
                assert pages(process, people) == pages(sql, people)  # before anything else happens
                for number in range(4):
                    for who in ("ann", "bob", "cid"):
                        with process.acting() as actions:
                            posted.append((people[who], actions.post(people[who], f"{round_} {number}").id))
                with process.acting() as actions:
                    actions.delete(*posted.pop(0))
                    actions.delete(*posted.pop(-2))
                    (actions.unfollow if round_ % 2 else actions.follow)(people["ann"], "cid")
                    actions.change_profile(people["bob"], f"Bob {round_}", "")
                assert pages(process, people) == pages(sql, people)
