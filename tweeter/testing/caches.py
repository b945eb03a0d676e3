"""Contract tests for ITweetCache."""

from collections.abc import Callable

import pytest
from zope.interface.verify import verifyObject

from tweeter.ids import MAX_ID
from tweeter.interfaces import ITweetCache
from tweeter.testing.damage import DamagedTweets
from tweeter.values import TweetView


def tweet(id_: int, message: str = "Grüße, 世界 👩‍👩‍👧\n\x00", name: str = "Ann") -> TweetView:
    """A tweet with characters that are hard to encode."""
    return TweetView(id_, MAX_ID, "ann", name, message, 1_341_100_972_123, id_ - 1 if id_ > 1 else None, None)


class TweetCacheSuite(DamagedTweets):
    """Requires a fixture `make_cache`: `make_cache()` returns an empty cache with its site's id; and `damages`, as in
    DamagedTweets. Set `private = True` if the cache lives in one process.
    """

    private = False

    @pytest.fixture
    def cache(self, make_cache: Callable[[], ITweetCache]) -> ITweetCache:
        return make_cache()

    def test_provides_the_interface(self, cache):
        verifyObject(ITweetCache, cache)

    def test_misses_are_omitted(self, cache):
        assert cache.get_many([1, 2]) == {}
        assert cache.get_many([]) == {}

    def test_filled_tweets_come_back_unchanged(self, cache):
        tweets = {id_: tweet(id_) for id_ in (1, 2, MAX_ID)}
        cache.fill(cache.guard(tweets), tweets)
        assert cache.get_many([MAX_ID, 1, 2, 3]) == tweets

    def test_a_tombstone_is_a_hit(self, cache):
        cache.fill(cache.guard([1]), {1: None})
        assert cache.get_many([1]) == {1: None}

    def test_a_leased_tweet_is_a_miss(self, cache):
        cache.guard([1])
        assert cache.get_many([1]) == {}

    def test_an_invalidated_tweet_is_a_miss(self, cache):
        cache.fill(cache.guard([1, 2]), {1: tweet(1), 2: None})
        cache.invalidate([1, 2, 3])
        assert cache.get_many([1, 2, 3]) == {}

    def test_a_fill_omits_tweets_invalidated_since_its_lease(self, cache):
        guard = cache.guard([1, 2])
        cache.invalidate([1])
        cache.fill(guard, {1: tweet(1), 2: tweet(2)})
        assert cache.get_many([1, 2]) == {2: tweet(2)}

    def test_an_older_lease_does_not_overwrite_what_a_newer_one_filled(self, cache):
        old = cache.guard([1])
        cache.invalidate([1])
        new = cache.guard([1])
        cache.fill(new, {1: tweet(1, name="Ann, renamed")})
        cache.fill(old, {1: tweet(1, name="Ann")})
        assert cache.get_many([1]) == {1: tweet(1, name="Ann, renamed")}

    def test_an_older_lease_does_nothing_beside_a_newer_one(self, cache):
        old = cache.guard([1])
        cache.invalidate([1])
        new = cache.guard([1])
        cache.fill(old, {1: tweet(1, name="Ann")})
        assert cache.get_many([1]) == {}
        cache.fill(new, {1: None})
        assert cache.get_many([1]) == {1: None}

    def test_clearing_removes_tweets_and_leases(self, cache):
        cache.fill(cache.guard([1]), {1: tweet(1)})
        guard = cache.guard([2])
        cache.clear()
        cache.fill(guard, {2: tweet(2)})
        assert cache.get_many([1, 2]) == {}

    def test_another_site_with_the_same_settings_has_tweets_of_its_own(self, cache):
        cache.set_site("one")
        cache.fill(cache.guard([1, 2]), {1: tweet(1), 2: tweet(2)})
        guard = cache.guard([3])
        cache.set_site("other")
        if self.private:
            assert cache.get_many([1]) == {1: tweet(1)}
            return
        assert cache.get_many([1, 2, 3]) == {}
        theirs = tweet(1, name="Another Ann")
        cache.fill(cache.guard([1, 2]), {1: theirs, 2: None})
        cache.set_site("one")
        cache.invalidate([2])
        assert cache.get_many([1, 2]) == {1: tweet(1)}
        cache.set_site("other")
        assert cache.get_many([1, 2]) == {1: theirs, 2: None}
        cache.clear()
        cache.set_site("one")
        cache.fill(guard, {3: tweet(3)})
        assert cache.get_many([1, 2, 3]) == {1: tweet(1), 3: tweet(3)}

    def test_many_at_a_time(self, cache):
        tweets = {id_: tweet(id_) for id_ in range(1, 501)}
        cache.fill(cache.guard(tweets), tweets)
        assert cache.get_many(range(1, 601)) == tweets
