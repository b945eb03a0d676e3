"""Servers that fork after loading the application: each process reads and delivers on its own."""

import os
import signal
import threading
import time

import pytest

import tweeter
from tests.conftest import running, settings_of
from tests.support.people import Browser, Person
from tweeter.interfaces import IDelivery, ITimelines
from tweeter.values import Cursor, Timeline

SECONDS = 20


@pytest.fixture(params=["memory", "redis", "memcached"])
def app(request, database_url, redis_server, memcached_server):
    prefix = f"{database_url[-30:]}:".replace("/", "-")
    own = {
        "tweeter.timelines": request.param,
        "tweeter.redis.url": redis_server.url,
        "tweeter.redis.prefix": prefix,
        "tweeter.memcached.servers": memcached_server.address,
        "tweeter.memcached.prefix": prefix,
    }
    with running(settings_of(database_url) | own) as app:
        assert app.registry.getUtility(IDelivery).drain(SECONDS)
        yield app


def forked(work):
    """The exit code of a forked process that runs `work`: 0 on success."""
    pid = os.fork()
    if pid:
        deadline = time.monotonic() + SECONDS
        while (ended := os.waitpid(pid, os.WNOHANG)) == (0, 0):
            if time.monotonic() > deadline:
                os.kill(pid, signal.SIGKILL)
            time.sleep(0.02)
        return os.waitstatus_to_exitcode(ended[1])
    try:
        work()
        os._exit(0)
    except BaseException:
        import traceback

        traceback.print_exc()
        os._exit(1)


def test_forked_process_has_its_own_relays(app):
    delivery, timelines = app.registry.getUtility(IDelivery), app.registry.getUtility(ITimelines)
    ann = Person(Browser(app), "ann")
    ann.post("before the fork")
    assert delivery.drain(SECONDS)
    holds = [relay.holds for relay in delivery.relays]
    threads = threading.active_count()

    def child():
        assert delivery.drain(SECONDS)
        assert any(thread.name.startswith("relay") for thread in threading.enumerate())
        there = Person(Browser(app), "bob")
        there.post("from the child")
        assert delivery.drain(SECONDS)
        assert timelines.live()
        texts = [tweet.message for tweet in timelines.page(Timeline("public"), Cursor()).tweets]
        assert texts == ["from the child", "before the fork"]
        tweeter.shut_down(app.registry)

    assert forked(child) == 0
    assert delivery.drain(SECONDS)
    assert [relay.holds for relay in delivery.relays] == holds
    assert threading.active_count() == threads
    texts = [tweet.message for tweet in timelines.page(Timeline("public"), Cursor()).tweets]
    assert texts == ["from the child", "before the fork"]
    ann.post("after the fork")
    assert delivery.drain(SECONDS)
    assert timelines.live()
