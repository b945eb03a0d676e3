"""Every built-in store and cache passes the published suites."""

import pytest

from tests import damages
from tweeter.backends.memory import MemoryTimelineStore, MemoryTweetCache
from tweeter.testing import TimelineStoreSuite, TweetCacheSuite
from tweeter.testing.caches import tweet
from tweeter.testing.stores import END, fill


class TestMemoryTimelineStore(TimelineStoreSuite):
    @pytest.fixture
    def make_store(self):
        return lambda capacity=10, fill_seconds=30.0: MemoryTimelineStore(capacity, 1000, fill_seconds)

    @pytest.fixture
    def damages(self):
        return [
            lambda store, key, make=make: store._entries.__setitem__(key, make()) for make in damages.MEMORY_TIMELINES
        ]


class TestMemoryTweetCache(TweetCacheSuite):
    private = True

    @pytest.fixture
    def make_cache(self):
        return lambda: MemoryTweetCache(1000)

    @pytest.fixture
    def damages(self):
        return [
            lambda cache, id_, value=value: cache._tweets.__setitem__(id_, value) for value in damages.MEMORY_TWEETS
        ]


def test_memory_forgets_the_timelines_that_were_read_longest_ago():
    store = MemoryTimelineStore(10, 2)
    fill(store, "home:1", [1])
    fill(store, "home:2", [2])
    assert store.read("home:1", END, 1)
    fill(store, "home:3", [3])
    assert store.read("home:2", END, 1) is None
    assert store.read("home:1", END, 1)
    assert store.read("home:3", END, 1)


def test_memory_forgets_the_tweets_that_were_read_longest_ago():
    cache = MemoryTweetCache(2)
    cache.fill(cache.lease([1, 2]), {1: tweet(1), 2: tweet(2)})
    assert cache.get_many([1])
    cache.fill(cache.lease([3]), {3: tweet(3)})
    assert set(cache.get_many([1, 2, 3])) == {1, 3}
