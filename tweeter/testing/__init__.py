"""What a backend has to pass, to be run from its own tests.

    from tweeter.testing import TimelineStoreSuite, TweetCacheSuite

    class TestMyStore(TimelineStoreSuite):
        @pytest.fixture
        def make_store(self):
            return lambda capacity=10, fill_seconds=30.0: MyStore(...)   # an empty store that knows its site

        @pytest.fixture
        def damages(self):
            return [lambda store, key: ...]        # each puts a damaged value under the key, whatever is there

    class TestMyCache(TweetCacheSuite):
        @pytest.fixture
        def make_cache(self):
            return lambda: MyCache(...)                                   # an empty cache that knows its site

        @pytest.fixture
        def damages(self):
            return [lambda cache, id: ...]

and, for the whole: `one_answer(site, backends, faults, neighbour)` gives a stateful hypothesis test in which people
post, answer, delete, follow, rename and close while caches are wiped, processes restart, and each `Fault` of yours
breaks and mends servers; the neighbour is another site with the same stores. Every backend has to give the same pages
after each step.

Needs the packages of the extra `testing`.
"""

from tweeter.testing.caches import TweetCacheSuite
from tweeter.testing.faults import Fault
from tweeter.testing.one_answer import one_answer
from tweeter.testing.site import Process, Site
from tweeter.testing.stores import TimelineStoreSuite

__all__ = ["Fault", "Process", "Site", "TimelineStoreSuite", "TweetCacheSuite", "one_answer"]
