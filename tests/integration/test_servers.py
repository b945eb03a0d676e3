"""Private servers respond, can be restarted, killed and paused, and leave nothing behind."""

import socket
from collections.abc import Callable
from contextlib import closing
from typing import Any

import psycopg
import pytest
from pymemcache.client.base import Client
from pymemcache.exceptions import MemcacheUnexpectedCloseError
from redis import Redis as RedisClient
from redis.backoff import NoBackoff
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.retry import Retry

from tests.conftest import running_server
from tests.support.streams import Events
from tweeter.devtools import servers


def test_redis_can_crash_and_come_back(redis_server: servers.Redis) -> None:
    with RedisClient(host=redis_server.host, port=redis_server.port, retry=Retry(NoBackoff(), 0)) as client:
        client.set("key", "value")
        redis_server.kill()
        with pytest.raises(RedisConnectionError):
            client.get("key")
        redis_server.start()
        assert client.get("key") is None


def test_memcached_can_be_stopped_and_started(memcached_server: servers.Memcached) -> None:
    client = Client(memcached_server.address, timeout=5, connect_timeout=5, no_delay=True, default_noreply=False)
    client.set("key", b"value")
    assert client.get("key") == b"value"
    memcached_server.stop()
    with pytest.raises((MemcacheUnexpectedCloseError, ConnectionError)):
        client.get("key")
    memcached_server.start()
    assert client.get("key") is None
    client.close()


def test_paused_server_responds_after_resuming(redis_server: servers.Redis) -> None:
    redis_server.pause()
    with socket.create_connection((redis_server.host, redis_server.port), timeout=0.2) as connection:
        connection.sendall(b"PING\r\n")
        with pytest.raises(TimeoutError):
            connection.recv(10)
        redis_server.resume()
        connection.settimeout(10)
        assert connection.recv(10).startswith(b"+PONG")


def test_postgresql_is_a_database_of_this_run(postgresql_server: servers.PostgreSQL) -> None:
    with psycopg.connect(postgresql_server.url("postgres").replace("+psycopg", "")) as connection:
        row = connection.execute("SELECT current_setting('data_directory')").fetchone()
    assert row == (str(postgresql_server.folder / "data"),)


@pytest.mark.parametrize("make", [servers.Redis, servers.Memcached, servers.PostgreSQL, servers.Pushpin])
def test_nothing_is_left_behind(make: Callable[[], servers.Server]) -> None:
    server = make()
    server.start()
    server.close()
    assert not server.folder.exists()
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection((server.host, server.port), timeout=5).close()


@pytest.mark.parametrize("make", [servers.Redis, servers.Memcached, servers.PostgreSQL, servers.Pushpin])
def test_another_server_at_the_port_is_detected(make: Callable[[], servers.Server]) -> None:
    with closing(make()) as first, closing(make()) as second:
        first.start()
        second.port = first.port
        with pytest.raises(RuntimeError, match="does not start"):
            second.start()
        assert first.answers()


def test_pushpin_holds_the_first_request_after_its_start() -> None:
    def application(environ: Any, start_response: Any) -> list[bytes]:
        start_response("200 OK", [("Grip-Hold", "stream"), ("Grip-Channel", "any")])
        return [b":)\n"]

    with running_server(application) as site, closing(servers.Pushpin(site.effective_port)) as pushpin:
        for _ in range(10):  # without a held request in `answers`, about every fifth start is too early
            pushpin.start()
            with Events(pushpin.url):
                pushpin.stop()


def test_free_ports_are_outside_the_range_of_outgoing_connections() -> None:
    ports = [servers.free_port() for _ in range(100)]
    for port in ports:
        servers.release_port(port)
    assert max(ports) < 32_768


def test_a_reserved_port_belongs_to_its_process_until_released() -> None:
    port = servers.free_port()
    with pytest.raises(OSError, match="in use"):
        servers.reserve_port(port)
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection((servers.HOST, port), timeout=5).close()
    servers.release_port(port)
    servers.release_port(servers.reserve_port(port))


@pytest.mark.parametrize("make", [servers.Redis, servers.Memcached, servers.PostgreSQL, servers.Pushpin])
def test_port_of_a_stopped_server_stays_reserved(make: Callable[[], servers.Server]) -> None:
    with closing(make()) as server:
        server.start()
        server.stop()
        with pytest.raises(OSError, match="in use"):
            servers.reserve_port(server.port)
        server.start()


def test_a_missing_program_is_an_error_that_names_its_package() -> None:
    with pytest.raises(servers.NotInstalled, match="Debian package sundials"):
        servers.find("sundial", "sundials")
