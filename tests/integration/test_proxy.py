"""The fault injection proxy."""

from contextlib import closing

import pytest
from redis import Redis
from redis.backoff import NoBackoff
from redis.exceptions import ConnectionError, TimeoutError
from redis.retry import Retry

from tweeter.devtools.proxy import Proxy


@pytest.fixture
def proxy(redis_server):
    with closing(Proxy(redis_server.host, redis_server.port)) as proxy:
        yield proxy


@pytest.fixture
def client(proxy):
    with Redis(proxy.host, proxy.port, socket_timeout=0.2, retry=Retry(NoBackoff(), 0)) as client:
        client.set("proxy", "x" * 1000)
        yield client


@pytest.mark.parametrize(
    ("mode", "error"), [("refuse", ConnectionError), ("swallow", TimeoutError), ("cut", ConnectionError)]
)
def test_each_mode_fails_and_pass_restores_service(proxy, client, mode, error):
    assert client.get("proxy") == b"x" * 1000
    proxy.become(mode)
    for _ in range(2):
        with pytest.raises(error):
            client.get("proxy")
    proxy.become("pass")
    assert client.get("proxy") == b"x" * 1000


def test_swallowed_data_is_never_forwarded(proxy, client):
    proxy.become("swallow")
    with pytest.raises(TimeoutError):
        client.set("proxy", "never")
    proxy.become("pass")
    assert client.get("proxy") == b"x" * 1000
