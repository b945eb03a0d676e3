"""Law 4: what was committed is delivered, once the process that committed it is dead too, and twice is once."""

import threading
from datetime import timedelta

import pytest
from sqlalchemy import func, select, update

from tweeter.delivery import tail as tail_module
from tweeter.delivery.inline import InlineDelivery
from tweeter.delivery.tail import Tail
from tweeter.interfaces import IDelivery
from tweeter.models import OutboxEvent, outbox
from tweeter.models.meta import begin_immediate, now
from tweeter.testing import Process
from tweeter.values import Cursor, Timeline, Truncated

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
    return [tweet.id for tweet in process.page(Timeline.home(user), Cursor()).tweets]


def test_what_one_process_posts_deletes_and_renames_the_other_shows(processes, ann):
    one, other = processes
    assert home(other, ann) == []
    first, second = post(one, ann), post(one, ann)
    assert home(other, ann) == [second, first]
    with one.acting() as actions:
        actions.delete(ann, first)
        actions.change_profile(ann, "Anna", "")
    page = other.page(Timeline.home(ann), Cursor())
    assert [(tweet.id, tweet.display_name) for tweet in page.tweets] == [(second, "Anna")]


def test_a_process_that_dies_between_commit_and_delivery_loses_nothing(processes, ann):
    one, other = processes
    home(other, ann)
    tweet = post(one, ann, deliver=False)
    one.close()
    assert home(other, ann) == [tweet]


def test_what_was_rolled_back_is_delivered_to_nobody(processes, ann):
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
        with one.sessions() as session:
            reader = outbox.LogReader()
            reader.begin(session)
        with one.acting() as actions:
            step(actions)
        with one.sessions() as session:
            assert reader.read(session, 10).events


def test_an_event_that_cannot_be_applied_leaves_everything_cold_and_stops_nothing(processes, ann, monkeypatch, caplog):
    one, _ = processes
    post(one, ann)
    assert len(home(one, ann)) == 1
    deliver = one.timelines.deliver
    monkeypatch.setattr(one.timelines, "deliver", lambda event: 1 / 0)
    post(one, ann)
    assert "could not be applied" in caplog.text
    assert one.timelines.peek(Timeline.home(ann)) is None
    monkeypatch.setattr(one.timelines, "deliver", deliver)
    post(one, ann)
    assert len(home(one, ann)) == 3


def test_a_delivery_that_fails_does_not_fail_the_post(processes, ann, monkeypatch, caplog):
    one, _ = processes
    home(one, ann)

    def fail(*args):
        raise OSError("the log can't be read")

    with monkeypatch.context() as broken:
        broken.setattr(outbox.LogReader, "read", fail)
        tweet = post(one, ann)
    assert "the outbox keeps what was not delivered" in caplog.text
    assert home(one, ann) == [tweet]


def test_a_process_that_was_away_longer_than_events_are_kept_starts_cold(processes, ann):
    one, other = processes
    home(one, ann)
    tail = Tail(one.sessions, one.timelines, timedelta(seconds=0))
    post(other, ann)
    with other.sessions() as session:
        begin_immediate(session)
        session.execute(update(OutboxEvent).values(date=now() - timedelta(days=3)))
        outbox.prune(session, KEEP)
        session.commit()
    tail.catch_up()
    assert one.timelines.peek(Timeline.home(ann)) is None
    assert len(home(one, ann)) == 1


def test_a_long_backlog_is_not_applied_but_everything_starts_cold(processes, ann, monkeypatch):
    one, other = processes
    monkeypatch.setattr(tail_module, "LONGEST_BACKLOG", 5)
    home(one, ann)
    for _ in range(7):
        post(other, ann, deliver=False)
    assert len(home(one, ann)) == 7


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


def test_truncation_reaches_every_process_and_pages_go_on_in_sql(processes, ann):
    one, other = processes
    posted = [post(one, ann) for _ in range(6)]
    home(one, ann), home(other, ann)
    with one.sessions() as session:
        begin_immediate(session)
        outbox.record(session, Truncated(posted[4]))
        session.commit()
    for process in processes:
        assert home(process, ann) == posted[::-1]
        held = process.timelines.peek(Timeline.home(ann))
        assert held.ids == [posted[5], posted[4]]
        assert held.floor == posted[4]


def test_a_reader_waits_for_a_delivery_under_way_but_not_for_ever(processes, ann, monkeypatch):
    one, _ = processes
    home(one, ann)
    monkeypatch.setattr("tweeter.delivery.inline.PATIENCE", 0.05)
    delivering, go_on = threading.Event(), threading.Event()
    deliver = one.timelines.deliver

    def slow(event):
        delivering.set()
        go_on.wait(10)
        return deliver(event)

    monkeypatch.setattr(one.timelines, "deliver", slow)
    poster = threading.Thread(target=post, args=(one, ann))
    poster.start()
    assert delivering.wait(10)
    one.delivery.ready()
    page = one.timelines.home(ann, Cursor())
    assert page.tweets == ()  # as it was before the delivery
    go_on.set()
    poster.join()
    assert len(home(one, ann)) == 1


def test_the_sql_backend_has_nothing_to_deliver(database_url):
    process = Process(database_url, "sql")
    assert isinstance(process.registry.getUtility(IDelivery), InlineDelivery)
    with process.acting() as actions:
        ann = actions.sign_up("ann", "password").id
    tweet = post(process, ann)
    assert home(process, ann) == [tweet]
    process.close()
