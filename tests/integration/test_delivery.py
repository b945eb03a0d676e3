"""Laws 4 and 9: committed events are delivered, even after the death of the committing process; pages are fresh."""

import time
from contextlib import closing
from datetime import timedelta

import pytest
from sqlalchemy import func, insert, select, update

from tests.support.children import pause
from tests.support.outbox_reader import Reader
from tweeter import measure, outbox
from tweeter.db.sessions import begin_immediate
from tweeter.delivery.inline import InlineDelivery
from tweeter.interfaces import IDelivery
from tweeter.models import OutboxEvent, User
from tweeter.models.base import now
from tweeter.outbox.checkpoint import FRESH
from tweeter.testing import Process
from tweeter.values import Cursor, Timeline, Truncated, TweetCreated, Viewer

KEEP = timedelta(hours=24)


@pytest.fixture
def processes(database_url):
    pair = [Process(database_url, "memory"), Process(database_url, "memory")]
    yield pair
    for process in pair:
        process.close()


@pytest.fixture
def ann(processes):
    with processes[0].acting() as actions:
        return actions.sign_up("ann", "password").id


def post(process, user, deliver=True):
    with process.acting(deliver) as actions:
        return actions.post(user, "hello").id


def home(process, user):
    return [tweet.id for tweet in process.page(Timeline("home", user), Cursor()).tweets]


def test_changes_of_one_process_show_in_the_other(processes, ann):
    one, other = processes
    assert home(other, ann) == []
    first, second = post(one, ann), post(one, ann)
    assert home(other, ann) == [second, first]
    with one.acting() as actions:
        actions.delete(ann, first)
        actions.change_profile(ann, "Anna", "")
    page = other.page(Timeline("home", ann), Cursor())
    assert [(tweet.id, tweet.display_name) for tweet in page.tweets] == [(second, "Anna")]


def test_a_process_that_dies_between_commit_and_delivery_loses_nothing(processes, ann):
    one, other = processes
    home(other, ann)
    tweet = post(one, ann, deliver=False)
    one.close()
    assert home(other, ann) == [tweet]


def test_rolled_back_events_are_not_delivered(processes, ann):
    one, other = processes
    home(other, ann)

    with one.sessions() as session:
        begin_immediate(session)
        one.actions(session).post(ann, "never mind")
        session.rollback()
    one.delivery.wake()
    assert home(other, ann) == home(one, ann) == []


def test_an_event_is_committed_with_each_change(processes, ann):
    one, _ = processes
    with one.acting() as actions:
        bob = actions.sign_up("bob", "password").id
    tweet = post(one, ann)
    steps = [
        lambda actions: actions.follow(ann, "bob"),
        lambda actions: actions.unfollow(ann, "bob"),
        lambda actions: actions.change_profile(ann, "Anna", ""),
        lambda actions: actions.delete(ann, tweet),
        lambda actions: actions.close_account(bob),
    ]
    for step in steps:
        reader = Reader(one.sessions, at_end=True)
        with one.acting() as actions:
            step(actions)
        assert reader.read()


def test_a_poison_event_blocks_no_other_and_leaves_everything_cold(processes, ann, monkeypatch, caplog):
    one, _ = processes
    assert home(one, ann) == []
    apply = one.timelines.projector.apply
    poison = []

    def fail_at_one(events):
        if any(isinstance(event, TweetCreated) and event.tweet_id in poison for event in events):
            raise ZeroDivisionError
        return apply(events)

    monkeypatch.setattr(one.timelines.projector, "apply", fail_at_one)
    with one.acting() as actions:
        first = actions.post(ann, "one").id
        poison.append(actions.post(ann, "poison").id)
        last = actions.post(ann, "three").id
    assert one.delivery.drain(10)
    assert caplog.text.count("can't be applied to memory, which starts cold: ZeroDivisionError") == 1
    assert one.timelines.peek(Timeline("home", ann)) is None
    assert home(one, ann) == [last, *poison, first]
    assert one.timelines.live()


def test_an_event_of_a_newer_version_blocks_no_other_and_leaves_everything_cold(processes, ann, caplog):
    one, other = processes
    tweet = post(one, ann)
    assert home(one, ann) == home(other, ann) == [tweet]
    with one.sessions.begin() as session:
        begin_immediate(session)
        session.execute(insert(OutboxEvent), [{"payload": '{"type":"Renamed","user_id":1}'}])
    assert one.delivery.drain(10)
    assert "this version can't decode it" in caplog.text
    assert one.timelines.peek(Timeline("home", ann)) is None
    again = post(one, ann)
    assert home(one, ann) == home(other, ann) == [again, tweet]


def read(process, user, written=0):
    """The ids of the current home page, and the backend that served it."""
    with measure.measuring() as meter:
        page = process.timelines.page(Timeline("home", user), Cursor(), Viewer(user, written))
    return [tweet.id for tweet in page.tweets], meter.served_by


def test_own_write_is_on_the_next_page_without_delivery(processes, ann):
    one, other = processes
    assert home(one, ann) == home(other, ann) == []
    for process in processes:
        pause(process)
    tweet = post(one, ann)
    with one.sessions() as session:
        written = session.scalar(select(User.last_write).where(User.id == ann))
    for process in processes:
        assert read(process, ann, written) == ([tweet], "memory")
        assert read(process, ann) == ([], "memory")  # other users wait for the delivery


def test_store_without_delivery_stops_serving_pages_after_a_second(processes, ann):
    one, _ = processes
    assert home(one, ann) == []
    assert read(one, ann) == ([], "memory")
    one.delivery.stop()
    tweet = post(one, ann)
    time.sleep(FRESH)
    assert read(one, ann) == ([tweet], "memory, from SQL")


def test_an_idle_site_reads_its_stores(processes, ann):
    one, _ = processes
    assert home(one, ann) == []
    for _ in range(30):
        time.sleep(0.1)
        assert read(one, ann) == ([], "memory")


@pytest.mark.parametrize("steps", [["post"], ["post", "delete"], ["follow"], ["follow", "unfollow"], ["rename"]])
def test_every_action_records_its_user_s_last_write(processes, ann, steps):
    one, _ = processes
    with one.acting() as actions:
        actions.sign_up("bob", "password")
    tweets = []
    does = {
        "post": lambda actions: tweets.append(actions.post(ann, "hello").id),
        "delete": lambda actions: actions.delete(ann, tweets.pop()),
        "follow": lambda actions: actions.follow(ann, "bob"),
        "unfollow": lambda actions: actions.unfollow(ann, "bob"),
        "rename": lambda actions: actions.change_profile(ann, "Anna", ""),
    }
    for step in steps:
        with one.acting() as actions:
            does[step](actions)
    reader = Reader(one.sessions)
    written = [logged.number for logged in reader.look().events][-1]
    with one.sessions() as session:
        assert session.scalar(select(User.last_write).where(User.id == ann)) == written
    assert not reader.position.contains(written)
    reader.read()
    assert reader.position.contains(written)


def test_old_events_are_deleted_but_never_the_newest(processes, ann):
    one, _ = processes
    for _ in range(5):
        post(one, ann)
    with one.sessions() as session:
        begin_immediate(session)
        session.execute(update(OutboxEvent).values(date=now() - timedelta(days=3)))
        before = session.scalar(select(func.count()).select_from(OutboxEvent))
        assert outbox.prune(session, KEEP) == before - 1
        session.commit()
        assert session.scalar(select(func.count()).select_from(OutboxEvent)) == 1
    assert len(home(one, ann)) == 5


def test_truncation_reaches_every_process_and_paging_continues_in_sql(processes, ann):
    one, other = processes
    posted = [post(one, ann) for _ in range(6)]
    home(one, ann), home(other, ann)
    with one.sessions() as session:
        begin_immediate(session)
        outbox.record(session, Truncated(posted[4]))
        session.commit()
    for process in processes:
        assert home(process, ann) == posted[::-1]
        held = process.timelines.peek(Timeline("home", ann))
        assert held.ids == [posted[5], posted[4]]
        assert held.floor == posted[4]


def test_the_sql_backend_has_nothing_to_deliver(database_url):
    process = Process(database_url, "sql")
    assert isinstance(process.registry.getUtility(IDelivery), InlineDelivery)
    with process.acting() as actions:
        ann = actions.sign_up("ann", "password").id
    tweet = post(process, ann)
    assert home(process, ann) == [tweet]
    process.close()


@pytest.mark.parametrize("backend", ["memory", "redis"])
def test_the_checkpoint_lists_a_long_event_only_until_its_end(sqlite_url, redis_server, backend, monkeypatch):
    for name, value in (("projector.SMALL", 0), ("streams.CHUNK", 1), ("streams.STRETCH", 2)):
        monkeypatch.setattr(f"tweeter.timelines.{name}", value)
    monkeypatch.setattr("tweeter.delivery.holder.SLICE", 0.0001)  # seconds: several reads of the outbox
    monkeypatch.setattr("tweeter.delivery.holder.RENEWED", 3600)  # seconds between checkpoints without events
    own = {"tweeter.redis.url": redis_server.url, "tweeter.redis.prefix": f"{sqlite_url[-30:]}:".replace("/", "-")}
    with closing(Process(sqlite_url, backend, **own)) as process:
        with process.acting() as actions:
            bob = actions.sign_up("bob", "password").id
            for number in range(30):
                actions.follow(actions.sign_up(f"ann{number}", "password").id, "bob")
            actions.post(bob, "hello")
        assert process.delivery.drain(20)
