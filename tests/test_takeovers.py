"""The holder of the lease is killed, or stopped and resumed: another goes on, and no page is wrong or old."""

import os
import signal
import time
from contextlib import ExitStack, closing

import pytest
from sqlalchemy import insert, select

from tests.children import Child, act, holds, home, sign_up
from tests.redis_servers import wait_until

from tweeter.delivery.checkpoint import FRESH, decode
from tweeter.delivery.holder import EVENTS
from tweeter.metrics import DELIVERIES
from tweeter.models import OutboxEvent, Relationship, Tweet, User
from tweeter.models.meta import begin_immediate, now
from tweeter.testing import Process
from tweeter.timelines import projector
from tweeter.values import Cursor, Timeline

SECONDS = 30
PAUSE = 0.02  # seconds between looks


@pytest.fixture
def settings(request, redis_server, memcached_server):
    prefix = f"{os.getpid()}{time.monotonic_ns()}"
    return {
        "tweeter.redis.url": redis_server.url,
        "tweeter.memcached.servers": memcached_server.address,
        "tweeter.redis.prefix": prefix,
        "tweeter.memcached.prefix": prefix,
    }


def delivered(process):
    """How many events this process delivered."""
    samples = [sample for metric in DELIVERIES.collect() for sample in metric.samples]
    return sum(sample.value for sample in samples if sample.name.endswith("_total"))


def record_posts(process, author, count):
    """Posts by some transactions, as another process would make them; their ids."""
    ids = [1000 + number for number in range(count)]
    for first in range(0, count, 500):
        some = ids[first : first + 500]
        with process.sessions() as session:
            begin_immediate(session)
            session.execute(
                insert(Tweet), [{"id": id_, "user_id": author, "message": "x", "date": now()} for id_ in some]
            )
            payloads = [f'{{"type":"TweetCreated","tweet_id":{id_},"user_id":{author}}}' for id_ in some]
            session.execute(insert(OutboxEvent), [{"payload": payload} for payload in payloads])
            session.commit()
    return ids


def checkpoint(process):
    return decode(process.timelines.store.checkpoint())


@pytest.mark.parametrize(
    ("database", "backend", "backlog"),
    [("postgresql", "redis", 20_000), ("postgresql", "memcached", 6000), ("sqlite", "redis", 6000)],
)
def test_the_holder_is_killed_in_the_middle_of_a_catch_up(request, settings, database, backend, backlog):
    """The next one goes on where it was. What is posted meanwhile is on its author's next page, in every process."""
    url = request.getfixturevalue(f"{database}_url")
    with ExitStack() as stack:
        watching = stack.enter_context(
            closing(Process(url, backend, **settings, **{"tweeter.delivery": "relay"}))
        )
        ann, bob = sign_up(watching, "ann"), sign_up(watching, "bob")
        act(watching, "follow", bob, "ann")
        children = [Child(url, backend, None, **settings) for _ in range(2)]
        stack.callback(lambda: [child.close() for child in children])
        wait_until(lambda: any(child.do(holds) for child in children), SECONDS)
        assert watching.delivery.drain(SECONDS)
        for user in (ann, bob):
            home(watching, user)
        [holder] = [child for child in children if child.do(holds)]
        [other] = [child for child in children if child is not holder]
        holder.stop()  # so that there is a backlog
        record_posts(watching, ann, backlog)
        began = checkpoint(watching).sequence
        holder.resume()
        wait_until(lambda: checkpoint(watching).sequence > began + 10, SECONDS, PAUSE)
        posted = {}
        post_and_look(watching, other, ann, bob, posted)
        before = checkpoint(watching)
        assert watching.delivery.relays[0].behind()[0] > EVENTS  # in the middle
        killed = time.monotonic()
        holder.kill()
        while checkpoint(watching).holder == before.holder:
            post_and_look(watching, other, ann, bob, posted)
        takeover = time.monotonic() - killed
        while not watching.delivery.drain(0.2):
            post_and_look(watching, other, ann, bob, posted)
        post_and_look(watching, other, ann, bob, posted)
        print(f"takeover on {database}: {takeover:.3f} s")


def post_and_look(watching, other, ann, bob, posted):
    """Ann posts. She sees it at once in either process; Bob sees what she posted more than a second ago."""
    began = time.monotonic()
    for look in (lambda user: home(watching, user), lambda user: other.do(home, user)):
        shown = {tweet.id for tweet in look(bob)[0].tweets}
        assert shown.issuperset(id_ for id_, moment in posted.items() if moment < began - FRESH)
        if len(posted) < 50:
            made = act(watching, "post", ann, "hello")
            posted[made] = time.monotonic()
            assert {tweet.id for tweet in look(ann)[0].tweets}.issuperset(posted)
