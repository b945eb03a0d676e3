"""Ids and tweets of a page in one exchange with a single Redis server, and damage to either."""

import re
from contextlib import closing
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st
from redis import Redis as Client

from tests.contract.test_redis import wire_to
from tests.contract.test_redis_rights import EACH, allow
from tests.support import damages
from tweeter.backends.redis.cache import RedisTweetCache
from tweeter.backends.redis.lists import entry, newest, parse, parse_newest
from tweeter.backends.redis.store import RedisTimelineStore
from tweeter.devtools.servers import Redis
from tweeter.ids import MAX_ID
from tweeter.interfaces import IPageStore
from tweeter.measure import measuring
from tweeter.testing import Process
from tweeter.testing.caches import tweet
from tweeter.testing.stores import END, fill
from tweeter.values import Cursor, Slice, Timeline, referring

chance = Random(5)
NEWEST = list(range(29, 9, -1))


@pytest.fixture
def client(redis_server):
    with Client(port=redis_server.port) as client:
        client.flushall()
        yield client


def pages(url):
    """A store and a cache with 29 tweets."""
    wire = wire_to(url)
    cache = RedisTweetCache(wire)
    store = RedisTimelineStore(wire, 50, tweets=lambda: cache.prefix)
    tweets = {id_: tweet(id_) for id_ in range(1, 30)}
    fill(store, "home:1", list(tweets))
    cache.fill(cache.guard(tweets), tweets)
    return store, cache


def test_a_page_is_one_exchange(client, redis_server):
    store, _ = pages(redis_server.url)
    assert IPageStore.providedBy(store)
    store.set_checkpoint(b"checkpoint")
    with measuring() as meter:
        found, tweets, _ = store.read_page("home:1", 20)
    assert meter.round_trips == 1
    assert found == Slice(NEWEST, 0, b"checkpoint")
    assert tweets == {id_: tweet(id_) for id_ in NEWEST}


@pytest.mark.parametrize("again", [(5, 29, 3), (29, 28, 27, 26, 25), (4, 4, 4)])
def test_late_or_duplicate_ids(client, redis_server, again):
    store, _ = pages(redis_server.url)
    for id_ in again:
        store.add(["home:1"], id_)
    for limit in (1, 5, 20, 28, 29, 30, 100):
        found, tweets, _ = store.read_page("home:1", limit)
        assert found == store.read("home:1", END, limit)
        assert tweets.items() <= {id_: tweet(id_) for id_ in found.ids}.items()


def test_a_floor_ends_the_page(client, redis_server):
    store, _ = pages(redis_server.url)
    fill(store, "home:2", [20, 21, 22], 20)
    store.add(["home:2"], 5)
    for limit in (1, 2, 3, 4, 10):
        assert store.read_page("home:2", limit)[0] == store.read("home:2", END, limit)


def test_a_short_timeline_and_none(client, redis_server):
    store, _ = pages(redis_server.url)
    fill(store, "home:2", [7])
    assert store.read_page("home:2", 20) == (Slice([7], 0), {7: tweet(7)}, [])
    assert store.read_page("home:3", 20) == (None, {}, [])
    store.begin_backfill("home:3")
    assert store.read_page("home:3", 20) == (None, {}, [])


def test_a_page_with_reposts_takes_two_exchanges_and_has_the_whole_timeline(client, redis_server):
    store, cache = pages(redis_server.url)
    store.add(["home:1"], 40, 7)
    store.add(["home:1"], 39, MAX_ID)
    cache.fill(cache.guard([40, 7]), {40: tweet(40), 7: tweet(7)})
    with measuring() as meter:
        found, tweets, _ = store.read_page("home:1", 5)
    assert meter.round_trips == 2
    assert found == Slice([40, 39, *range(29, 0, -1)], 0, None, {40: 7, 39: MAX_ID})
    assert tweets == {id_: tweet(id_) for id_ in (40, 7, *NEWEST[:3])}


def test_a_page_without_reposts_takes_one_exchange_however_many_follow(client, redis_server):
    store, _ = pages(redis_server.url)
    store.add(["home:1"], 1, 7)
    with measuring() as meter:
        assert store.read_page("home:1", 5)[0] == Slice(NEWEST[:5], 0)
    assert meter.round_trips == 1


def test_timelines_beside_a_page_are_read_in_its_exchange(client, redis_server):
    store, _ = pages(redis_server.url)
    assert store.backfill("likes:1", store.begin_backfill("likes:1"), [9, 7], 7, {9: 3})
    store.begin_backfill("profile:1")
    with measuring() as meter:
        *_, beside = store.read_page("home:1", 5, ["likes:1", "profile:1", "home:9"])
    assert beside == [Slice([9, 7], 7, None, {9: 3}), None, None]
    assert meter.round_trips == 1


def test_redis_sorts_ids_that_refer_to_others_among_their_neighbours(client):
    """Redis sorts by doubles. Neighbouring ids at each power of two, with the greatest and the least fractions."""
    ends = [2**bits for bits in range(2, 54)]
    ids = sorted({id_ for end in ends for id_ in range(end - 4, end + 5) if 0 < id_ <= MAX_ID}, reverse=True)
    tweets = [1, 9, 99, MAX_ID, MAX_ID - 1, 10**15, 9 * 10**15]
    for start in range(2):  # each id once with a reference, between neighbours without one, and the reverse
        for tweet_id in tweets:
            elements = [str(entry(id_, tweet_id if id_ % 2 == start else 0)).encode() for id_ in ids]
            client.delete("sorted")
            client.rpush("sorted", *chance.sample(elements, len(elements)))
            assert client.sort("sorted", desc=True) == elements
    elements = [str(entry(id_, tweets[place % 7])).encode() for place, id_ in enumerate(ids)]
    client.delete("sorted")
    client.rpush("sorted", *chance.sample(elements, len(elements)))
    assert client.sort("sorted", desc=True) == elements


@given(st.integers(1, MAX_ID), st.integers(1, MAX_ID))
def test_a_fraction_moves_an_id_by_less_than_half_the_way_to_the_next_one(id_, tweet_id):
    assert 0 <= float(str(entry(id_, tweet_id))) - id_ < 0.5


def test_a_damaged_timeline_is_cold(client, redis_server):
    store, _ = pages(redis_server.url)
    name = f"{store._prefix}home:1"
    for damage in damages.no_timelines(client, name):
        client.delete(name)
        damage()
        assert store.read_page("home:1", 20) == (None, {}, [])
        assert store.begin_backfill("home:1")


def test_a_damaged_tweet_is_left_to_the_cache(client, redis_server):
    store, cache = pages(redis_server.url)
    name = f"{cache.prefix}20"
    writes = [lambda data=data: client.set(name, data) for data in damages.TWEETS]
    for damage in [*writes, *damages.other_types(client, name)]:
        client.delete(name)
        damage()
        found, tweets, _ = store.read_page("home:1", 20)
        assert found.ids == NEWEST
        assert set(tweets) == set(NEWEST) - {20}
        assert cache.get_many([20]) == {}
        assert not client.exists(name)


def test_restricted_redis_user_gets_two_exchanges():
    with closing(Redis()) as server:
        server.start()
        with Client(port=server.port) as client:
            allow(client, *EACH, "+sort")
            store, cache = pages(f"redis://tweeter:secret@{server.host}:{server.port}/0")
            for exchanges in (2, 1):
                with measuring() as meter:
                    assert store.read_page("home:1", 20) == (Slice(NEWEST, 0), {}, [])
                assert meter.round_trips == exchanges
            assert store._tweets is None
            assert store.read("home:1", END, 20) == Slice(NEWEST, 0)
            assert len(cache.get_many(NEWEST)) == 20


def test_warm_page_is_one_exchange_with_read_repair(sqlite_url, client, redis_server):
    with closing(Process(sqlite_url, "redis", **{"tweeter.redis.url": redis_server.url})) as process:
        assert process.delivery.drain(10)
        with process.acting() as actions:
            ann = actions.sign_up("ann", "password").id
            posted = [actions.post(ann, f"number {number}").id for number in range(30)]
        assert process.delivery.drain(10)
        home, newest = Timeline("home", ann), posted[:9:-1]
        process.page(home, Cursor())
        process.timelines.read_at_any_age()  # on a busy machine the checkpoint may be late
        with measuring() as meter:
            assert [view.id for view in process.timelines.page(home, Cursor()).tweets] == newest
        assert (meter.round_trips, meter.sql) == (1, 0)
        [name] = client.keys(f"*:tw:{newest[4]}")
        client.delete(name)
        client.lpush(name, "damaged")
        for round_trips in (2, 1):
            with measuring() as meter:
                assert [view.id for view in process.timelines.page(home, Cursor()).tweets] == newest
            assert meter.served_by == "redis"
            assert meter.round_trips >= round_trips
        assert (meter.round_trips, meter.sql) == (1, 0)


@given(
    st.lists(st.integers(-2, 12), max_size=12), st.integers(0, 9), st.integers(1, 8),
    st.dictionaries(st.integers(1, 12), st.integers(1, MAX_ID)),
)  # fmt: skip
def test_newest_ids_from_sort_match_the_whole_list(ids, floor, limit, of):
    found = [b"%d" % -floor, *(str(entry(id_, of.get(id_, 0))).encode() for id_ in ids)]
    asked = limit + 2
    answer = parse_newest(found[0], sorted(found, key=float, reverse=True)[:asked], limit, asked)
    try:
        whole = parse(found)
    except ValueError:
        assert answer is None or len(found) > asked  # damage below the page is found by reads of that part
    else:
        assert whole[2] == referring(ids, of)
        if answer:
            assert answer[:2] == (newest(*whole[:2], MAX_ID + 1, limit), floor)
            assert referring(answer[0], answer[2]) == referring(answer[0], of)
        if len(set(ids)) == len(ids):
            assert answer is not None


ELEMENT = re.compile(rb"([1-9][0-9]*)(?:\.0([1-9][0-9]*))?")
elements = st.one_of(
    st.builds(b"%d".__mod__, st.integers(-2, 9)),
    st.builds(lambda id_, of: b"%d.0%d" % (id_, of), st.integers(1, 9), st.integers(1, 9)),
    st.text("012.-", max_size=6).map(str.encode),
)


@given(st.one_of(st.just(b"0"), st.just(b"-5"), elements), st.lists(elements, max_size=8))
def test_a_list_is_parsed_as_a_whole_as_each_of_its_elements(header, found):
    each = [match for element in found if (match := ELEMENT.fullmatch(element))]
    if not re.fullmatch(rb"-?0|-[1-9][0-9]*", header) or len(each) < len(found):
        with pytest.raises(ValueError):  # noqa: PT011 (of several kinds)
            parse([header, *found])
    else:
        of = {int(match[1]): int(match[2]) for match in each if match[2]}
        assert parse([header, *found]) == (sorted(int(match[1]) for match in each), -int(header), of)
