"""Celebrities: authors whose tweets are merged at read instead of pushed."""

from contextlib import ExitStack, closing

import pytest
from sqlalchemy import delete, insert, update

from tests.support.children import act, holds, sign_up
from tweeter import measure
from tweeter.backends.memory import MemoryTimelineStore, MemoryTweetCache
from tweeter.devtools.servers.cluster import wait_until
from tweeter.metrics import fallbacks
from tweeter.models import Celebrity, Relationship, Tweet, User
from tweeter.models.base import now
from tweeter.testing import Process
from tweeter.timelines.celebrities import mark
from tweeter.timelines.hydrate import Hydrator
from tweeter.timelines.kinds import CELEBRITIES, built_in_kinds, celebrities_key
from tweeter.timelines.projector import Projector
from tweeter.values import AccountClosed, Cursor, Timeline, TweetCreated, Unfollowed

ON = {"tweeter.celebrity_followers": "3"}
MANY = 500  # celebrities
END = Cursor().before


def make_celebrities(process, reader, number):
    """The ids of so many authors with enough followers, whom the reader follows."""
    with process.registry.database.writing_sessions.begin() as session:
        first = 1000
        authors = [
            {"id": n, "username": f"s{n}", "username_key": f"s{n}", "display_name": "x", "followers_count": 3}
            for n in range(first, first + number)
        ]
        session.execute(insert(User), authors)
        ids = [author["id"] for author in authors]
        session.execute(insert(Relationship), [{"from_user_id": reader, "to_user_id": id_} for id_ in ids])
        session.execute(insert(Celebrity), [{"user_id": id_} for id_ in ids])
    return ids


def pushed(process, reader):
    """The ids in the reader's home timeline itself."""
    found = process.timelines.store.read(Timeline("home", reader).key, END, 100)
    return None if found is None else found.ids


def walk(process, reader):
    return [tweet for page in process.walk(Timeline("home", reader), 2) for tweet in page.tweets]


def deliver(process):
    """Delivers everything, fan-outs included."""
    process.settle()
    wait_until(lambda: not process.delivery.relays[0].in_flight, pause=0.005)


@pytest.mark.parametrize("backend", ["memory", "redis", "memcached", "table"])
def test_page_costs_the_same_for_any_number_of_followed_celebrities(request, stores, backend):
    url = request.getfixturevalue("sqlite_url" if backend in ("memory", "memcached") else "postgresql_url")
    with closing(Process(url, backend, **stores, **ON)) as process:
        ann, bob = sign_up(process, "ann"), sign_up(process, "bob")
        celebrities = make_celebrities(process, ann, MANY)
        act(process, "post", bob, "bob's own")
        deliver(process)  # the store is clear, and the relay delivers what comes later
        for celebrity in celebrities[:5]:
            act(process, "post", celebrity, "pushed, because the relay is new")
        deliver(process)
        for reader in (ann, ann, bob, bob):  # the second page of a reader backfills whom they follow
            process.page(Timeline("home", reader), Cursor())
        merged = [act(process, "post", celebrity, "merged") for celebrity in celebrities[:30]]  # all but 25
        deliver(process)
        merged += [act(process, "post", celebrity, "merged") for celebrity in celebrities[:30]]
        deliver(process)
        assert [n for n, id_ in enumerate(merged) if id_ in pushed(process, ann)] == list(range(5, 30))
        costs = {}
        for reader in (ann, ann, bob):  # at first, this process does not know the authors of the new tweets
            with measure.measuring() as meter:
                page = process.timelines.page(Timeline("home", reader), Cursor())
            assert meter.served_by == backend
            assert reader == bob or [tweet.id for tweet in page.tweets] == merged[::-1][:20]
            costs.setdefault(reader, []).append((meter.round_trips, meter.timeline_sql))
        if backend == "table":  # ids and tweets are statements
            assert costs == {ann: [costs[bob][0]] * 2, bob: costs[bob]}
        else:
            assert max(max(costs.values())) <= (2, 0)


def test_pages_of_a_celebrity_in_all_changes(sqlite_url, stores):
    with ExitStack() as stack:
        process, sql = (
            stack.enter_context(closing(Process(sqlite_url, backend, **stores, **ON))) for backend in ("redis", "sql")
        )
        ann, *others = (sign_up(process, name) for name in ("ann", "bob", "cleo"))
        star = sign_up(process, "star")
        for reader in (ann, *others):
            act(process, "follow", reader, "star")

        def shown():
            """The ids on ann's pages, which are those of SQL."""
            found = walk(process, ann)
            assert found == walk(sql, ann)
            return [tweet.id for tweet in found]

        def post():
            id_ = act(process, "post", star, "hello")
            deliver(process)
            return id_

        assert shown() == shown() == []
        first, second, third = post(), post(), post()
        assert shown() == [third, second, first]
        assert pushed(process, ann) == [first]
        store = process.timelines.store
        assert store.read(CELEBRITIES, END, 10).ids == [third, second, first]  # backfilled

        act(process, "change_profile", star, "Renamed", "")
        assert {tweet.display_name for tweet in walk(process, ann)} == {"Renamed"}
        act(process, "delete", star, third)
        assert shown() == [second, first]
        assert store.read(CELEBRITIES, END, 10).ids == [second, first]  # read repair
        for keys in ([CELEBRITIES], [celebrities_key(ann)], [CELEBRITIES, celebrities_key(ann)]):
            store.drop(keys)
            assert shown() == [second, first]
        process.timelines.drop(Timeline("home", ann))
        assert shown() == shown() == [second, first]

        act(process, "unfollow", ann, "star")
        assert shown() == shown() == []
        act(process, "follow", ann, "star")
        assert shown() == shown() == [second, first]
        fourth = post()
        assert pushed(process, ann) == [second, first]
        assert shown() == [fourth, second, first]

        for number in (0, 1):  # below half of the followers every tweet is pushed
            act(process, "unfollow", others[number], "star")
        fifth = post()
        assert pushed(process, ann) == [fifth, second, first]
        assert shown() == [fifth, fourth, second, first]
        store.drop([CELEBRITIES])  # what was not pushed is found again
        assert shown() == [fifth, fourth, second, first]
        act(process, "follow", others[0], "star")
        sixth = post()
        assert pushed(process, ann) == [fifth, second, first]
        assert shown() == [sixth, fifth, fourth, second, first]

        act(process, "close_account", star)
        assert shown() == []


def test_pages_below_the_floors_and_of_more_celebrities_than_a_timeline_keeps(sqlite_url, stores):
    own = {**stores, **ON, "tweeter.capacity": "5"}
    with ExitStack() as stack:
        process, sql = (
            stack.enter_context(closing(Process(sqlite_url, backend, **own))) for backend in ("memory", "sql")
        )
        ann = sign_up(process, "ann")
        celebrities = make_celebrities(process, ann, 8)
        for _ in range(4):
            for celebrity in celebrities:
                act(process, "post", celebrity, "hello")
                if celebrity % 3 == 0:
                    act(process, "post", ann, "hello")
            assert walk(process, ann) == walk(process, ann) == walk(sql, ann)
        store = process.timelines.store
        assert all(store.read(key, END, 10).floor for key in (CELEBRITIES, celebrities_key(ann), f"home:{ann}"))


def test_processes_with_another_setting(sqlite_url, stores):
    """SQL serves the pages of a process that does not merge; a relay that pushes again starts cold."""
    with closing(Process(sqlite_url, "redis", **stores, **ON)) as old:
        ann, star = sign_up(old, "ann"), sign_up(old, "star")
        act(old, "follow", ann, "star")
        with old.registry.database.writing_sessions.begin() as session:
            session.execute(update(User).where(User.id == star).values(followers_count=3))
        old.settle()
        old.page(Timeline("home", ann), Cursor())
        posted = []
        for _ in range(2):  # in batches of their own: the first one, which marks the author, is pushed
            posted.append(act(old, "post", star, "hello"))
            deliver(old)
        assert pushed(old, ann) == posted[:1]
        with closing(Process(sqlite_url, "redis", **stores, **{"tweeter.delivery": "relay"})) as off:
            before = fallbacks("redis").get("kind", 0)
            assert [tweet.id for tweet in walk(off, ann)] == posted[::-1]
            assert fallbacks("redis")["kind"] > before
    with closing(Process(sqlite_url, "redis", **stores)) as off:
        wait_until(lambda: holds(off))
        off.settle()
        assert pushed(off, ann) is None
        assert [tweet.id for tweet in walk(off, ann)] == posted[::-1]
        posted.append(act(off, "post", star, "hello"))
        off.settle()
        assert pushed(off, ann) == posted[::-1]
        with closing(Process(sqlite_url, "redis", **stores, **ON, **{"tweeter.delivery": "relay"})) as on:
            on.settle()
            off.timelines.store.add([celebrities_key(ann)], mark(ann))
            assert [tweet.id for tweet in walk(on, ann)] == posted[::-1]
    with closing(Process(sqlite_url, "redis", **stores, **ON)) as on:
        wait_until(lambda: holds(on))
        on.settle()
        assert pushed(on, ann) is None


AUTHOR, FANS, STRANGER, TWEET = 1, [2, 3, 5, 8], 9, 7


@pytest.fixture
def delivery(sessions):
    """A projector over warm timelines, the store, and a function that posts and delivers."""
    with sessions.begin() as session:
        people = [AUTHOR, *FANS, STRANGER]
        session.execute(
            insert(User),
            [{"id": n, "username": f"u{n}", "username_key": f"u{n}", "display_name": "x"} for n in people],
        )
        session.execute(update(User).where(User.id == AUTHOR).values(followers_count=len(FANS)))
        session.execute(insert(Relationship), [{"from_user_id": fan, "to_user_id": AUTHOR} for fan in FANS])
    store, kinds = MemoryTimelineStore(10, 1000), built_in_kinds()
    kinds.celebrity_followers = len(FANS)
    warm(store, CELEBRITIES, *(f"home:{user}" for user in people), *map(celebrities_key, people))
    projector = Projector(store, Hydrator("test", MemoryTweetCache(100), sessions), sessions, kinds)

    def post(id_):
        with sessions.begin() as session:
            session.execute(insert(Tweet).values(id=id_, user_id=AUTHOR, message="x", date=now()))
        list(projector.deliver(TweetCreated(id_, AUTHOR)))

    return projector, store, post


def warm(store, *keys):
    for key in keys:
        store.backfill(key, store.begin_backfill(key), [], 0)


def held(store, *keys):
    found = [store.read(key, END, 10) for key in keys]
    return [None if each is None else each.ids for each in found]


def test_first_tweet_is_pushed_with_the_authors_mark(delivery):
    projector, store, post = delivery
    homes, stars = [f"home:{fan}" for fan in FANS], [celebrities_key(fan) for fan in FANS]
    post(TWEET)
    assert held(store, *homes) == [[TWEET]] * len(FANS)
    assert held(store, *stars) == [[mark(AUTHOR)]] * len(FANS)
    assert held(store, celebrities_key(STRANGER), f"home:{STRANGER}", CELEBRITIES) == [[], [], []]
    post(TWEET + 1)
    assert held(store, *homes) == [[TWEET]] * len(FANS)
    assert held(store, CELEBRITIES, f"home:{AUTHOR}") == [[TWEET + 1], [TWEET + 1, TWEET]]
    projector.begin(lambda: None)  # another relay may have ended before it had marked all
    post(TWEET + 2)
    assert held(store, *homes) == [[TWEET + 2, TWEET]] * len(FANS)
    assert held(store, CELEBRITIES) == [[TWEET + 1]]
    list(projector.deliver(Unfollowed(FANS[0], AUTHOR)))
    list(projector.deliver(AccountClosed(FANS[1])))
    assert held(store, *stars[:3], homes[0]) == [None, None, [mark(AUTHOR)], None]


def test_unfollow_during_the_fan_out_of_marks(delivery, sessions):
    _, store, post = delivery

    def unfollow():
        with sessions.begin() as session:
            session.execute(delete(Relationship).where(Relationship.from_user_id == FANS[1]))
        # The unfollow is applied, and the timelines are backfilled, before the fan-out writes.
        keys = [f"home:{FANS[1]}", celebrities_key(FANS[1])]
        store.drop(keys)
        warm(store, *keys)

    add_to_each = store.add_to_each

    def watched(kind, chunks, id_, of=0):
        def each():
            for chunk in chunks:
                unfollow()
                yield chunk

        return add_to_each(kind, each(), id_, of)

    store.add_to_each = watched
    post(TWEET)
    assert held(store, f"home:{FANS[1]}", celebrities_key(FANS[1])) == [None, None]
    assert held(store, f"home:{FANS[0]}", celebrities_key(FANS[0])) == [[TWEET], [mark(AUTHOR)]]
