"""Sites with the lab, on real servers, for the tests of its pages."""

import re
import time
from contextlib import contextmanager

import pytest
from sqlalchemy import select

from tests.conftest import running, settings_of
from tweeter.db.sessions import begin_immediate
from tweeter.devtools.servers import free_port
from tweeter.interfaces import IDelivery
from tweeter.lab import dial, outage
from tweeter.models import User
from tweeter.services.actions import actions_of


def settings_for(url, redis, memcached, **own):
    prefix = url[-30:].replace("/", "-")
    return settings_of(url) | {
        "tweeter.lab": True,
        "tweeter.redis.url": redis,
        "tweeter.redis.prefix": prefix,
        "tweeter.memcached.servers": memcached,
        "tweeter.memcached.prefix": prefix,
        "tweeter.redis.timeout_ms": "1000",
        "tweeter.memcached.timeout_ms": "1000",
        **own,
    }


@contextmanager
def lab_on(settings):
    with running(settings) as app:
        assert app.registry.getUtility(IDelivery).drain(10)
        yield app


@pytest.fixture
def with_servers(redis_server, memcached_server):
    """`with_servers(url)` are the settings of a lab whose servers all run."""
    return lambda url, **own: settings_for(url, redis_server.url, memcached_server.address, **own)


@pytest.fixture
def app(with_servers, sqlite_url):
    with lab_on(with_servers(sqlite_url)) as app:
        yield app


@pytest.fixture
def lab(app):
    return app.registry["lab"]


@pytest.fixture
def people(app, ada, bob):
    """Ada follows bob, who has posted."""
    registry = app.registry
    with registry.database.sessions() as session:
        begin_immediate(session)
        actions = actions_of(registry, session)
        me, other = actions.find("ada").id, actions.find("bob").id
        actions.follow(me, "bob")
        for number in range(25):
            actions.post(other, f"number {number}")
        session.commit()
    assert registry.getUtility(IDelivery).drain(10)
    return ada, bob


@pytest.fixture
def alone(sqlite_url):
    """A lab without running servers."""
    nowhere = f"127.0.0.1:{free_port()}"
    with running(settings_for(sqlite_url, f"redis://{nowhere}", nowhere)) as app:
        yield app


def id_of(app, username):
    with app.registry.database.sessions() as session:
        return session.scalars(select(User.id).where(User.username_key == username.lower())).one()


def row_of(page, name):
    """The cells of a backend's row, as text."""
    [cells] = re.findall(rf'<th scope="row">{name}</th>(.*?)</tr>', page.text, re.DOTALL)
    return " ".join(re.sub(r"<[^>]+>", " ", cells).split())


def finished(lab, seconds=60.0):
    deadline = time.monotonic() + seconds
    while lab.jobs.current.running:
        assert time.monotonic() < deadline, lab.jobs.current
        time.sleep(0.02)
    return lab.jobs.current


@pytest.fixture
def small_dial(monkeypatch):
    monkeypatch.setattr(dial, "READERS", {2: "lab_follows_2", 30: "lab_follows_30"})
    monkeypatch.setattr(dial, "AUTHORS", 30)
    monkeypatch.setattr(dial, "CHUNK", 20)


@pytest.fixture(autouse=True)
def _break_at_once(monkeypatch):
    monkeypatch.setattr(outage, "BEFORE", 0.03)
