"""Positions in the log on PostgreSQL: reuse of transaction ids after a crash."""

from contextlib import ExitStack, closing

import psycopg
import pytest
from alembic import command
from sqlalchemy import select
from sqlalchemy.exc import OperationalError

from tests.support.children import act, home, sign_up
from tests.support.databases import alembic_config
from tweeter.devtools.servers import PostgreSQL
from tweeter.devtools.servers.cluster import wait_until
from tweeter.models import Consumer, User
from tweeter.outbox.checkpoint import decode
from tweeter.testing import Process
from tweeter.values import Cursor, Timeline

SECONDS = 20


@pytest.fixture
def durable():
    """A database that is durable when killed, and flushes nothing early."""
    with closing(PostgreSQL(synchronous_commit="on", wal_writer_delay="10s", bgwriter_lru_maxpages="0")) as server:
        server.start()
        server.execute("CREATE DATABASE site")
        command.upgrade(alembic_config(server.url("site")), "head")
        yield server


def last_write(process, user):
    with process.sessions() as session:
        return session.scalar(select(User.last_write).where(User.id == user)) % 2**48


def again(function, *args):
    """Like a request: replaces a connection from before the crash."""
    while True:
        try:
            return function(*args)
        except OperationalError:
            pass


def checkpoint_in_sql(process):
    with process.sessions() as session:
        return decode(session.scalar(select(Consumer.checkpoint)))


def checkpoint(process):
    return decode(process.timelines.store.checkpoint())


def test_transaction_id_reused_after_a_crash_is_a_new_event(durable, redis_server):
    """After a crash PostgreSQL loses transactions that wrote nothing to disk, even if others saw them end."""
    url = durable.url("site")
    settings = {"tweeter.redis.url": redis_server.url}
    with ExitStack() as stack:
        one, other = (stack.enter_context(closing(Process(url, "redis", **settings))) for _ in range(2))
        ann = sign_up(one, "ann")
        posted = [act(one, "post", ann, "before")]
        assert one.delivery.drain(SECONDS)
        # The relay writes no more.
        wait_until(lambda: checkpoint_in_sql(one) and checkpoint_in_sql(one).last == checkpoint(one).last)
        with psycopg.connect(url.replace("+psycopg", "")) as connection:
            # The write-ahead log is flushed at page boundaries.
            while next(connection.execute("SELECT (pg_current_wal_insert_lsn() - '0/0') % 8192"))[0] > 4000:
                connection.execute("SELECT pg_logical_emit_message(true, 'test', repeat('x', 1000))")
                connection.commit()
            for _ in range(30):
                connection.execute("SELECT pg_current_xact_id()")
                connection.rollback()
            [[seen]] = connection.execute("SELECT pg_snapshot_xmax(pg_current_snapshot())::text::bigint").fetchall()
        sequence = checkpoint(one).sequence
        wait_until(lambda: checkpoint(one).sequence > sequence + 1)  # the relay saw them end
        durable.kill()
        durable.start()
        for number in range(10):
            posted.append(again(act, one, "post", ann, f"after {number}"))
            assert number or again(last_write, one, ann) < seen
            for process in (one, other):
                assert [tweet.id for tweet in again(home, process, ann)[0].tweets] == posted[::-1]
        assert one.delivery.drain(SECONDS)
        page, by = again(home, one, ann)
        assert [tweet.id for tweet in page.tweets] == posted[::-1]
        assert by == "redis"


@pytest.mark.parametrize("open_", [1, 20])
def test_open_transactions_neither_stop_delivery_nor_grow_the_checkpoint(postgresql_url, redis_server, open_):
    settings = {"tweeter.redis.url": redis_server.url}
    with ExitStack() as stack:
        process = stack.enter_context(closing(Process(postgresql_url, "redis", **settings)))
        ann, bob = sign_up(process, "ann"), sign_up(process, "bob")
        act(process, "follow", bob, "ann")
        late = []
        for _ in range(open_):
            session = stack.enter_context(process.sessions())
            late.append((session, process.actions(session).post(sign_up(process, f"u{len(late)}"), "at last").id))
        posted = [act(process, "post", ann, f"{number}") for number in range(200)]
        assert process.delivery.drain(SECONDS)
        page, by = home(process, bob, limit=200)
        assert [tweet.id for tweet in page.tweets] == posted[::-1]
        assert by == "redis"
        largest = 1024 + 12 * open_
        assert len(process.timelines.store.checkpoint()) <= largest
        for session, _ in late:
            session.commit()
        assert process.delivery.drain(SECONDS)
        shown = {tweet.id for tweet in process.timelines.page(Timeline("public"), Cursor(limit=400)).tweets}
        assert shown.issuperset(id_ for _, id_ in late)
        process.delivery.stop()
        with process.sessions() as session:
            assert len(session.scalar(select(Consumer.checkpoint))) <= largest
