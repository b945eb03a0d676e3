"""The holder of the lease is killed, or stopped and resumed: another takes over, and no page is wrong or stale."""

import os
import re
import signal
import time
from contextlib import ExitStack, closing

import pytest
from msgspec.structs import replace
from sqlalchemy import insert, make_url

from tests.support.children import Child, act, holds, home, sign_up
from tweeter.backends.memcached.store import MemcachedTimelineStore
from tweeter.backends.redis.store import RedisTimelineStore
from tweeter.db.sessions import begin_immediate
from tweeter.delivery.holder import EVENTS
from tweeter.devtools.proxy import RECEIVED, Proxy
from tweeter.devtools.servers.cluster import wait_until
from tweeter.models import OutboxEvent, Tweet
from tweeter.models.base import now
from tweeter.outbox.checkpoint import FRESH, InFlight, decode, encode
from tweeter.testing import Process
from tweeter.timelines import followers, projector, streams
from tweeter.values import Page, Timeline, TweetCreated

pytestmark = pytest.mark.slow
SECONDS = 30
WATCHING = {"tweeter.delivery": "relay"}  # of a process that leaves delivery to others
PAUSE = 0.02  # seconds between reads


@pytest.fixture
def settings(request, redis_server, memcached_server):
    prefix = f"{os.getpid()}{time.monotonic_ns()}"
    return {
        "tweeter.redis.url": redis_server.url,
        "tweeter.memcached.servers": memcached_server.address,
        "tweeter.redis.prefix": prefix,
        "tweeter.memcached.prefix": prefix,
    }


def record_posts(process, author, count):
    """Posts in several transactions, as another process would. Returns the ids."""
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


def reached(checkpoint):
    """The number of the last applied event."""
    seen, to, last = checkpoint.position
    return last[0] if to else seen.xmax - 1


@pytest.mark.parametrize(
    ("database", "backend", "backlog"),
    [("postgresql", "redis", 20_000), ("postgresql", "memcached", 6000), ("sqlite", "redis", 6000)],
)
def test_the_holder_is_killed_in_the_middle_of_a_catch_up(request, settings, database, backend, backlog):
    """The next holder continues from the checkpoint. New posts are on their author's next page in every process."""
    url = request.getfixturevalue(f"{database}_url")
    with ExitStack() as stack:
        watching = stack.enter_context(closing(Process(url, backend, **settings, **WATCHING)))
        ann, bob = sign_up(watching, "ann"), sign_up(watching, "bob")
        act(watching, "follow", bob, "ann")
        children = [Child(url, backend, stopping_at_checkpoints, **settings) for _ in range(2)]
        stack.callback(lambda: [child.close() for child in children])
        wait_until(lambda: any(child.do(holds) for child in children), SECONDS)
        assert watching.delivery.drain(SECONDS)
        for user in (ann, bob):
            home(watching, user)
        for child in children:
            child.do(arm, 12)
            child.stop()
        record_posts(watching, ann, backlog)
        for child in children:
            child.resume()
        wait_until(lambda: any(child.stopped for child in children), SECONDS, PAUSE)
        holder, other = sorted(children, key=lambda child: not child.stopped)
        other.do(disarm)
        posted = {}
        before = checkpoint(watching)
        assert watching.delivery.relays[0].behind()[0] > EVENTS  # in the middle
        killed, slowest = time.monotonic(), 0.0
        holder.kill()
        while (after := checkpoint(watching)).holder == before.holder:
            began = time.monotonic()
            post_and_look(watching, other, ann, bob, posted)
            slowest = max(slowest, time.monotonic() - began)
        takeover = time.monotonic() - killed
        assert takeover <= 1 + slowest  # a busy machine is late to look
        assert reached(after) >= reached(before)  # applied events are not applied again
        while not watching.delivery.drain(0.2):
            post_and_look(watching, other, ann, bob, posted)
        post_and_look(watching, other, ann, bob, posted)
        print(f"takeover on {database}: {takeover:.3f} s")


def post_and_look(watching, other, ann, bob, posted):
    """Ann's posts appear to her at once in either process; Bob sees those older than a second."""
    began = time.monotonic()
    for look in (lambda user: home(watching, user), lambda user: other.do(home, user)):
        shown = {tweet.id for tweet in look(bob)[0].tweets}
        assert shown.issuperset(id_ for id_, moment in posted.items() if moment < began - FRESH)
        if len(posted) < 50:
            made = act(watching, "post", ann, "hello")
            posted[made] = time.monotonic()
            assert {tweet.id for tweet in look(ann)[0].tweets}.issuperset(posted)


# stopped between the read of the followers and the write


class Pooler(Proxy):
    """Like PgBouncer, it reports another process id than the server's."""

    async def _pump(self, reader, writer, answers=False):
        while data := await reader.read(RECEIVED):
            if answers:
                data = re.sub(rb"(?s)(?<=K\0\0\0\x0c).{4}", b"\0\0\0\7", data)
            writer.write(data)
            await writer.drain()
        writer.close()


@pytest.fixture
def pooled_url(postgresql_url):
    url = make_url(postgresql_url)
    with closing(Pooler(str(url.host), int(url.port or 0))) as pooler:
        yield url.set(host=pooler.host, port=pooler.port).render_as_string(hide_password=False)


def stop_before(write):
    def stopping(store, *args):
        if armed and armed.pop() and not armed:
            os.kill(os.getpid(), signal.SIGSTOP)
        return write(store, *args)

    return stopping


def stopping_at_checkpoints():
    """Has the stores of this process stop it before they write a checkpoint, once it is armed."""
    for store in (RedisTimelineStore, MemcachedTimelineStore):
        store.set_checkpoint = stop_before(store.set_checkpoint)


def stopping():
    """Has the stores of this process stop it before they write, once it is armed; the author's own come first."""

    for store, write in (
        (RedisTimelineStore, "add_batch"),
        (RedisTimelineStore, "_begin"),
        (MemcachedTimelineStore, "_append"),
    ):
        setattr(store, write, stop_before(getattr(store, write)))


def stopping_large():
    """As `stopping`; every author is a large one, and a chunk is one follower."""
    projector.SMALL, streams.CHUNK = 0, 1
    stopping()


armed: list[bool] = []  # seconds of writes before the process stops


def arm(process, writes=1):
    armed.extend([True] * writes)


def disarm(process):
    armed.clear()


def lease_of(process):
    return type(process.delivery.relays[0]._lease).__name__


@pytest.mark.parametrize(
    ("database", "backend", "kind", "setup", "writes"),
    [
        ("postgresql", "redis", "AdvisoryLease", stopping, 1),
        ("postgresql", "redis", "AdvisoryLease", stopping_large, 2),
        ("postgresql", "memcached", "AdvisoryLease", stopping_large, 2),
        ("pooled", "redis", "RowLease", stopping, 1),
    ],
)
def test_a_holder_is_stopped_before_it_writes_and_resumed_after_a_takeover(
    request, settings, database, backend, kind, setup, writes
):
    """A reader who unfollowed in between sees no tweet of the author."""
    url = request.getfixturevalue(f"{database}_url")
    with ExitStack() as stack:
        watching = stack.enter_context(closing(Process(url, backend, **settings, **WATCHING)))
        ann, bob, cid = (sign_up(watching, name) for name in ("ann", "bob", "cid"))
        for user in (bob, cid):
            act(watching, "follow", user, "ann")
        holder = Child(url, backend, setup, **settings)
        stack.callback(holder.close)
        wait_until(lambda: holder.do(holds), SECONDS)
        other = Child(url, backend, None, **settings)
        stack.callback(other.close)
        assert watching.delivery.drain(SECONDS)
        wait_until(lambda: home(watching, bob) == (Page((), None), backend), SECONDS)
        wait_until(lambda: other.do(lease_of) == holder.do(lease_of) == kind, SECONDS)
        holder.do(arm, writes)
        late = act(watching, "post", ann, "late")
        holder.wait_until_stopped()
        wait_until(lambda: other.do(holds), SECONDS, PAUSE)
        act(watching, "unfollow", bob, "ann")
        assert watching.delivery.drain(SECONDS)
        wait_until(lambda: home(watching, bob) == (Page((), None), backend), SECONDS)
        assert watching.timelines.peek(Timeline("home", bob)).ids == []  # warm again
        holder.resume()
        wait_until(lambda: not holder.do(holds), SECONDS, PAUSE)
        assert watching.delivery.drain(SECONDS)
        assert home(watching, bob)[0] == Page((), None)
        assert [tweet.id for tweet in home(watching, ann)[0].tweets] == [late]


def test_a_stopped_holder_on_sqlite_keeps_its_lock_and_sql_serves_the_pages(sqlite_url, settings):
    with ExitStack() as stack:
        watching = stack.enter_context(closing(Process(sqlite_url, "redis", **settings, **WATCHING)))
        ann, bob = sign_up(watching, "ann"), sign_up(watching, "bob")
        act(watching, "follow", bob, "ann")
        holder = Child(sqlite_url, "redis", stopping, **settings)
        stack.callback(holder.close)
        wait_until(lambda: holder.do(holds), SECONDS)
        other = Child(sqlite_url, "redis", None, **settings)
        stack.callback(other.close)
        assert watching.delivery.drain(SECONDS)
        home(watching, bob)
        holder.do(arm)
        late = act(watching, "post", ann, "late")
        holder.wait_until_stopped()
        time.sleep(FRESH)
        for look in (lambda user: home(watching, user), lambda user: other.do(home, user)):
            page, by = look(bob)
            assert ([tweet.id for tweet in page.tweets], by) == ([late], "redis, from SQL")
        act(watching, "unfollow", bob, "ann")
        assert home(watching, bob)[0] == Page((), None)
        assert not other.do(holds)
        holder.resume()
        wait_until(lambda: home(watching, bob) == (Page((), None), "redis"), SECONDS)


def test_long_batch_keeps_the_lease(postgresql_url, settings, monkeypatch, caplog):
    caplog.set_level("INFO", "tweeter.delivery")
    of_each = followers.of_each

    def slow(*args):
        time.sleep(1.2)
        return of_each(*args)

    with ExitStack() as stack:
        one, other = (stack.enter_context(closing(Process(postgresql_url, "redis", **settings))) for _ in range(2))
        ann = sign_up(one, "ann")
        assert one.delivery.drain(SECONDS)
        assert other.delivery.drain(SECONDS)
        caplog.clear()
        monkeypatch.setattr(followers, "of_each", slow)
        act(one, "post", ann, "hello")
        assert one.delivery.drain(SECONDS)
        assert "another relay" not in caplog.text


def test_unfollow_during_a_killed_fan_out_leaves_no_wrong_entry(sqlite_url, settings):
    """It dropped the reader's timeline, wrote to it, and was killed before it read the followers again."""
    with closing(Process(sqlite_url, "redis", **settings)) as process:
        ann, bob = sign_up(process, "ann"), sign_up(process, "bob")
        act(process, "follow", bob, "ann")
        tweet = act(process, "post", ann, "late") or 0
        act(process, "unfollow", bob, "ann")
        assert process.delivery.drain(SECONDS)
        wait_until(lambda: home(process, bob) == (Page((), None), "redis"), SECONDS)
        process.delivery.stop()
        store = process.timelines.store
        store.add([Timeline("home", bob).key], tweet)
        in_flight = (InFlight(1, 1, TweetCreated(tweet, ann)),)
        store.set_checkpoint(encode(replace(checkpoint(process), holder="killed", in_flight=in_flight)))
    with closing(Process(sqlite_url, "redis", **settings)) as process:
        assert process.delivery.drain(SECONDS)
        wait_until(lambda: home(process, bob)[1] == "redis", SECONDS)
        assert home(process, bob)[0] == Page((), None)
