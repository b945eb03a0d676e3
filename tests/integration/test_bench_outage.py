"""The outage benchmark works in a small run. No test asserts speed."""

import pytest

from tweeter.bench.figures import percentile
from tweeter.bench.outage import measure
from tweeter.bench.scratch import Scratch
from tweeter.cli import main
from tweeter.console.commands import read_settings
from tweeter.console.progress import Lines

pytestmark = pytest.mark.slow


@pytest.mark.parametrize(("backend", "outage"), [("redis", "flapping"), ("memcached", "hung")])
def test_an_outage_is_measured_on_real_sites(ini, redis_server, memcached_server, backend, outage):
    given = redis_server.url, memcached_server.address
    with Scratch(read_settings(ini), Lines(), "sqlite", *given) as scratch:
        result = measure(scratch, ini, backend, outage, people=2, seconds=2)
    assert set(result.pages) == set(result.posts) == {"sql", backend}
    for seconds in (*result.pages.values(), *result.posts.values()):
        assert 0 < percentile(seconds, 50) <= percentile(seconds, 99) <= percentile(seconds, 100)
    assert result.failed == 0
    assert result.circuit_opened >= 1
    assert 0 < result.returned < 30
    assert result.right


@pytest.mark.parametrize(
    ("backend", "words", "reason"),
    [
        ("redis", ["--redis", "unix:///nowhere/redis.sock"], "nowhere/redis.sock"),
        ("memcached", ["--memcached", "localhost:1"], "localhost:1: Connection refused"),
    ],
)
def test_unreachable_servers_are_reported_before_anything_breaks(ini, capsys, backend, words, reason):
    assert main(["bench", "outage", ini, "--backend", backend, "--database", "sqlite", *words]) == 1
    assert reason in capsys.readouterr().err


def test_only_one_server_can_be_broken(ini, memcached_server, capsys):
    two = f"{memcached_server.address},localhost:{memcached_server.port}"
    words = ["--backend", "memcached", "--database", "sqlite", "--memcached", two]
    assert main(["bench", "outage", ini, *words]) == 1
    assert "with one memcached server: --memcached HOST:PORT" in capsys.readouterr().err
