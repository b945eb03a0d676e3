"""Redis users with few rights: the documented ones suffice, each is needed, and errors name them."""

import logging
import time
from contextlib import closing
from typing import cast

import pytest
from redis import Redis as Client

from tests.conftest import ROOT, running, settings_of, write_ini
from tests.contract.test_redis import CacheSuite, StoreSuite, wire_to
from tweeter.backends.redis.cache import RedisTweetCache
from tweeter.backends.redis.errors import HINT, RIGHTS
from tweeter.backends.redis.limits import RedisLimits
from tweeter.backends.redis.store import RedisTimelineStore
from tweeter.cli import main
from tweeter.devtools.servers import Redis
from tweeter.devtools.servers.cluster import RedisCluster
from tweeter.errors import BackendUnavailable
from tweeter.interfaces import IDelivery, ITimelines
from tweeter.lab.status import Backend
from tweeter.testing import Process
from tweeter.testing.caches import tweet
from tweeter.testing.stores import fill
from tweeter.values import Cursor, Slice, Timeline

CLUSTER_ONLY = ("+cluster|slots", "+asking")
EACH = [right for right in RIGHTS.split() if right not in CLUSTER_ONLY]


@pytest.fixture(scope="module")
def server():
    with closing(Redis()) as server:
        server.start()
        yield server


def allow(client, *rights, keys="t:*"):
    """The user `tweeter` has exactly these rights."""
    client.execute_command("ACL", "SETUSER", "tweeter", "reset", "on", ">secret", f"~{keys}", *rights)


@pytest.fixture
def client(server):
    with Client(port=server.port) as client:
        client.flushdb()
        client.script_flush()
        allow(client, *EACH)
        yield client


@pytest.fixture
def url(server, client):
    return f"redis://tweeter:secret@{server.host}:{server.port}/0"


class TestStoreWithTheseRights(StoreSuite):
    @pytest.fixture
    def any_client(self, client):
        return client


class TestCacheWithTheseRights(CacheSuite):
    @pytest.fixture
    def any_client(self, client):
        return client


def do_everything(url):
    wire = wire_to(url)
    store, cache = RedisTimelineStore(wire, 10), RedisTweetCache(wire)
    store.fence(store.run_id())
    fill(store, "home:1", list(range(1, 9)))
    for id_ in range(10, 60):
        store.add(["home:1"], id_)
        list(store.add_to_each("home", [[1, 2]], id_))
    store.remove("home:1", [30])
    store.add(["home:1"], 31)
    store.truncate(40)
    store._in_use.append(f"{store._prefix}home:1")
    assert store.read("home:1", 100, 2) == Slice([59, 58], 50)
    for id_ in range(100, 140):
        store.add(["home:1"], id_)
    cache.fill(cache.guard([1]), {1: tweet(1)})
    assert cache.get_many([1])
    cache.invalidate([1])
    limits, window = RedisLimits(wire, "t:limits"), cast(int, 0.05)
    for _ in range(2):
        assert limits.acquire_sliding_window_entry("post", 10, window)
    time.sleep(window * 1.2)
    assert limits.acquire_sliding_window_entry("post", 10, window)
    store.drop(["home:1"])
    store.clear()
    cache.clear()


def test_documented_rights_suffice(url):
    do_everything(url)
    do_everything(url.replace("/0", "/3"))


@pytest.mark.parametrize("missing", EACH)
def test_each_of_these_rights_is_needed_and_an_error_names_them(url, client, missing):
    allow(client, *(right for right in EACH if right != missing))
    with pytest.raises(BackendUnavailable) as error:
        do_everything(url.replace("/0", "/3") if missing == "+select" else url)
    assert HINT in str(error.value)


def test_keys_of_another_prefix_raise_an_error_that_names_the_rights(url, client):
    allow(client, *EACH, keys="other:*")
    with pytest.raises(BackendUnavailable, match="tweeter.redis.prefix"):
        do_everything(url)


@pytest.fixture
def without_info(client):
    """As on hosted servers: all rights except @dangerous, which includes INFO."""
    allow(client, "+@all", "-@dangerous", keys="*")


def test_the_log_names_the_rights(without_info, url, sqlite_url, caplog):
    with closing(Process(sqlite_url, "redis", **{"tweeter.redis.url": url})) as process, caplog.at_level(logging.WARN):
        assert not process.delivery.drain(0.5)
        assert process.timelines.page(Timeline("public"), Cursor()).tweets == ()
    assert "'info' command" in caplog.text
    assert HINT in caplog.text
    assert "secret" not in caplog.text


def test_verify_names_the_rights(without_info, url, sqlite_url, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr("tweeter.cli.verify.CATCH_UP", 0.5)
    monkeypatch.setenv("TWEETER_REDIS_URL", url)
    assert main(["verify", write_ini(tmp_path, sqlite_url), "--store", "redis"]) == 1
    said = capsys.readouterr().err
    assert HINT in said
    assert "secret" not in said


def test_the_lab_names_the_rights(without_info, url, sqlite_url):
    own = {"tweeter.timelines": "redis", "tweeter.redis.url": url}
    with running(settings_of(sqlite_url) | own) as app:
        app.registry.getUtility(IDelivery).drain(0.5)
        status = Backend(app.registry.getUtility(ITimelines)).status()
    assert status.word == "absent"
    assert HINT in status.text


def test_site_works_with_the_documented_rights(url, client, sqlite_url):
    allow(client, *EACH, keys="tweeter:*")
    with closing(Process(sqlite_url, "redis", **{"tweeter.redis.url": url})) as process:
        assert process.delivery.drain(10)
        with process.acting() as actions:
            ann = actions.sign_up("ann", "password").id
            posted = actions.post(ann, "hello").id
        assert [view.id for view in process.page(Timeline("home", ann), Cursor()).tweets] == [posted]
        assert process.timelines.live()


def test_documented_rights_suffice_on_a_cluster_while_a_slot_moves():
    with closing(RedisCluster()) as cluster:
        cluster.start()
        for member in cluster.members:
            with member.client() as client:
                allow(client, *(right for right in RIGHTS.split() if right != "+select"))
        hosts = ",".join(f"{member.host}:{member.port}" for member in cluster.members)
        url = f"redis+cluster://tweeter:secret@{hosts}"
        do_everything(url)
        store = RedisTimelineStore(wire_to(url), 10)
        fill(store, "home:1", [1])
        slot = int(str(cluster.masters[0].do("CLUSTER", "KEYSLOT", "t:s:tl:home:1")))
        source = cluster.owner(slot)
        target = next(master for master in cluster.masters if master is not source)
        target.do("CLUSTER SETSLOT", slot, "IMPORTING", source.id)
        source.do("CLUSTER SETSLOT", slot, "MIGRATING", target.id)
        source.do("MIGRATE", target.host, target.port, "t:s:tl:home:1", 0, 5000)
        store.add(["home:1"], 2)
        assert store.read("home:1", 10, 10) == Slice([2, 1], 0)


def test_documentation_and_ini_files_name_the_needed_rights():
    words = " ".join((ROOT / "docs" / "how-to" / "production.md").read_text(encoding="utf-8").split())
    assert f"~tweeter:* {RIGHTS}" in words
    for name in ("development.ini", "production.ini"):
        text = (ROOT / name).read_text(encoding="utf-8")
        assert "tweeter.redis.prefix = tweeter:" in text
        assert "tweeter.memcached.prefix = tweeter:" in text
