"""Bugs reported for other timeline systems, each as a test for Tweeter.

The numbers are those of the list of hard cases, collected from the issues of Mastodon, Misskey, Takahe,
GoToSocial, Stream-Framework, Redis and Nydus.
"""

from contextlib import closing, suppress
from datetime import timedelta

import pytest
from sqlalchemy import func, insert, select
from zope.interface import directlyProvides, providedBy

from tweeter import ids, measure
from tweeter.backends.memcached.cache import MemcachedTweetCache
from tweeter.backends.memcached.client import Servers
from tweeter.backends.memcached.epoch import Epoch
from tweeter.backends.memcached.store import MemcachedTimelineStore
from tweeter.backends.memory import MemoryTimelineStore, MemoryTweetCache
from tweeter.backends.redis.cache import RedisTweetCache
from tweeter.backends.redis.store import RedisTimelineStore
from tweeter.backends.redis.url import open_url
from tweeter.backends.redis.wire import Wire
from tweeter.devtools.servers import Memcached
from tweeter.errors import BackendUnavailable, Refused
from tweeter.models import Relationship, Tweet, User
from tweeter.testing import Process, Site
from tweeter.timelines import projector, streams
from tweeter.timelines.kinds import built_in_kinds
from tweeter.timelines.pull import PullTimelines
from tweeter.timelines.push import PushTimelines
from tweeter.values import (
    NOTHING,
    AccountClosed,
    Cursor,
    Followed,
    ProfileChanged,
    Slice,
    Timeline,
    Truncated,
    TweetCreated,
    TweetsDeleted,
    Unfollowed,
)

pytestmark = pytest.mark.slow
CAPACITY = 5
TIMEOUT = 1.0
PUBLIC = Timeline("public")


class Watched:
    """A store that can run code right before a step, or fail."""

    def __init__(self, store):
        self._store = store
        self.before = {}
        self.broken = False
        directlyProvides(self, providedBy(store))

    def __getattr__(self, name):
        return getattr(self._store, name)

    def _happen(self, step):
        if self.broken:
            raise BackendUnavailable("broken")
        if hook := self.before.pop(step, None):
            hook()

    def read(self, key, before, limit):
        self._happen("read")
        return self._store.read(key, before, limit)

    def backfill(self, key, token, ids, floor, of=NOTHING):
        self._happen("fill")
        return self._store.backfill(key, token, ids, floor, of)

    def add(self, keys, id, of=0):
        self._happen("add to followers" if all(key.startswith("home:") for key in keys) else "add")
        self._store.add(keys, id, of)

    def add_batch(self, ids_by_key, of=NOTHING):
        self._happen("add to followers")
        self._store.add_batch(ids_by_key, of)

    def add_to_each(self, kind, chunks, id, of=0):
        def watched():
            for chunk in chunks:  # read from SQL, and not written yet
                self._happen("add to followers")
                yield chunk

        return self._store.add_to_each(kind, watched(), id, of)


def in_memory():
    return Watched(MemoryTimelineStore(CAPACITY, 1000)), MemoryTweetCache(1000)


def in_redis(server):
    wire = Wire(open_url(server.url, TIMEOUT), TIMEOUT, "hard:")
    wire.set_site("s")
    wire.unlink_all("hard:")
    return Watched(RedisTimelineStore(wire, CAPACITY)), RedisTweetCache(wire)


def in_memcached(server):
    servers = Servers([(server.host, server.port)], "hard:", TIMEOUT)
    servers.set_site("hard")
    servers.run_id()  # gives the server an epoch, if it has none
    servers.change(Epoch.renewed)
    return Watched(MemcachedTimelineStore(servers, CAPACITY)), MemcachedTweetCache(servers)


@pytest.fixture(params=["memory on sqlite", "memory on postgresql", "redis on sqlite", "memcached on postgresql"])
def places(request):
    """The kinds of the store and of the database."""
    return request.param.split(" on ")


@pytest.fixture
def database_url(request, places):
    return request.getfixturevalue(f"{places[1]}_url")


@pytest.fixture
def store_and_cache(request, places):
    match places[0]:
        case "redis":
            return in_redis(request.getfixturevalue("redis_server"))
        case "memcached":
            return in_memcached(request.getfixturevalue("memcached_server"))
    return in_memory()


@pytest.fixture
def store(store_and_cache):
    return store_and_cache[0]


def over(store, cache, sessions):
    """Timelines that accept a store of any age: the test delivers by hand."""
    push = PushTimelines("watched", store, cache, sessions, built_in_kinds(), CAPACITY)
    push.circuit.succeeded()
    return push


@pytest.fixture
def push(store_and_cache, sessions):
    store, cache = store_and_cache
    return over(store, cache, sessions)


@pytest.fixture
def pull(sessions):
    return PullTimelines("sql", sessions, built_in_kinds())


@pytest.fixture
def ann(acting):
    with acting() as actions:
        return actions.sign_up("ann", "password").id


@pytest.fixture
def bob(acting, ann):
    with acting() as actions:
        bob = actions.sign_up("bob", "password").id
        actions.follow(ann, "bob")
        return bob


@pytest.fixture
def post(acting):
    def post(user, count=1):
        posted = []
        for _ in range(count):
            with acting() as actions:
                posted.append(actions.post(user, "hello").id)
        return posted if count > 1 else posted[0]

    return post


def deliver(push, event):
    for _ in push.projector.deliver(event):
        pass


def shown(timelines, timeline, limit=3):
    """The ids of all pages; each page but the last must be full."""
    result, cursor = [], Cursor(limit=limit)
    while True:
        page = timelines.page(timeline, cursor)
        result += [tweet.id for tweet in page.tweets]
        if page.older is None:
            return result
        assert len(page.tweets) == limit
        cursor = cursor._replace(before=page.older)


def test_1_neighbouring_ids_are_paged_without_a_gap(push, pull, sessions, ann):
    """redis#9758, Stream-Framework#66: as floating-point scores, adjacent large ids are equal."""
    first = ids.MAX_ID - 12
    with sessions() as session:
        session.execute(
            insert(Tweet),
            [
                {"id": first + n, "user_id": ann, "message": "x", "date": ids.date_of(first + n), "parent_id": None}
                for n in range(12)
            ],
        )
        session.commit()
    expected = [first + n for n in range(11, -1, -1)]
    assert shown(pull, Timeline("home", ann)) == expected
    assert shown(push, Timeline("home", ann)) == expected


def test_2_tweets_posted_under_another_backend_appear_after_switching_back(database_url):
    """misskey#17547: posts from while fan-out was disabled were missing from all timelines."""
    with closing(Site(database_url, ["memory"])) as site:
        with site.processes[0].acting() as actions:
            ann = actions.sign_up("ann", "password").id
        site.model.names[ann] = site.model.usernames[ann] = "ann"
        for backend in ("memory", "sql", "memory"):
            site.restart(0, backend)
            for _ in range(3):
                with site.processes[0].acting() as actions:
                    site.model.tweets[actions.post(ann, "hello").id] = (ann, "hello", None)
            assert site.differences() == []
        assert len(site.model.tweets) == 9


def test_3_a_tweet_delivered_late_does_not_fall_into_a_gap(push, pull, ann, bob, post):
    """misskey#17549: ids that arrive below the trimmed range were never read."""
    posted = post(bob, 4)
    assert len(shown(push, Timeline("home", ann))) == 4
    late = post(bob, 6)
    for tweet in reversed(late):  # the newest first, as retries and several workers may
        deliver(push, TweetCreated(tweet, bob))
    assert shown(push, Timeline("home", ann)) == shown(pull, Timeline("home", ann)) == [*late[::-1], *posted[::-1]]


def test_5_fallback_serves_the_same_page(push, pull, store, ann, bob, post):
    """misskey#12065, mastodon#6251: the path without the cache filtered differently."""
    post(bob, 4)
    post(ann, 4)
    good = shown(push, Timeline("home", ann))
    store.broken = True
    assert shown(push, Timeline("home", ann)) == good == shown(pull, Timeline("home", ann))


def test_6_paging_continues_below_the_floor(push, ann, bob, post):
    """mastodon#18908, #20173, #12389: timelines ended at 400 entries; Stream-Framework#137."""
    posted = post(bob, CAPACITY * 4)
    for limit in (1, 3, CAPACITY, CAPACITY + 1, 100):
        assert shown(push, Timeline("home", ann), limit) == posted[::-1]


def test_7_returning_user_gets_a_full_page(push, store, ann, bob, post):
    """mastodon#2619, #5634, #6331, #4056: an empty home timeline looked permanent."""
    posted = post(bob, 4)
    for tweet in posted:
        deliver(push, TweetCreated(tweet, bob))  # no write: the timeline is cold
    assert store.read(f"home:{ann}", Cursor().before, 20) is None
    assert shown(push, Timeline("home", ann)) == posted[::-1]
    store.clear()
    assert shown(push, Timeline("home", ann)) == posted[::-1]


def test_8_backfill_of_a_cold_home_takes_few_queries_for_any_number_of_follows(push, sessions, ann, bob, post):
    """mastodon#12084, #33839: backfill by one query per followee took too long."""
    posted = post(bob, 3)
    statements = []
    for follows in (1, 300):
        with sessions() as session:
            users = [{"username": f"f{n}", "username_key": f"f{n}", "display_name": "f"} for n in range(follows - 1)]
            if users:
                session.execute(insert(User), users)
                followed = session.scalars(select(User.id).where(User.username.like("f%"))).all()
                session.execute(
                    insert(Relationship), [{"from_user_id": ann, "to_user_id": followee} for followee in followed]
                )
                session.commit()
        push.clear()
        with measure.measuring() as meter:
            assert [tweet.id for tweet in push.page(Timeline("home", ann), Cursor()).tweets] == posted[::-1]
        statements.append(meter.sql)
    assert max(statements) <= 6  # the number of followees, a sample, one or two plans, which are reposts, the tweets


def test_9_unfollow_during_the_fan_out_removes_the_tweets(push, store, acting, ann, bob, post):
    """mastodon#37238: an insert in flight arrived after the clean-up and stayed."""
    shown(push, Timeline("home", ann))
    tweet = post(bob)

    def unfollow_and_read_again():
        with acting() as actions:
            actions.unfollow(ann, "bob")
        deliver(push, Unfollowed(ann, bob))
        assert shown(push, Timeline("home", ann)) == []  # filled again, and now the fan-out writes

    store.before["add to followers"] = unfollow_and_read_again
    deliver(push, TweetCreated(tweet, bob))
    assert not store.before
    assert shown(push, Timeline("home", ann)) == []


def test_9_a_tweet_committed_during_a_fill_is_not_lost(push, store, ann, bob, post):
    shown(push, Timeline("home", bob))
    late = []

    def post_and_deliver():  # after the fill has read SQL
        late.append(post(bob))
        deliver(push, TweetCreated(late[0], bob))

    store.before["fill"] = post_and_deliver
    shown(push, Timeline("home", ann))
    assert shown(push, Timeline("home", ann)) == late


def test_9_follow_during_a_backfill_invalidates_it(push, store, acting, ann, post):
    with acting() as actions:
        carl = actions.sign_up("carl", "password").id
    tweet = post(carl)

    def follow():
        with acting() as actions:
            actions.follow(ann, "carl")
        deliver(push, Followed(ann, carl))

    store.before["fill"] = follow
    assert shown(push, Timeline("home", ann)) == []  # the result of the SQL query
    assert shown(push, Timeline("home", ann)) == [tweet]


def test_11_deleted_tweets_leave_no_hole(push, pull, store, acting, ann, bob, post):
    """mastodon#21236, Tusky#494: short and empty pages made clients stop paging."""
    posted = post(bob, CAPACITY)
    shown(push, Timeline("home", ann))
    for tweet in posted[1:]:
        with acting() as actions:
            actions.delete(bob, tweet)
        deliver(push, TweetsDeleted((tweet,), bob))
    assert shown(push, Timeline("home", ann), 1) == posted[:1]
    assert (
        store.read(f"home:{ann}", Cursor().before, 20).ids == posted[:1]
    )  # read repair: the next read does not find them


def test_12_a_closed_account_leaves_no_timeline_behind(push, store, acting, ann, bob, post):
    """mastodon#33065, #5428: feeds of removed accounts filled the memory."""
    post(bob)
    shown(push, Timeline("home", bob))
    shown(push, Timeline("profile", bob))
    with acting() as actions:
        actions.close_account(bob)
    deliver(push, AccountClosed(bob))
    assert push.peek(Timeline("home", bob)) is push.peek(Timeline("profile", bob)) is None


def test_13_a_fan_out_costs_round_trips_by_the_chunk_not_by_the_follower(push, store, sessions, ann, bob, post):
    """Stream-Framework: the batch argument was ignored, so 100 followers took 100 round trips."""
    with sessions() as session:
        session.execute(
            insert(User),
            [{"username": f"f{n}", "username_key": f"f{n}", "display_name": "f"} for n in range(2500)],
        )
        fans = session.scalars(select(User.id).where(User.username.like("f%"))).all()
        session.execute(insert(Relationship), [{"from_user_id": fan, "to_user_id": bob} for fan in fans])
        session.commit()
    tweet = post(bob)
    store.read = None  # no timeline is read
    with measure.measuring() as meter:
        deliver(push, TweetCreated(tweet, bob))
    assert meter.round_trips < 20  # three chunks of followers, a few for each


def test_13_fan_out_ends_if_the_tweet_is_deleted(push, store, acting, ann, bob, post, monkeypatch):
    tweet = post(bob)
    with acting() as actions:
        actions.delete(bob, tweet)
    calls = []
    monkeypatch.setattr(projector, "SMALL", 0)
    store.add_to_each = lambda *args: calls.append(args)
    deliver(push, TweetCreated(tweet, bob))
    assert calls == []
    for timeline in (Timeline("public"), Timeline("profile", bob), Timeline("home", bob), Timeline("home", ann)):
        assert tweet not in [view.id for view in push.page(timeline, Cursor()).tweets]


def test_14_other_servers_are_another_store_and_the_old_one_returns_without_gaps(sqlite_url, memcached_server):
    """nydus#34 and the talk: with an added server, keys were read from the wrong one."""
    with closing(Memcached()) as second:
        second.start()
        both = f"{memcached_server.address} {second.address}"
        posted = []
        for servers in (memcached_server.address, both, memcached_server.address, both):
            settings = {"tweeter.memcached.servers": servers, "tweeter.memcached.prefix": f"14-{second.port}"}
            with closing(Process(sqlite_url, "memcached", **settings)) as process:
                if not posted:
                    with process.acting() as actions:
                        ann = actions.sign_up("ann", "password").id
                for _ in range(3):
                    with process.acting() as actions:
                        posted.append(actions.post(ann, "hello").id)
                    assert [tweet.id for tweet in process.page(Timeline("home", ann), Cursor()).tweets] == posted[::-1]


def test_15_new_tweets_during_paging_neither_repeat_nor_skip(push, pull, ann, bob, post):
    """takahe#505, mastodon-ios#1417."""
    for timelines in (push, pull):
        post(bob, 6)
        expected = shown(pull, Timeline("home", ann))[:6]
        push.clear()
        first = timelines.page(Timeline("home", ann), Cursor(limit=3))
        deliver(push, TweetCreated(post(bob), bob))
        second = timelines.page(Timeline("home", ann), Cursor(before=first.older, limit=3))
        assert [tweet.id for page in (first, second) for tweet in page.tweets] == expected


def test_15_newer_than_is_the_newest_that_came_since(push, pull, ann, bob, post):
    """mastodon#5819: the meaning of since_id."""
    posted = post(bob, CAPACITY * 2)
    shown(push, Timeline("home", ann))
    for timelines in (pull, push):
        for since in (0, *posted):
            newer = timelines.page(Timeline("home", ann), Cursor(after=since, limit=4))
            expected = [tweet for tweet in posted[::-1] if tweet > since]
            assert [tweet.id for tweet in newer.tweets] == expected[:4]
            assert (newer.older is None) == (len(expected) <= 4)


def test_16_counters_match_the_rows_and_are_never_negative(acting, sessions, ann, bob, post):
    """mastodon#8711, #6113, #26409: counters drifted; #11597 is a tool that recounts."""
    posted = post(bob, 3)
    for _ in range(2):
        with acting() as actions:
            actions.unfollow(ann, "bob")
        for tweet in posted[:2]:
            with suppress(Refused), acting() as actions:
                actions.delete(bob, tweet)
    with sessions() as session:
        for user in session.scalars(select(User)):
            for counter, column, key in (
                (user.tweets_count, Tweet.user_id, Tweet.id),
                (user.followers_count, Relationship.to_user_id, Relationship.from_user_id),
                (user.following_count, Relationship.from_user_id, Relationship.to_user_id),
            ):
                assert counter == session.scalar(select(func.count(key)).where(column == user.id))
        assert session.get(User, bob).tweets_count == 1


def test_17_late_tweet_is_ordered_by_its_id(push, ann, bob, post):
    """takahe#435: ordering by arrival differs between machines."""
    posted = post(bob, 3)
    shown(push, Timeline("home", ann))
    deliver(push, TweetCreated(posted[1], bob))
    deliver(push, TweetCreated(posted[1], bob))
    assert shown(push, Timeline("home", ann)) == posted[::-1]


# bugs in the code of the talk


def test_talk_tweets_of_one_second_are_in_order(push, pull, acting, ann, bob):
    """Its scores have a resolution of one second, and ties are sorted as text."""
    posted = []
    with acting() as actions:
        for number in range(12):
            posted.append(actions.post(bob, str(number)).id)
    assert ids.date_of(posted[-1]) - ids.date_of(posted[0]) < timedelta(seconds=1)
    for timelines in (pull, push):
        for limit in (1, 5, 20):
            assert shown(timelines, Timeline("home", ann), limit) == posted[::-1]


def test_talk_pages_have_the_requested_size_and_continue(push, pull, ann, bob, post):
    """Its `zrevrange(key, offset, limit)` confuses the last index with a count: 101 rows, then one or none."""
    posted = post(bob, 12)[::-1]
    for timelines in (pull, push):
        for limit in (1, 4, 11, 12):
            first = timelines.page(Timeline("home", ann), Cursor(limit=limit))
            assert [tweet.id for tweet in first.tweets] == posted[:limit]
            second = timelines.page(Timeline("home", ann), Cursor(before=first.tweets[-1].id, limit=limit))
            assert [tweet.id for tweet in second.tweets] == posted[limit : 2 * limit]


def test_talk_truncation_removes_old_ids(push, ann, bob, post):
    """Its `zremrangebyscore(key, d30, -1)` deletes nothing."""
    posted = post(bob, CAPACITY)
    timelines = (Timeline("public"), Timeline("home", ann), Timeline("profile", bob))
    for timeline in timelines:
        shown(push, timeline)
    deliver(push, Truncated(posted[3]))
    for timeline in timelines:
        assert push.peek(timeline) == Slice(posted[:2:-1], posted[3])
        assert shown(push, timeline) == posted[::-1]  # SQL serves the rest


def test_talk_ids_are_numbers_from_every_source(push, pull, ann, bob, post):
    """It looks up the strings of Redis among numbers and finds none, so every page is empty."""
    posted = post(bob, 3)
    for _ in ("cold", "warm"):
        page = push.page(Timeline("home", ann), Cursor())
        assert page == pull.page(Timeline("home", ann), Cursor())
        assert [tweet.id for tweet in page.tweets] == posted[::-1]
        assert {type(tweet.id) for tweet in page.tweets} == {type(tweet.user_id) for tweet in page.tweets} == {int}


def test_talk_own_tweets_are_on_the_home_timeline(push, ann, bob, post):
    """It delivers only to followers, not to the author."""
    shown(push, Timeline("home", bob))
    tweet = post(bob)
    deliver(push, TweetCreated(tweet, bob))
    assert push.peek(Timeline("home", bob)).ids == [tweet]


def test_talk_a_tweet_deleted_in_the_middle_of_its_fan_out_ends_it(push, acting, sessions, ann, bob, post, monkeypatch):
    """Its fan-out never stops: 30 million followers get a deleted tweet."""
    for module, name, value in ((streams, "STRETCH", 1), (streams, "CHUNK", 1), (projector, "SMALL", 0)):
        monkeypatch.setattr(module, name, value)
    with acting() as actions:
        fans = [actions.sign_up(f"fan{number}", "password").id for number in range(12)]
        for fan in fans:
            actions.follow(fan, "bob")
    for fan in fans:
        shown(push, Timeline("home", fan))
    tweet = post(bob)
    steps = push.projector.deliver(TweetCreated(tweet, bob))
    next(steps)
    with acting() as actions:
        actions.delete(bob, tweet)
    deliver(push, TweetsDeleted((tweet,), bob))
    for _ in steps:
        pass
    assert push.peek(Timeline("home", fans[-1])).ids == []


# hydration and costs


def test_a_warm_home_page_is_two_round_trips_and_no_sql(push, ann, bob, post):
    post(bob, 3)
    shown(push, Timeline("home", ann))
    with measure.measuring() as meter:
        page = push.page(Timeline("home", ann), Cursor())
    assert len(page.tweets) == 3
    assert (meter.round_trips, meter.sql) == (2, 0)


def test_misses_of_the_cache_are_one_query(sessions, ann, bob, post):
    store, cache = in_memory()
    push = over(store, cache, sessions)
    posted = post(bob, CAPACITY)
    shown(push, Timeline("home", ann))
    cache.invalidate(posted[1:4])
    with measure.measuring() as meter:
        page = push.page(Timeline("home", ann), Cursor())
    assert [tweet.id for tweet in page.tweets] == posted[::-1]
    assert meter.sql == 1


def test_deleted_tweet_is_not_queried_on_every_read(sessions, acting, ann, bob, post):
    store, cache = in_memory()
    push = over(store, cache, sessions)
    posted = post(bob, 3)
    shown(push, Timeline("home", ann))
    with acting() as actions:
        actions.delete(bob, posted[1])
    deliver(push, TweetsDeleted((posted[1],), bob))
    store.remove = lambda key, ids, of: None  # even if read repair cannot remove it from the timeline
    shown(push, Timeline("home", ann))
    with measure.measuring() as meter:
        assert [tweet.id for tweet in push.page(Timeline("home", ann), Cursor()).tweets] == [posted[2], posted[0]]
    assert meter.sql == 0


def test_a_rename_while_the_cache_is_filled_is_not_overwritten(sessions, acting, ann, bob, post):
    class Cache(MemoryTweetCache):
        def fill(self, guard, tweets):
            if rename:
                rename.pop()()
            super().fill(guard, tweets)

    def change():
        with acting() as actions:
            actions.change_profile(bob, "Robert", "")
        deliver(push, ProfileChanged(bob))

    rename = []
    cache = Cache(1000)
    push = over(in_memory()[0], cache, sessions)
    post(bob)
    rename.append(change)
    push.page(Timeline("home", ann), Cursor())
    assert [tweet.display_name for tweet in push.page(Timeline("home", ann), Cursor()).tweets] == ["Robert"]
