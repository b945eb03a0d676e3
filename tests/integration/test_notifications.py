"""Notifications under concurrency, closed and suspended accounts, and housekeeping, on both databases."""

from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from datetime import timedelta
from functools import partial

import pytest
from sqlalchemy import func, insert, select

from tests.support.children import act, sign_up
from tweeter import ids
from tweeter.db.chunks import in_chunks
from tweeter.models import Notification, Notifies, User
from tweeter.models.base import now
from tweeter.services.closing import remove_some, remove_some_of_deleted
from tweeter.services.housekeeping import Housekeeper
from tweeter.services.moderation import Moderation
from tweeter.services.notifications import MOST_OTHERS, UNREAD, WINDOW, overfull_groups, read_groups, read_notices
from tweeter.services.notifying import notify
from tweeter.services.recounting import recount_some
from tweeter.testing import Process
from tweeter.values import Cursor


@pytest.fixture
def process(database_url):
    with closing(Process(database_url, "sql")) as process:
        process.registry["housekeeper"].stop()
        yield process


def notices(process, user, limit=100):
    """The kind, the actor and the tweet of each notification of a user, newest first."""
    with process.sessions() as session:
        found = read_notices(session, user, Cursor(limit=limit))
        assert session.scalar(select(UNREAD).where(User.id == user)) == min(len(found), limit)
    return [(each.kind, each.actor_id, each.tweet_id) for each in found]


def rows(process):
    with process.sessions() as session:
        return session.scalar(select(func.count()).select_from(Notification))


def moderate(process, name, user):
    with process.acting() as actions:
        getattr(Moderation(actions._session, process.registry["passwords"], 140), name)(user)


def test_many_at_once_notify_once_each(process):
    ann = sign_up(process, "ann")
    fans = [sign_up(process, f"fan{number}") for number in range(24)]
    tweet = act(process, "post", ann, "one")

    def like(fan):
        for name in ("like", "unlike", "like", "like"):
            act(process, name, fan, tweet)

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(like, fans))
    assert sorted(notices(process, ann)) == [(Notifies.LIKE, fan, tweet) for fan in sorted(fans)]
    with process.sessions() as session:
        [(group,), _] = read_groups(session, ann, Cursor())
    assert group.others == len(fans) - 1


def test_an_id_that_is_taken_is_replaced(process):
    ann, bob, cat = (sign_up(process, name) for name in ("ann", "bob", "cat"))
    tweet = act(process, "post", ann, "one") or 0
    with process.acting() as actions:
        for actor in (bob, cat):
            notify(actions._session, Notifies.LIKE, actor, [ann], tweet, tweet)
    assert sorted(notices(process, ann)) == [(Notifies.LIKE, bob, tweet), (Notifies.LIKE, cat, tweet)]


def test_a_closed_account_leaves_no_notification(process):
    ann, bob, cat = (sign_up(process, name) for name in ("ann", "bob", "cat"))
    tweet = act(process, "post", ann, "hello @bob")
    for user in (bob, cat):
        act(process, "like", user, tweet)
        act(process, "follow", user, "ann")
    act(process, "post", bob, "a reply", tweet)
    act(process, "close_account", bob)
    assert {actor for _, actor, _ in notices(process, ann)} == {cat}
    assert sum(in_chunks(process.sessions, partial(remove_some, limit=1)))
    assert rows(process) == 2
    act(process, "close_account", ann)
    assert sum(in_chunks(process.sessions, remove_some))
    assert rows(process) == 0


def test_a_suspended_account_notifies_nobody_until_it_returns(process):
    ann, bob = sign_up(process, "ann"), sign_up(process, "bob")
    tweet = act(process, "post", ann, "one")
    act(process, "like", bob, tweet)
    act(process, "post", bob, "hello @ann")
    before = notices(process, ann)
    assert len(before) == 2
    moderate(process, "suspend", bob)
    assert notices(process, ann) == []
    moderate(process, "unsuspend", bob)
    assert sum(in_chunks(process.sessions, recount_some))
    assert notices(process, ann) == before


def test_a_deleted_tweet_notifies_nobody_and_its_rows_are_removed(process):
    ann, bob, cat = (sign_up(process, name) for name in ("ann", "bob", "cat"))
    tweet = act(process, "post", ann, "hello @bob")
    other = act(process, "post", ann, "another")
    act(process, "like", cat, other)
    for user in (bob, cat):
        act(process, "like", user, tweet)
        act(process, "repost", user, tweet)
    act(process, "delete", ann, tweet)
    assert notices(process, bob) == []
    assert notices(process, ann) == [(Notifies.LIKE, cat, other)]
    assert sum(in_chunks(process.sessions, partial(remove_some_of_deleted, limit=1)))
    assert rows(process) == 1


def test_housekeeping_removes_old_notifications(process):
    ann, bob = sign_up(process, "ann"), sign_up(process, "bob")
    act(process, "follow", bob, "ann")
    tweet = act(process, "post", bob, "hello @ann")
    with process.registry.database.writing_sessions.begin() as session:
        old = ids.first_id(now() - timedelta(days=10))
        session.execute(insert(Notification), {"user_id": bob, "id": old, "kind": 16, "actor_id": ann, "tweet_id": 0})
    keep = timedelta(days=9)
    Housekeeper(process.sessions, keep, keep).tidy()
    assert notices(process, bob) == []
    assert notices(process, ann) == [(Notifies.MENTION, bob, tweet), (Notifies.FOLLOW, bob, 0)]


def test_housekeeping_keeps_what_is_counted_of_a_group_and_all_others(process):
    ann, bob = sign_up(process, "ann"), sign_up(process, "bob")
    tweet = act(process, "post", ann, "one")
    mention = act(process, "post", bob, "hello @ann")
    begin, many = ids.generate_id() // WINDOW * WINDOW, MOST_OTHERS + 700
    with process.registry.database.writing_sessions.begin() as session:
        people = [{"username": f"u{n}", "username_key": f"u{n}", "display_name": "x"} for n in range(many)]
        session.execute(insert(User), people)
        fans = session.scalars(select(User.id).where(User.username_key.like("u%")).order_by(User.id)).all()
        likes = [
            {"user_id": ann, "id": begin + n, "kind": int(Notifies.LIKE), "actor_id": fan, "tweet_id": tweet}
            for n, fan in enumerate(fans)
        ]
        session.execute(insert(Notification), likes)

    def shown():
        with process.sessions() as session:
            found, older = read_groups(session, ann, Cursor())
            assert older is None
            return [(each.kind, each.actor_id, each.tweet_id, each.others) for each in found]

    before = shown()
    assert before == [(Notifies.MENTION, bob, mention, 0), (Notifies.LIKE, fans[-1], tweet, MOST_OTHERS)]
    Housekeeper(process.sessions, timedelta(days=1)).tidy()
    assert shown() == before
    assert rows(process) == 1 + MOST_OTHERS + 1
    with process.sessions() as session:
        assert not overfull_groups(session)
