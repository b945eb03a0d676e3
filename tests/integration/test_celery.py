"""Delivery with Celery's workers, over RabbitMQ and Redis: real brokers and real workers, which are killed.

TWEETER_POSTS=10000 makes the last test as long as that; it is short otherwise.
"""

import os
import random
import time
from contextlib import ExitStack, closing

import pytest
from sqlalchemy import func, insert, select

import tweeter.celery
from tests.conftest import write_ini
from tweeter.cli import main
from tweeter.devtools.servers import Redis
from tweeter.devtools.servers.workers import CeleryWorker
from tweeter.metrics import CHUNKS
from tweeter.models import FanOutChunk, Relationship, User
from tweeter.testing import Process
from tweeter.testing.process import CHEAP
from tweeter.values import Cursor, Timeline

STAR, TOWN = 1, 2
FANS = range(100, 700)  # two chunks
NEIGHBOURS = range(2000, 2510)  # also two chunks
POSTS = int(os.environ.get("TWEETER_POSTS", 90))
LONG = POSTS >= 1000
SECONDS = 60 + POSTS // 10  # until all is delivered: posts are faster than deliveries


class Cluster:
    """A site on PostgreSQL and Redis, a broker, and a worker."""

    def __init__(self, url, store, broker, folder):
        self.broker = broker
        settings = {
            "tweeter.delivery": "celery",
            "tweeter.celery.broker": broker.url,
            "tweeter.celery.chunk": "300",
            "tweeter.celery.patience": "1",
            "tweeter.redis.url": store.url,
            "tweeter.redis.prefix": f"{type(broker).__name__}:",
        }
        self.process = Process(url, "redis", **settings)
        own = {"sqlalchemy.url": url, "tweeter.timelines": "redis", **CHEAP, **settings}
        self.worker = CeleryWorker(own, folder)
        self.tweets = []
        with self.process.sessions() as session:
            named = [
                {"id": n, "username": f"u{n}", "username_key": f"u{n}", "display_name": "x"}
                for n in (STAR, TOWN, *FANS, *NEIGHBOURS)
            ]
            session.execute(insert(User), named)
            follows = [(fan, STAR) for fan in FANS] + [(one, TOWN) for one in NEIGHBOURS]
            session.execute(insert(Relationship), [{"from_user_id": a, "to_user_id": b} for a, b in follows])
            session.commit()
        assert self.process.delivery.drain(SECONDS)
        self.warm()
        self.worker.start()

    def warm(self):
        for user in (*FANS, *NEIGHBOURS):
            self.process.timelines.page(Timeline("home", user), Cursor(limit=1))

    def post(self, author=STAR):
        with self.process.acting() as actions:
            tweet_id = actions.post(author, "x").id
        if author == STAR:
            self.tweets.append(tweet_id)
        return tweet_id

    def settle(self):
        deadline = time.monotonic() + SECONDS
        while not self.process.delivery.drain(1) or self.rows():
            assert time.monotonic() < deadline, self.worker.log[-5000:]
            self.worker.revive()
            time.sleep(0.02)

    def rows(self):
        with self.process.sessions() as session:
            return session.scalar(select(func.count()).select_from(FanOutChunk))

    def check(self):
        """All is delivered, and every timeline has all tweets of the star, or is cold."""
        self.settle()
        found = {fan: self.process.timelines.peek(Timeline("home", fan)) for fan in FANS}
        expected = self.tweets[-800:][::-1]
        assert [fan for fan, held in found.items() if held is not None and held.ids[: len(expected)] != expected] == []
        assert sum(held is not None for held in found.values()) > len(FANS) / 2

    def close(self):
        self.worker.kill()
        self.process.close()


@pytest.fixture(scope="module", params=["redis", "rabbitmq"])
def cluster(request, postgresql_databases, redis_server, tmp_path_factory):
    with ExitStack() as stack:
        url = stack.enter_context(postgresql_databases.use())
        if request.param == "redis":
            broker = stack.enter_context(closing(Redis()))
            broker.start()
        else:
            broker = request.getfixturevalue("rabbitmq_server")
        folder = tmp_path_factory.mktemp(request.param)
        yield stack.enter_context(closing(Cluster(url, redis_server, broker, folder)))


def done(what="done"):
    return CHUNKS.labels("redis", what)._value.get()


def test_workers_deliver_to_all_followers(cluster):
    before = done()
    for _ in range(5):
        cluster.post()
    tweet = cluster.post(TOWN)
    cluster.check()
    assert done() - before == 12
    assert all(tweet in cluster.process.timelines.peek(Timeline("home", user)).ids for user in NEIGHBOURS)


def test_a_broker_that_is_killed_three_times_delays_nothing_for_good(cluster):
    """Posts go on meanwhile, and workers deliver again after each restart."""
    restarts = 3 if LONG or isinstance(cluster.broker, Redis) else 1
    for _ in range(restarts):
        cluster.post()
        cluster.broker.kill()
        for _ in range(5):
            cluster.post()
        cluster.check()
        cluster.broker.start()
        before, deadline = done(), time.monotonic() + SECONDS
        while done() == before:
            assert time.monotonic() < deadline, cluster.worker.log[-5000:]
            cluster.worker.revive()
            cluster.post()
            time.sleep(0.1)
    cluster.check()


def test_workers_that_are_killed_at_random_leave_nothing_wrong(cluster):
    posts = POSTS if LONG or isinstance(cluster.broker, Redis) else POSTS // 3
    for number in range(posts):
        cluster.post()
        time.sleep(0.01)
        if number % 20 == 10 or random.random() < 0.01:
            cluster.worker.kill_child()
        if number % 1000 == 50:
            cluster.worker.kill()
            cluster.worker.start()
    cluster.check()
    if posts == POSTS:
        assert cluster.worker.stop() == 0


@pytest.fixture
def app(monkeypatch):
    """Makes the application, as Celery does."""
    monkeypatch.delitem(vars(tweeter.celery), "app", raising=False)

    def make(ini):
        monkeypatch.setenv("TWEETER_INI", ini)
        return tweeter.celery.app

    yield make
    vars(tweeter.celery).pop("app", None)


def test_a_worker_says_what_it_lacks(app, tmp_path, sqlite_url):
    with pytest.raises(SystemExit, match="TWEETER_INI must name the site's ini file"):
        app("")
    with pytest.raises(SystemExit, match=r"nowhere\.ini"):
        app("nowhere.ini")
    with pytest.raises(SystemExit, match=r"workers need tweeter\.delivery = celery; .* has inline"):
        app(write_ini(tmp_path, sqlite_url))
    with pytest.raises(SystemExit, match=r"tweeter\.celery\.broker must be set"):
        app(write_ini(tmp_path, sqlite_url, **{"tweeter.delivery": "celery"}))
    with pytest.raises(SystemExit, match=r"tweeter\.celery\.broker: carrier://pigeon:\*\*\*@here"):
        own = {"tweeter.delivery": "celery", "tweeter.celery.broker": "carrier://pigeon:x@here"}
        app(write_ini(tmp_path, sqlite_url, **own))


def test_settings_show_the_broker_without_its_password(tmp_path, sqlite_url, capsys):
    own = {"tweeter.delivery": "celery", "tweeter.celery.broker": "amqp://tweeter:pass@rabbit//"}
    assert main(["settings", write_ini(tmp_path, sqlite_url, **own), "--changed"]) == 0
    printed = capsys.readouterr().out
    assert "tweeter.celery.broker = amqp://tweeter:***@rabbit//" in printed
