"""Every built-in store and cache passes the published suites."""

from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from prometheus_client import REGISTRY

from tests.support import damages
from tweeter import metrics
from tweeter.backends.memory import MemoryTimelineStore, MemoryTweetCache
from tweeter.testing import TimelineStoreSuite, TweetCacheSuite
from tweeter.testing.caches import tweet
from tweeter.testing.stores import END, fill
from tweeter.timelines import packing as tweets


class TestMemoryTimelineStore(TimelineStoreSuite):
    @pytest.fixture
    def make_store(self):
        return lambda capacity=10, backfill_seconds=30.0: MemoryTimelineStore(capacity, 1000, backfill_seconds)

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


def test_memory_evicts_least_recently_read_timelines():
    store = MemoryTimelineStore(10, 2)
    fill(store, "home:1", [1])
    fill(store, "home:2", [2])
    assert store.read("home:1", END, 1)
    fill(store, "home:3", [3])
    assert store.read("home:2", END, 1) is None
    assert store.read("home:1", END, 1)
    assert store.read("home:3", END, 1)


def test_memory_keeps_no_references_of_lost_ids():
    store = MemoryTimelineStore(10, 1000)
    fill(store, "home:1", [1, 2, 3], of={1: 8, 3: 9, 4: 7})
    assert store._entries["home:1"].of == {1: 8, 3: 9}
    store.remove("home:1", [1])
    assert store._entries["home:1"].of == {3: 9}
    for id_ in range(10, 40):
        store.add(["home:1"], id_, 5)
        store.add(["home:1"], 2, 5)
    assert list(store._entries["home:1"].of) == list(range(30, 40))
    store.truncate(35)
    assert list(store._entries["home:1"].of) == list(range(35, 40))


def test_memory_evicts_least_recently_read_tweets():
    cache = MemoryTweetCache(2)
    cache.fill(cache.guard([1, 2]), {1: tweet(1), 2: tweet(2)})
    assert cache.get_many([1])
    cache.fill(cache.guard([3]), {3: tweet(3)})
    assert set(cache.get_many([1, 2, 3])) == {1, 3}


# tweets as bytes


def test_a_tweet_of_any_other_version_is_unreadable():
    fields: list[tuple[str, Any]] = [("id", int), ("user_id", int), ("message", str)]
    others: list[list[Any]] = [
        [*fields, ("likes", int, 0)],
        fields[:-1],
        [fields[1], fields[0], fields[2]],
        [("id", int), ("user", int), ("message", str)],
        [("id", int), ("user_id", int), ("message", str | None)],
    ]
    versions = [tweets.version_of(msgspec.defstruct("View", each, array_like=True)) for each in [fields, *others]]
    assert len(set(versions)) == len(versions)
    assert tweets.version_of(msgspec.defstruct("Other", fields, array_like=True)) == versions[0]


def test_any_cached_bytes_raise_no_error_and_show_no_wrong_tweet():
    @given(st.binary(max_size=60) | st.binary(max_size=60).map(lambda data: tweets.VERSION + data))
    @settings(max_examples=500, deadline=None)
    def check(data):
        found = tweets.unpack([(1, data)])
        assert found.tweets.keys() | found.damaged.keys() <= {1}
        assert all(view is None or view.id == 1 for view in found.tweets.values())

    check()


def test_damage_is_counted_and_logged_once_a_minute(caplog, monkeypatch):
    clock = [100.0]
    monkeypatch.setattr(metrics, "monotonic", lambda: clock[0])
    monkeypatch.setattr(metrics, "_reported", {})

    def counted():
        return REGISTRY.get_sample_value("tweeter_store_damaged_values_total", {"backend": "here"}) or 0

    before = counted()
    for _ in range(5):
        metrics.count_damaged("here", {"home:1": "no timeline", "tweet 7": "undecodable"})
    assert counted() == before + 10
    assert [record.getMessage() for record in caplog.records] == [
        "here: damaged values were dropped, and will be filled again from SQL: 2, the latest home:1 (no timeline)"
    ]
    clock[0] += 61
    metrics.count_damaged("here", {"home:2": "no timeline"})
    assert "9, the latest home:2" in caplog.records[-1].getMessage()
    metrics.count_damaged("here", {})
    assert len(caplog.records) == 2
