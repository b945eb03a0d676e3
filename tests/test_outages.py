"""Law 7 and law 1 together: a store that is gone, stale, full or silent; what was posted meanwhile; and its return."""

import time
from contextlib import closing

import pytest
from pymemcache import Client
from redis import Redis

from tweeter.testing import Process
from tweeter.values import Cursor, Timeline

BACK = 10  # seconds within which everything is right again


@pytest.fixture(params=["redis", "memcached"])
def backend(request):
    return request.param


@pytest.fixture
def server(request, backend):
    """The backend's server, which a test may break: whole again afterwards."""
    server = request.getfixturevalue(f"{backend}_server")
    yield server
    if server.running:
        server.resume()
    else:
        server.start()


@pytest.fixture
def settings(backend, server, sqlite_url):
    prefix = sqlite_url[-30:].replace("/", "-")
    own = {
        "redis": {"tweeter.redis.url": f"redis://{server.host}:{server.port}/0", "tweeter.redis.prefix": prefix},
        "memcached": {
            "tweeter.memcached.servers": f"{server.host}:{server.port}",
            "tweeter.memcached.prefix": prefix,
        },
    }
    return {"tweeter.capacity": "10", **own[backend]}


@pytest.fixture
def processes(sqlite_url, backend, settings):
    """One on SQL, by which the others are judged, and two that share a store."""
    every = [Process(sqlite_url, name, **settings) for name in ("sql", backend, backend)]
    yield every
    for process in every:
        process.close()


@pytest.fixture
def people(processes):
    with processes[0].acting() as actions:
        ann, bob = actions.sign_up("ann", "password").id, actions.sign_up("bob", "password").id
        actions.follow(ann, "bob")
    return ann, bob


@pytest.fixture
def lived(processes, people):
    """A site that is warm, caught up and right."""
    live(processes, people)
    assert caught_up(processes)
    assert_right(processes, people)


def live(processes, people):
    """Some posts, and a delete."""
    ann, bob = people
    for author in (ann, bob, bob):
        with processes[1].acting() as actions:
            tweet = actions.post(author, "hello").id
    with processes[2].acting() as actions:
        actions.post(ann, "hi")
        actions.delete(bob, tweet)


def pages(process, people):
    ann, bob = people
    timelines = (Timeline.public(), Timeline.home(ann), Timeline.home(bob), Timeline.profile(bob))
    return [process.timelines.page(timeline, Cursor(limit=limit)) for timeline in timelines for limit in (3, 20)]


def assert_right(processes, people):
    expected = pages(processes[0], people)
    for process in processes[1:]:
        assert pages(process, people) == expected


def caught_up(processes):
    """Everything is delivered, and the store answers."""
    return all(process.delivery.drain(BACK) for process in processes) and all(
        process.timelines.trusted for process in processes[1:]
    )


def flush(backend, server):
    if backend == "redis":
        Redis(server.host, server.port).flushall()
    else:
        with closing(Client((server.host, server.port), default_noreply=False)) as client:
            client.flush_all()
        time.sleep(1.1)  # it forgets what was stored until the second before


def test_a_store_that_was_flushed_is_filled_again(processes, people, lived, backend, server):
    flush(backend, server)
    assert_right(processes, people)
    live(processes, people)
    assert caught_up(processes)
    assert_right(processes, people)


def test_a_server_that_was_killed_and_started_again(processes, people, lived, server):
    server.kill()
    assert_right(processes, people)
    live(processes, people)
    assert_right(processes, people)
    server.start()
    assert caught_up(processes)
    assert_right(processes, people)


def test_a_server_that_hangs(processes, people, lived, server):
    server.pause()
    began = time.monotonic()
    assert_right(processes, people)
    live(processes, people)
    assert_right(processes, people)
    assert time.monotonic() - began < 5
    server.resume()
    assert caught_up(processes)
    assert_right(processes, people)


def test_a_server_that_flaps(processes, people, lived, server):
    for _ in range(3):
        server.kill()
        live(processes, people)
        assert_right(processes, people)
        server.start()
        time.sleep(0.3)
        live(processes, people)
    assert caught_up(processes)
    assert_right(processes, people)


def test_a_process_killed_between_commit_and_delivery(processes, people, lived):
    with processes[1].acting(deliver=False) as actions:
        actions.post(people[1], "my last words")
    processes[1].delivery.stop()
    assert processes[2].delivery.drain(BACK)
    assert_right([processes[0], processes[2]], people)


def test_what_happened_while_nobody_delivered(sqlite_url, backend, settings, processes, people, lived):
    for process in processes[1:]:
        process.close()
    with processes[0].acting() as actions:
        actions.post(people[1], "on sql alone")
        actions.unfollow(people[0], "bob")
    again = Process(sqlite_url, backend, **settings)
    assert_right([processes[0], again], people)
    assert again.delivery.drain(BACK)
    assert_right([processes[0], again], people)
    again.close()


def test_a_shadow_store_is_kept_right_and_can_take_over(sqlite_url, backend, settings, processes, people, lived):
    for process in processes[1:]:
        process.close()
    shadowed = Process(sqlite_url, "sql", **settings, **{"tweeter.timelines.shadow": backend})
    live([processes[0], shadowed, shadowed], people)
    assert shadowed.timelines.name == "sql"
    assert shadowed.delivery.drain(BACK)
    shadowed.close()
    after = Process(sqlite_url, backend, **settings)
    assert after.delivery.drain(BACK)
    assert after.timelines.peek(Timeline.home(people[0])) is not None  # still warm from before
    assert_right([processes[0], after], people)
    after.close()


@pytest.mark.parametrize("backend", ["redis"], indirect=True)
def test_a_server_that_comes_back_with_what_it_had_saved_is_not_trusted(processes, people, lived, server):
    Redis(server.host, server.port).save()
    live(processes, people)
    assert caught_up(processes)
    assert_right(processes, people)
    server.kill()
    server.start()
    assert Redis(server.host, server.port).dbsize()
    for _ in range(20):
        assert_right(processes, people)
        time.sleep(0.05)
    assert caught_up(processes)
    assert_right(processes, people)


@pytest.mark.parametrize("backend", ["redis"], indirect=True)
def test_a_server_that_is_full(processes, people, lived, server):
    client = Redis(server.host, server.port)
    client.config_set("maxmemory", "1")
    client.config_set("maxmemory-policy", "noeviction")
    live(processes, people)
    time.sleep(0.7)  # the time in which a process notices
    assert_right(processes, people)
    client.config_set("maxmemory", "0")
    assert caught_up(processes)
    assert_right(processes, people)
