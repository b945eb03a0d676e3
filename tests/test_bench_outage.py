"""The benchmark of outages works, run small. How fast anything is, no test says."""

import pytest

from tweeter.bench.outage import Latencies, measure


@pytest.mark.parametrize(("backend", "outage"), [("redis", "flapping"), ("memcached", "hung")])
def test_an_outage_is_measured_on_real_sites(request, sqlite_url, backend, outage):
    server = request.getfixturevalue(f"{backend}_server")
    result = measure(sqlite_url, backend, server, outage, people=2, seconds=2)
    assert set(result.pages) == set(result.posts) == {"sql", backend}
    for latencies in (*result.pages.values(), *result.posts.values()):
        assert 0 < latencies.percentile(50) <= latencies.percentile(99) <= latencies.percentile(100)
    assert result.ratio() > 0
    assert result.post_ratio() > 0
    assert result.failed == 0
    assert result.distrusted >= 1
    assert result.returned is not None
    assert result.right


def test_percentiles_are_by_nearest_rank():
    latencies = Latencies(tuple(range(1, 201)))
    assert [latencies.percentile(percent) for percent in (0.5, 50, 99, 100)] == [1, 100, 198, 200]
