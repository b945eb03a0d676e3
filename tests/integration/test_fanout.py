"""A fan-out during follows and unfollows, in stretches and chunks, to memory and Redis."""

from array import array

import pytest
from sqlalchemy import delete, insert, update

from tests.thirdparty.friends import Friends
from tweeter.backends.memory import MemoryTimelineStore, MemoryTweetCache
from tweeter.backends.redis.store import RedisTimelineStore
from tweeter.backends.redis.url import open_url
from tweeter.backends.redis.wire import Wire
from tweeter.delivery.lease import LostLease
from tweeter.models import Hidden, List, ListMember, Relationship, Tweet, User
from tweeter.models.base import now
from tweeter.timelines import followers, projector, streams
from tweeter.timelines.hydrate import Hydrator
from tweeter.timelines.kinds import built_in_kinds
from tweeter.timelines.projector import Projector
from tweeter.values import AccountClosed, AuthorHidden, Cursor, ProfileChanged, TweetCreated, Unfollowed

AUTHOR = 1
FANS = [2, 3, 5, 8, 9, 10, 11, 99, 100, 101, 1000, 2**40]  # keys of several lengths
OTHERS = [4, 2**40 + 1]
TWEET = 7


@pytest.fixture
def crowd(sessions):
    with sessions.begin() as session:
        session.execute(
            insert(User),
            [{"id": n, "username": f"u{n}", "username_key": f"u{n}", "display_name": "x"} for n in [1, *FANS, *OTHERS]],
        )
        session.execute(insert(Relationship), [{"from_user_id": fan, "to_user_id": AUTHOR} for fan in FANS])
        session.execute(insert(Relationship), [{"from_user_id": other, "to_user_id": 2} for other in OTHERS])
        session.execute(insert(Tweet), [{"id": TWEET, "user_id": AUTHOR, "message": "x", "date": now()}])
    return sessions


@pytest.fixture(params=["memory", "redis"])
def store(request, database_url):
    if request.param == "memory":
        return MemoryTimelineStore(10, 1000)
    url = request.getfixturevalue("redis_server").url
    wire = Wire(open_url(url, 1), 1, f"{database_url[-30:]}:")
    wire.set_site("s")
    return RedisTimelineStore(wire, 10)


@pytest.fixture(params=[0, 60])
def small(request):
    """The limit of few followers: with 0 every fan-out is a stream."""
    return request.param


@pytest.fixture
def fan_out(store, crowd, small, monkeypatch):
    """Over warm timelines, in stretches of four followers, three per chunk."""
    for module, name, value in ((streams, "STRETCH", 4), (streams, "CHUNK", 3), (projector, "SMALL", small)):
        monkeypatch.setattr(module, name, value)
    warm(store, FANS + OTHERS)
    return Projector(store, Hydrator("test", MemoryTweetCache(100), crowd), crowd, built_in_kinds())


def unfollow(session, fan):
    session.execute(delete(Relationship).where(Relationship.from_user_id == fan))


def mute(session, fan):
    session.execute(insert(Hidden).values(viewer_id=fan, author_id=AUTHOR))


@pytest.fixture(params=[unfollow, mute])
def leave(request):
    """`leave(session, fan)`: the fan is not a follower any more, or does not see the author."""
    return request.param


def warm(store, users, kind="home"):
    for user in users:
        key = f"{kind}:{user}"
        store.backfill(key, store.begin_backfill(key), [], 0)


def held(store, user, kind="home"):
    found = store.read(f"{kind}:{user}", Cursor().before, 10)
    return None if found is None else found.ids


def test_an_author_on_many_lists_is_fanned_out_in_parts(fan_out, store, crowd):
    lists = range(1, 8)
    with crowd.begin() as session:
        session.execute(insert(List), [{"id": each, "user_id": 2, "name": "x"} for each in lists])
        session.execute(insert(ListMember), [{"list_id": each, "user_id": AUTHOR} for each in lists])
    warm(store, lists, "list")
    written = set()  # how many lists had the tweet when the lease was proven
    fan_out.begin(lambda: written.add(sum(held(store, each, "list") == [TWEET] for each in lists)))
    list(fan_out.deliver(TweetCreated(TWEET, AUTHOR)))
    assert written == {0, 3, 6, 7}


@pytest.mark.parametrize("limit", [1, 5, 12, 100])
def test_followers_are_ascending_distinct_and_complete(crowd, limit):
    last, found = 0, []
    with crowd() as session:
        while ids := followers.after(session, AUTHOR, last, limit):
            assert isinstance(ids, array)
            assert len(ids) <= limit
            found += ids
            last = ids[-1]
        assert found == FANS
        assert list(followers.between(session, AUTHOR, 3, 99)) == [3, 5, 8, 9, 10, 11, 99]
        assert list(followers.between(session, AUTHOR, 12, 98)) == []


@pytest.mark.parametrize("limit", [1, 5, 12, 100])
def test_followers_from_whom_the_author_is_hidden_are_left_out(crowd, limit):
    with crowd.begin() as session:
        session.execute(insert(Hidden), [{"viewer_id": fan, "author_id": AUTHOR} for fan in (2, 10, 4, 2**40)])
        session.execute(insert(Hidden), [{"viewer_id": 3, "author_id": 2}, {"viewer_id": AUTHOR, "author_id": 3}])
    rest = [fan for fan in FANS if fan not in (2, 10, 2**40)]
    last, found = 0, []
    with crowd() as session:
        while ids := followers.after(session, AUTHOR, last, limit):
            found += ids
            last = ids[-1]
        assert found == rest
        assert list(followers.between(session, AUTHOR, 3, 99)) == [3, 5, 8, 9, 11, 99]
        assert followers.nth(session, AUTHOR, 0, 3) == rest[3]
        each = followers.of_each(session, [AUTHOR, 2], limit)
        assert {author: list(ids) for author, ids in each.items()} == {AUTHOR: rest[:limit], 2: OTHERS[:limit]}


def test_only_followers_get_the_tweet(fan_out, store, small):
    steps = list(fan_out.deliver(TweetCreated(TWEET, AUTHOR)))
    assert [held(store, fan) for fan in FANS] == [[TWEET]] * len(FANS)
    assert [held(store, other) for other in OTHERS] == [[], []]
    assert len(steps) == (0 if small else 6)  # other streams ran in between


def test_followers_get_the_tweet_in_every_kind_to_followers(fan_out, store):
    fan_out.kinds["friends"] = Friends()
    warm(store, FANS + OTHERS, "friends")
    list(fan_out.deliver(TweetCreated(TWEET, AUTHOR)))
    for kind in ("home", "friends"):
        assert [held(store, fan, kind) for fan in FANS] == [[TWEET]] * len(FANS)
        assert [held(store, other, kind) for other in OTHERS] == [[], []]


def test_abandoned_fan_out_drops_former_followers_in_every_kind(fan_out, store, crowd, leave):
    fan_out.kinds["friends"] = Friends()
    warm(store, FANS, "friends")
    stream = fan_out.stream(TweetCreated(TWEET, AUTHOR), 0)
    stream.step()
    stream.step()  # three followers of a stretch of four, which was not read again
    with crowd.begin() as session:
        leave(session, 8)
    stream.close()
    for kind in ("home", "friends"):
        assert held(store, 8, kind) is None
        assert held(store, 2, kind) == [TWEET]


def test_lease_is_proven_before_the_write_to_each_kind(fan_out, store):
    """The process may have been stopped since it wrote to the timelines of the first kind."""
    fan_out.kinds["friends"] = Friends()
    warm(store, FANS, "friends")
    proofs = []

    def guard():
        proofs.append(held(store, FANS[-1]))
        if proofs[-1] == [TWEET]:  # all timelines of one kind are written
            raise LostLease("stopped")

    fan_out.begin(guard)
    with pytest.raises(LostLease):
        for _ in iter(fan_out.stream(TweetCreated(TWEET, AUTHOR), 0).step, False):
            pass
    assert len(proofs) > 4
    assert held(store, FANS[-1], "friends") == []


def test_follows_and_unfollows_during_a_fan_out(fan_out, store, crowd, leave, small, monkeypatch):
    """Former followers have cold timelines; new and remaining followers keep theirs."""
    begun = []

    def meanwhile():
        """After the followers are read and before the first write, of the batch or of the first chunk of a stream."""
        begun.append(1)
        if len(begun) == (3 if small else 4):
            with crowd.begin() as session:
                leave(session, 3)
                session.execute(insert(Relationship).values(from_user_id=4, to_user_id=AUTHOR))
            store.drop(["home:3", "home:4"])
            warm(store, [3, 4])

    monkeypatch.setattr(fan_out, "guard", meanwhile)
    list(fan_out.deliver(TweetCreated(TWEET, AUTHOR)))
    assert len(begun) >= 2
    assert held(store, 3) is None
    assert held(store, 4) == ([TWEET] if small else [])
    assert all(held(store, fan) == [TWEET] for fan in FANS if fan != 3)


def test_followers_changed_since_the_last_tweet(fan_out, store, crowd, leave):
    """The followers of the last tweet are cached, and read again after the write."""
    list(fan_out.deliver(TweetCreated(TWEET, AUTHOR)))
    with crowd.begin() as session:
        session.execute(insert(Tweet).values(id=TWEET + 1, user_id=AUTHOR, message="x", date=now()))
        leave(session, 3)
        leave(session, 1000)
        session.execute(insert(Relationship).values(from_user_id=4, to_user_id=AUTHOR))
    store.drop(["home:3", "home:4", "home:1000"])
    warm(store, [3, 4])
    list(fan_out.deliver(TweetCreated(TWEET + 1, AUTHOR)))
    assert held(store, 3) in (None, [])
    assert held(store, 4) == [TWEET + 1]
    assert held(store, 1000) is None
    assert all(held(store, fan) == [TWEET + 1, TWEET] for fan in FANS if fan not in (3, 1000))


def test_former_follower_is_not_written_to_again(fan_out, store, crowd, leave, small, monkeypatch):
    """Not even temporarily: the page would show the tweet."""
    list(fan_out.deliver(TweetCreated(TWEET, AUTHOR)))
    with crowd.begin() as session:
        session.execute(insert(Tweet).values(id=TWEET + 1, user_id=AUTHOR, message="x", date=now()))
        leave(session, 3)
    list(fan_out.deliver(Unfollowed(3, AUTHOR) if leave is unfollow else AuthorHidden(3, AUTHOR)))
    warm(store, [3])
    list(fan_out.deliver(TweetCreated(TWEET + 1, AUTHOR)))
    assert held(store, 3) == []


def test_author_gains_and_loses_many_followers(fan_out, store, crowd, monkeypatch):
    list(fan_out.deliver(TweetCreated(TWEET, AUTHOR)))
    for tweet, few in ((TWEET + 1, len(FANS) - 1), (TWEET + 2, len(FANS))):
        monkeypatch.setattr(projector, "SMALL", few)
        with crowd.begin() as session:
            session.execute(insert(Tweet).values(id=tweet, user_id=AUTHOR, message="x", date=now()))
        list(fan_out.deliver(TweetCreated(tweet, AUTHOR)))
        warm_now = [held(store, fan) for fan in FANS if held(store, fan) is not None]
        assert all(ids[0] == tweet for ids in warm_now)


class Cache(MemoryTweetCache):
    """A cache that records the number of ids per call."""

    def __init__(self, most):
        super().__init__(most)
        self.told = []

    def invalidate(self, ids):
        ids = list(ids)
        self.told.append(len(ids))
        super().invalidate(ids)


@pytest.mark.parametrize("event", [ProfileChanged(AUTHOR), AccountClosed(AUTHOR)])
@pytest.mark.parametrize("number", [0, 1, 3, 6, 7, 30])
def test_tweets_of_an_author_are_invalidated_in_chunks(store, crowd, monkeypatch, event, number):
    monkeypatch.setattr(streams, "CHUNK", 3)
    theirs = [100 + 2 * n for n in range(number)]
    replies = [id_ + 1 for id_ in theirs]
    with crowd.begin() as session:
        row = {"message": "x", "date": now()}
        session.execute(delete(Tweet))
        for id_ in theirs:
            session.execute(insert(Tweet).values(id=id_, user_id=AUTHOR, **row))
            session.execute(insert(Tweet).values(id=id_ + 1, user_id=2, parent_id=id_, **row))
        session.execute(insert(Tweet).values(id=5, user_id=2, **row))
        if isinstance(event, AccountClosed):
            session.execute(update(User).where(User.id == AUTHOR).values(closed=True))
    cache = Cache(1000)
    hydrator = Hydrator("test", cache, crowd)
    hydrator.tweets([5, *theirs, *replies])
    steps = sum(1 for _ in Projector(store, hydrator, crowd, built_in_kinds()).deliver(event))
    kept = cache.get_many([5, *theirs, *replies])
    assert not set(kept) & set(theirs)
    if isinstance(event, AccountClosed):
        assert not set(kept) & set(replies)
        assert all(view is None for view in hydrator.tweets(theirs).values())
        assert all(view and view.parent_username is None for view in hydrator.tweets(replies).values())
    assert max(cache.told, default=0) <= 3
    assert steps >= -(-number // 3)
    assert 5 in kept
