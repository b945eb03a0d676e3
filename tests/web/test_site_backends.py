"""The whole site on each shared store: actions, the footer, and an unavailable store."""

import pytest

from tests.conftest import running, settings_of
from tests.support.people import Browser, Person
from tweeter.devtools.servers import free_port
from tweeter.interfaces import IDelivery


@pytest.fixture(params=["redis", "memcached"])
def site_settings(request, sqlite_url):
    server = request.getfixturevalue(f"{request.param}_server")
    prefix = sqlite_url[-30:].replace("/", "-")
    own = {
        "redis": {"tweeter.redis.url": f"redis://{server.host}:{server.port}/0", "tweeter.redis.prefix": prefix},
        "memcached": {"tweeter.memcached.servers": server_of(server), "tweeter.memcached.prefix": prefix},
    }
    return settings_of(sqlite_url) | {"tweeter.timelines": request.param} | own[request.param]


def server_of(server):
    return f"{server.host}:{server.port}"


def test_two_people_meet(site_settings):
    with running(site_settings) as app:
        assert app.registry.getUtility(IDelivery).drain(10)
        ada, bob = (Person(Browser(app), name) for name in ("Ada", "bob"))
        bob.follow("ada")
        first = ada.post("one")
        answer = bob.post("two", parent=first)
        assert bob.ids("/") == [answer, first]
        assert ada.ids("/") == [first]
        ada.delete(first)
        assert bob.ids("/") == [answer]
        assert "In reply to a deleted tweet" in bob.get("/").text
        bob.get("/")
        foot = bob.get("/").text
        name = site_settings["tweeter.timelines"]
        assert f"Served by {name} in" in foot
        trips = {"redis": "1 store round trip", "memory": "2 store calls"}.get(name, "2 store round trips")
        assert f"{trips} · 1 SQL query, none for the timeline" in foot


@pytest.mark.parametrize("backend", ["redis", "memcached"])
def test_site_works_while_the_store_is_down(sqlite_url, backend):
    nowhere = f"127.0.0.1:{free_port()}"
    own = {"tweeter.redis.url": f"redis://{nowhere}", "tweeter.memcached.servers": nowhere}
    with running(settings_of(sqlite_url) | {"tweeter.timelines": backend} | own) as app:
        ada = Person(Browser(app), "Ada")
        tweet = ada.post("still here")
        assert ada.ids("/") == [tweet]
        assert f"Served by {backend}, from SQL in" in ada.get("/").text
        assert ada.get("/healthz").status_int == 200
