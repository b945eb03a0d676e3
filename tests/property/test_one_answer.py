"""Law 1: every backend returns the same pages as SQL after any history."""

import random
import shutil
import threading
from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import closing

import pytest
from hypothesis import HealthCheck, settings
from hypothesis.stateful import run_state_machine_as_test
from sqlalchemy.exc import OperationalError

from tests.support.damages import MEMORY_TIMELINES, MEMORY_TWEETS
from tests.support.faults import breakable
from tweeter.errors import Refused
from tweeter.testing import Fault, Process, Site, one_answer
from tweeter.values import Cursor, Timeline

pytestmark = pytest.mark.slow
BACKENDS = ["sql", "memory", "redis", "memcached"]


@pytest.fixture
def stores(redis_server, memcached_server):
    """Settings of stores on servers that all sites share; materialised timelines keep 5 ids, so pages cross floors."""
    return {
        "tweeter.capacity": "5",
        "tweeter.redis.url": redis_server.url,
        "tweeter.memcached.servers": memcached_server.address,
    }


# No time limit of statements: these tests fail at any error, and PostgreSQL may stall for seconds on a busy machine.
PATIENT = {"tweeter.sql_timeout_ms": "0"}


@pytest.fixture
def site(database_url, stores):
    """A process of each backend on one database."""
    with closing(Site(database_url, BACKENDS, **stores, **PATIENT)) as site:
        yield site


@pytest.fixture
def neighbour(sqlite_template, tmp_path, stores):
    """Another site with the same settings except its database."""
    path = shutil.copyfile(sqlite_template, tmp_path / "neighbour.sqlite")
    with closing(Site(f"sqlite:///{path}", BACKENDS, **stores)) as site:
        yield site


@pytest.fixture
def broken_site(sqlite_url):
    """Processes on stores whose servers can fail in all known ways, and these faults."""
    with breakable("redis") as redis, breakable("memcached") as memcached:
        settings = {"tweeter.capacity": "5", **redis.settings, **memcached.settings}
        with closing(Site(sqlite_url, ["redis", "memcached", "memory", "sql"], **settings)) as site:
            yield site, [*redis.faults, *memcached.faults, of_memory(site)]


@pytest.fixture
def broken_site_with_relay(postgresql_url):
    """Like `broken_site`, with a process that delivers to both stores for all others."""
    with breakable("redis") as redis, breakable("memcached") as memcached:
        settings = {"tweeter.capacity": "5", **redis.settings, **memcached.settings}
        relay = Process(postgresql_url, "redis", **settings, **{"tweeter.timelines.shadow": "memcached"})
        site = Site(postgresql_url, ["redis", "memcached", "sql"], **settings, **{"tweeter.delivery": "relay"})
        with closing(relay), closing(site):
            yield site, [*redis.faults, *memcached.faults]
            assert not any(each.holds for process in site.processes for each in process.delivery.relays)


def of_memory(site):
    """Damages half of the objects in the memory of every process."""
    chance = random.Random(1)

    def spoil(objects, damaged):
        for key in [key for key in objects if chance.random() < 0.5]:
            objects[key] = damaged()

    def strike():
        for timelines in (process.timelines for process in site.processes if process.backend == "memory"):
            spoil(timelines.store._entries, lambda: chance.choice(MEMORY_TIMELINES)())
            spoil(timelines._hydrator.cache._tweets, lambda: chance.choice(MEMORY_TWEETS))

    return Fault("objects in memory are damaged", strike, harmless=True)


def test_pages_match_sql_under_server_faults(broken_site):
    site, faults = broken_site
    run_state_machine_as_test(
        one_answer(site, ["sql", "redis", "memcached", "memory"], faults),
        settings=settings(
            max_examples=5, stateful_step_count=15, deadline=None, suppress_health_check=list(HealthCheck)
        ),
    )


def test_pages_match_sql_under_server_faults_with_a_relay(broken_site_with_relay):
    site, faults = broken_site_with_relay
    run_state_machine_as_test(
        one_answer(site, ["sql", "redis", "memcached"], faults),
        settings=settings(
            max_examples=2, stateful_step_count=12, deadline=None, suppress_health_check=list(HealthCheck)
        ),
    )


def test_pages_match_sql_after_every_step_next_to_another_site(site, neighbour):
    run_state_machine_as_test(
        one_answer(site, BACKENDS, neighbour=neighbour),
        settings=settings(
            max_examples=3, stateful_step_count=20, deadline=None, suppress_health_check=list(HealthCheck)
        ),
    )


@pytest.fixture
def site_with_celebrities(sqlite_url):
    """Like `broken_site`; an author with two followers is a celebrity, and with none is not any more."""
    with breakable("redis") as redis, breakable("memcached") as memcached:
        settings = {"tweeter.capacity": "5", "tweeter.celebrity_followers": "2"}
        settings |= {**redis.settings, **memcached.settings}
        with closing(Site(sqlite_url, ["redis", "memcached", "memory", "table"], **settings)) as site:
            yield site, [*redis.faults, *memcached.faults, of_memory(site)]


def test_pages_with_celebrities_match_sql_under_server_faults(site_with_celebrities):
    site, faults = site_with_celebrities
    run_state_machine_as_test(
        one_answer(site, ["sql", "redis", "memcached", "memory", "table"], faults),
        settings=settings(
            max_examples=3, stateful_step_count=15, deadline=None, suppress_health_check=list(HealthCheck)
        ),
    )


def test_pages_with_celebrities_match_sql_after_concurrent_actions(postgresql_url, stores):
    """Also a store without optional methods, and a second kind to followers."""
    own = {"tweeter.celebrity_followers": "2", "tweeter.timelines.kinds": "tests.thirdparty.friends", **PATIENT}
    own |= stores
    backends = ["sql", "memory", "redis", "memcached", "table", "tests.thirdparty.texts"]
    with closing(Site(postgresql_url, backends, **own)) as site:
        assert_same_pages(site, live_together(site, steps=25))


@pytest.fixture
def site_on_rows(database_url):
    with closing(Site(database_url, ["table", "sql", "table"], **{"tweeter.capacity": "5"}, **PATIENT)) as site:
        yield site


def test_pages_from_rows_match_sql_after_every_step(site_on_rows):
    run_state_machine_as_test(
        one_answer(site_on_rows, ["table", "sql"]),
        settings=settings(
            max_examples=2, stateful_step_count=8, deadline=None, suppress_health_check=list(HealthCheck)
        ),
    )


def test_pages_from_rows_match_sql_after_concurrent_actions(site_on_rows):
    assert_same_pages(site_on_rows, live_together(site_on_rows, steps=20))


def test_pages_match_sql_after_concurrent_actions(site):
    assert_same_pages(site, live_together(site))


def test_pages_match_sql_after_concurrent_actions_and_server_faults(broken_site):
    site, faults = broken_site
    chance = random.Random(1)
    every = iter(chance.sample(faults, len(faults)))
    with ThreadPoolExecutor(1) as pool:
        living = pool.submit(live_together, site, steps=100)
        # This thread starts the servers, because they end with the thread that starts them.
        while not living.done() and (fault := next(every, None)):
            fault.strike()
            wait([living], chance.uniform(0.1, 0.4))
            if fault.mend is not None:
                fault.mend()
    assert_same_pages(site, living.result())


def live_together(site, steps=40):
    """Eight threads post, reply, delete, follow, mute, block, rename and read. Returns the usernames by id."""
    people, lists = {}, {}
    for number in range(6):
        with site.processes[0].acting() as actions:
            user = actions.sign_up(f"u{number}", "password", f"User {number}")
            people[user.id] = user.username
            lists[user.id] = actions.make_list(user.id, "friends").id
    errors = []

    def live(seed: int) -> None:
        chance = random.Random(seed)
        process = site.processes[seed % len(site.processes)]
        mine: list[tuple[int, int]] = []
        for _ in range(steps):
            try:
                live_a_step(chance, process, mine)
            except Exception as error:
                errors.append(error)

    def live_a_step(chance: random.Random, process, mine) -> None:
        who, other = chance.sample(sorted(people), 2)
        step = chance.random()
        if step < 0.4:
            process.timelines.page(Timeline("home", who), Cursor(limit=3))
            process.timelines.page(Timeline("public"), Cursor(limit=3))
            return
        try:
            with process.acting() as actions:
                if step < 0.65:
                    parent = mine[-1][1] if mine and chance.random() < 0.3 else None
                    tweet = (who, actions.post(who, f"{chance.random()} #tag", parent).id)
                    mine.append(tweet)
                elif step < 0.75 and mine:
                    actions.delete(*mine.pop(chance.randrange(len(mine))))
                elif step < 0.80:
                    actions.follow(who, people[other])
                elif step < 0.84:
                    actions.unfollow(who, people[other])
                elif step < 0.89:
                    keep = actions.remove_member if chance.random() < 0.4 else actions.add_member
                    keep(who, lists[who], people[other])
                elif step < 0.95:
                    hide = ("mute", "unmute", "unmute", "block", "unblock", "unblock")
                    getattr(actions, chance.choice(hide))(who, people[other])
                else:
                    actions.change_profile(who, f"User {chance.random()}", "")
        except Refused:
            pass
        except OperationalError as error:  # PostgreSQL aborts one of two deadlocked transactions; the site retries
            if "deadlock" not in str(error):
                raise

    threads = [threading.Thread(target=live, args=(seed,)) for seed in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not errors
    return people


def assert_same_pages(site, people):
    timelines = list(site.processes[0].kinds.timelines(people, site.processes[0].sessions))
    assert {timeline.kind for timeline in timelines} >= {"list", "tag"}
    pages = [[process.walk(timeline, 3) for timeline in timelines] for process in site.processes]
    assert any(page.tweets for page in pages[0][0])
    for shown in pages[1:]:
        assert shown == pages[0]
