"""`tweeter relay`: delivery by separate processes."""

import signal
import subprocess
import sys
import time
from contextlib import ExitStack, closing, contextmanager

import pytest

from tests.conftest import ROOT, write_ini
from tweeter.cli import main
from tweeter.testing import Process
from tweeter.values import Cursor, Timeline

SECONDS = 20


@pytest.fixture(params=["redis", "memcached"])
def backend(request):
    return request.param


@pytest.fixture
def settings(backend, redis_server, memcached_server, database_url):
    prefix = f"{database_url[-30:]}:".replace("/", "-")
    return {
        "tweeter.timelines": backend,
        "tweeter.delivery": "relay",
        "tweeter.redis.url": redis_server.url,
        "tweeter.redis.prefix": prefix,
        "tweeter.memcached.servers": memcached_server.address,
        "tweeter.memcached.prefix": prefix,
    }


@pytest.fixture
def ini(tmp_path, database_url, settings):
    return write_ini(tmp_path, database_url, **settings)


@pytest.fixture
def web(database_url, backend, settings):
    """A process of the site that leaves delivery to others."""
    with closing(Process(database_url, backend, **settings)) as process:
        yield process


@contextmanager
def relay(ini):
    command = [sys.executable, "-m", "tweeter.cli", "relay", ini]
    with subprocess.Popen(command, cwd=ROOT, stderr=subprocess.PIPE, text=True) as process:
        try:
            assert process.stderr
            assert "Delivering to" in process.stderr.readline()
            yield process
        finally:
            process.kill()


def until(met):
    deadline = time.monotonic() + SECONDS
    while not met():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def status(ini, capsys):
    code = main(["relay", ini, "--status"])
    return code, capsys.readouterr().out


def test_pages_are_served_by_the_store_while_a_relay_delivers(web, ini, backend, capsys):
    with web.acting() as actions:
        ann, bob = actions.sign_up("ann", "password").id, actions.sign_up("bob", "password").id
        actions.follow(bob, "ann")
    assert not web.timelines.live()
    assert status(ini, capsys)[0] == 1
    with relay(ini) as process:
        until(web.timelines.live)
        assert web.page(Timeline("home", bob), Cursor()).tweets == ()
        with web.acting() as actions:
            tweet = actions.post(ann, "hello").id
        until(lambda: (held := web.timelines.peek(Timeline("home", bob))) is not None and held.ids == [tweet])
        code, told = status(ini, capsys)
        assert code == 0
        assert told.startswith(f"{backend}: delivered by ")
        assert f":{process.pid}; 0 events behind, 0 in flight" in told
        process.send_signal(signal.SIGTERM)
        assert process.wait(SECONDS) == 0
        with web.acting(deliver=False) as actions:
            actions.post(ann, "later")
        until(lambda: not web.timelines.live())
        code, told = status(ini, capsys)
        assert code == 1
        assert told.startswith(f"{backend}: no relay holds the lease; 1 events behind")


def test_suspended_relay_handles_a_pending_signal_when_resumed(ini):
    """Like Ctrl-Z and `kill`: the signal may reach any thread."""
    for _ in range(3):
        with relay(ini) as process:
            process.send_signal(signal.SIGSTOP)
            process.send_signal(signal.SIGTERM)
            process.send_signal(signal.SIGCONT)
            assert process.wait(SECONDS) == 0


def test_another_relay_takes_over(web, ini, capsys):
    with ExitStack() as stack:
        relays = [stack.enter_context(relay(ini)) for _ in range(2)]
        until(web.timelines.live)

        def holder():
            told = status(ini, capsys)[1]
            return next((each for each in relays if f":{each.pid};" in told), None)

        first = holder()
        first.kill()
        until(lambda: holder() not in (None, first))
        assert web.delivery.drain(SECONDS)


def test_relay_without_a_shared_store_is_refused(tmp_path, sqlite_url, capsys):
    assert main(["relay", write_ini(tmp_path, sqlite_url, **{"tweeter.timelines": "memory"})]) == 1
    assert "There is nothing to deliver to" in capsys.readouterr().err


def test_unreachable_store_is_named(tmp_path, sqlite_url, capsys):
    settings = {"tweeter.timelines": "redis", "tweeter.redis.url": "redis://127.0.0.1:1"}
    code, told = status(write_ini(tmp_path, sqlite_url, **settings), capsys)
    assert code == 1
    assert told.startswith("redis: ")
    assert "refused" in told
