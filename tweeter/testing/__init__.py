"""The published tests for backends, for a backend's own test suite.

    from tweeter.testing import TimelineStoreSuite, TweetCacheSuite

    class TestMyStore(TimelineStoreSuite):
        @pytest.fixture
        def make_store(self):
            return lambda capacity=10, backfill_seconds=30.0: MyStore(...)   # an empty store with its site's id

        @pytest.fixture
        def damages(self):
            return [lambda store, key: ...]        # each overwrites the key's value with a damaged one

    class TestMyCache(TweetCacheSuite):
        @pytest.fixture
        def make_cache(self):
            return lambda: MyCache(...)                                   # an empty cache with its site's id

        @pytest.fixture
        def damages(self):
            return [lambda cache, id: ...]

For a whole site, `one_answer(site, backends, faults, neighbour)` returns a stateful Hypothesis test. People post,
reply, delete, follow, keep lists, mute, block, rename and close accounts while caches are wiped, processes restart, and
each `Fault` breaks and repairs servers. `neighbour` is another site with the same stores. After each step, every
backend must return the same pages.

Requires the packages of the extra `testing`.
"""

from tweeter.testing.caches import TweetCacheSuite
from tweeter.testing.faults import Fault
from tweeter.testing.one_answer import one_answer
from tweeter.testing.process import Process
from tweeter.testing.site import Site
from tweeter.testing.stores import TimelineStoreSuite

__all__ = ["Fault", "Process", "Site", "TimelineStoreSuite", "TweetCacheSuite", "one_answer"]
