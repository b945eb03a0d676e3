"""Deleting a tweet with very many replies: at real size, on real servers, within the usual timeout."""

from contextlib import closing

import pytest
from sqlalchemy import delete, insert

from tweeter import ids
from tweeter.backends.memory import MemoryTimelineStore, MemoryTweetCache
from tweeter.db.sessions import begin_immediate
from tweeter.models import Tweet
from tweeter.models.base import now
from tweeter.outbox.checkpoint import Checkpoint, InFlight
from tweeter.outbox.log import Position
from tweeter.testing import Process
from tweeter.timelines import projector, queries, streams
from tweeter.timelines.hydrate import Hydrator
from tweeter.values import Cursor, Timeline, TweetsDeleted

pytestmark = pytest.mark.slow
REPLIES = 120_000  # too many for one exchange with Redis
CAUGHT_UP = 60  # seconds; it takes a few


def add_replies(process, author, parent, count, after=0):
    """Old rows without events, `after` the others of that time. Returns their ids."""
    first = ids.first_id_of_ms(ids.EPOCH_MS + 1_000_000) + after
    found = range(first, first + count)
    with process.sessions() as session:
        begin_immediate(session)
        moment = now()
        for start in range(0, count, 20_000):
            rows = [
                {"id": id_, "user_id": author, "message": "me too", "date": moment, "parent_id": parent}
                for id_ in found[start : start + 20_000]
            ]
            session.execute(insert(Tweet), rows)
        session.commit()
    return found


@pytest.fixture(params=["redis", "memcached", "memory"])
def processes(request, sqlite_url, redis_server, memcached_server):
    settings = {"tweeter.redis.url": redis_server.url, "tweeter.memcached.servers": memcached_server.address}
    with (
        closing(Process(sqlite_url, "sql")) as sql,
        closing(Process(sqlite_url, request.param, **settings)) as process,
    ):
        yield sql, process


def test_a_tweet_with_120_000_replies_is_deleted(processes):
    sql, process = processes
    with process.acting() as actions:
        ann, bob = actions.sign_up("ann", "password").id, actions.sign_up("bob", "password").id
    with process.acting() as actions:
        tweet = actions.post(ann, "who else?").id
    assert process.delivery.drain(CAUGHT_UP)
    replies = add_replies(process, bob, tweet, REPLIES)
    hydrator = process.timelines._hydrator
    for start in range(0, REPLIES, 2000):  # all are cached, and show the author of their parent
        assert hydrator.tweets([replies[start]])[replies[start]].parent_username == "ann"
    page = process.page(Timeline("profile", bob), Cursor())
    assert {view.parent_username for view in page.tweets} == {"ann"}
    with process.acting() as actions:
        actions.delete(ann, tweet)
    assert process.delivery.drain(CAUGHT_UP)
    assert process.timelines.live()
    assert hydrator.tweets([replies[2000]])[replies[2000]].parent_username is None
    for timeline in (Timeline("profile", bob), Timeline("profile", ann), Timeline("public")):
        assert process.page(timeline, Cursor()) == sql.page(timeline, Cursor())


def test_stores_accept_any_number_of_keys(processes):
    _, process = processes
    assert process.delivery.drain(CAUGHT_UP)
    process.page(Timeline("public"), Cursor())
    cache, store = process.timelines._hydrator.cache, process.timelines.store
    many = range(1, REPLIES)
    ends = [1, REPLIES - 1]
    cache.fill(cache.guard(ends), dict.fromkeys(ends))
    for id_ in ends:
        store.backfill(f"home:{id_}", store.begin_backfill(f"home:{id_}"), [5], 0)
    store.add([f"home:{id_}" for id_ in many], 7)
    assert [store.read(f"home:{id_}", 10, 10).ids for id_ in ends] == [[7, 5]] * 2
    store.drop([f"home:{id_}" for id_ in many])
    assert [store.read(f"home:{id_}", 10, 10) for id_ in ends] == [None] * 2
    assert cache.get_many(ends) == dict.fromkeys(ends)
    cache.invalidate(many)
    assert cache.get_many(ends) == {}


class Forgotten(MemoryTweetCache):
    """Records the chunks of ids to invalidate."""

    def __init__(self):
        super().__init__(1000)
        self.chunks = []

    def invalidate(self, ids):
        self.chunks.append(list(ids))
        super().invalidate(self.chunks[-1])


def test_replies_to_several_deleted_tweets_are_invalidated_in_chunks(database_url, monkeypatch):
    monkeypatch.setattr(streams, "CHUNK", 7)
    with closing(Process(database_url, "sql")) as process:
        with process.acting() as actions:
            ann = actions.sign_up("ann", "password").id
            posted = [actions.post(ann, f"{n}").id for n in range(4)]
        made = []
        for parent, count in zip(posted, (0, 20, 3, 7), strict=True):
            made += add_replies(process, ann, parent, count, len(made)) if count else []
        assert len(made) == 30
        for tweet_ids in (posted, posted[:1], posted[1:2], posted[2:3], posted[:3]):
            with process.sessions() as session:
                wanted = [id_ for parent in tweet_ids for id_ in queries.reply_ids(session, parent, 0, 1000)]
            cache = Forgotten()
            store = MemoryTimelineStore(10, 10)
            hydrator = Hydrator("test", cache, process.sessions)
            subject = projector.Projector(store, hydrator, process.sessions, process.kinds)
            for _ in subject.deliver(TweetsDeleted(tuple(tweet_ids), ann)):
                pass
            assert {id_ for chunk in cache.chunks for id_ in chunk} == {*wanted, *tweet_ids}
            assert all(len(chunk) <= 7 + len(tweet_ids) for chunk in cache.chunks)


def test_replies_pending_invalidation_are_read_from_sql(process_with_replies, monkeypatch):
    """A page that is read during the event already shows that the parent is deleted."""
    process, bob, deleted = process_with_replies
    monkeypatch.setattr(streams, "CHUNK", 5)
    event = TweetsDeleted((deleted,), bob)
    in_flight = Checkpoint(1, "site", 0, 1, 0.0, "", Position(), (0, 0, 0), (InFlight(1, 1, event, 0),))
    hydrator = process.timelines._hydrator
    page = [view.id for view in process.page(Timeline("profile", bob), Cursor()).tweets]
    with process.sessions() as session:
        begin_immediate(session)
        session.execute(delete(Tweet).where(Tweet.id == deleted))
        session.commit()
    assert {view.parent_username for view in hydrator.tweets(page).values()} == {"ann"}
    assert {view.parent_username for view in hydrator.tweets(page, in_flight.outdated()).values()} == {None}


@pytest.fixture
def process_with_replies(database_url):
    with closing(Process(database_url, "memory")) as process:
        with process.acting() as actions:
            ann, bob = actions.sign_up("ann", "password").id, actions.sign_up("bob", "password").id
            tweet = actions.post(ann, "who else?").id
        add_replies(process, bob, tweet, 20)
        yield process, bob, tweet
