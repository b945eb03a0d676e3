"""Reads on replicas: never stale for the reader who wrote, and replicas are left out and taken back by themselves."""

import json
import logging
import re
import threading
import time
from collections import Counter
from contextlib import closing, contextmanager

import pytest
from alembic import command
from pyramid_retry import IRetryableError
from sqlalchemy import select, text
from sqlalchemy.exc import DataError

from tests.conftest import HERE, engine_on, running, settings_of, write_ini
from tests.integration.test_forks import forked
from tests.support.databases import alembic_config
from tests.support.people import Browser, Person
from tweeter.bench.replicas import paused_at_random
from tweeter.cli import main
from tweeter.db.positions import EVERY, Position, Primary, Sample, Written, ended_before
from tweeter.db.reads import reading
from tweeter.devtools.proxy import Proxy
from tweeter.devtools.servers import PostgreSQL, PostgreSQLReplica
from tweeter.errors import SettingError
from tweeter.interfaces import ITimelines
from tweeter.metrics import SQL_READS
from tweeter.models import User
from tweeter.services.actions import actions_of
from tweeter.values import Timeline

PATIENCE = 20
LIMIT = 400  # milliseconds


@pytest.fixture(scope="module")
def primary():
    """It sends its log at once: with synchronous_commit off replicas would lag by the delay of its writer."""
    with closing(PostgreSQL(synchronous_commit="on", wal_keep_size="512MB")) as server:
        server.start()
        server.execute("CREATE DATABASE site")
        command.upgrade(alembic_config(server.url("site")), "head")
        yield server


@contextmanager
def replica_of(primary, **options):
    with closing(PostgreSQLReplica(primary, **options)) as server:
        server.start()
        yield server


@pytest.fixture(scope="module")
def replica(primary):
    with replica_of(primary, max_standby_streaming_delay="0") as server:
        yield server


@contextmanager
def site_on(primary, *urls, backend="sql", **own):
    """A site whose replicas serve."""
    settings = settings_of(primary.url("site")) | {
        "sqlalchemy.replica_urls": " ".join(urls),
        "tweeter.replica_lag_ms": LIMIT,
        "tweeter.timelines": backend,
        **own,
    }
    with running(settings) as app:
        until(lambda: all(each.serves for each in app.registry.database.watch.replicas))
        yield app


@pytest.fixture(scope="module")
def site(primary, replica):
    with site_on(primary, replica.url("site")) as app:
        yield app


def until(condition):
    deadline = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.005)


@pytest.fixture(autouse=True)
def _replaying(request):
    yield
    if "replica" in request.fixturenames:
        request.getfixturevalue("replica").resume_replay()


names = iter(f"user{number}" for number in range(1000))


def person(app):
    return Person(Browser(app, HERE), next(names))


@contextmanager
def counted():
    """The reads within the block, by kind, server and reason."""
    before, found = _reads(), Counter()
    yield found
    found.update(_reads() - before)


def _reads():
    [family] = SQL_READS.collect()
    return Counter(
        {tuple(sample.labels.values()): sample.value for sample in family.samples if sample.name.endswith("_total")}
    )


def until_on_replica(read, kind="page"):
    """Repeats the read until a replica serves it: on a busy machine its last look may be too old for a moment."""

    def served():
        with counted() as reads:
            read()
        return reads[kind, "replica", ""] and {key[1] for key in reads} == {"replica"}

    until(served)


def watched(app, number=0):
    return app.registry.database.watch.replicas[number]


# where reads go


def test_pages_come_from_the_replica(site, replica):
    ada = person(site)
    tweet = ada.post("hello #replicas")
    for url in ("/", "/public", f"/@{ada.username}", f"/@{ada.username}/followers", f"/tweets/{tweet}"):
        until_on_replica(lambda url=url: ada.get(url, status=200))
    until_on_replica(lambda: ada.ids("/search?q=%23replicas").index(tweet))
    export = "/settings/export.json"
    until_on_replica(lambda: [row["id"] for row in json.loads(ada.get(export).body)["tweets"]].index(tweet))
    until_on_replica(lambda: Browser(site, HERE).get("/", status=200))
    with counted() as reads:
        ada.send("/tweets", message="", status=400)
    assert not reads  # forms are answered by the primary


def test_writer_reads_on_the_primary_until_the_replica_has_the_write(site, replica):
    ada, eve = person(site), person(site)
    again = Person(Browser(site, HERE))  # another browser of the same account
    again.sign_in(ada.username)
    until_on_replica(lambda: eve.get("/public", status=200))
    replica.pause_replay()
    with counted() as reads:
        tweet = ada.post("written while the replay is paused")
        assert tweet in ada.ids("/")
        assert tweet in again.ids(f"/@{ada.username}")
        ada.send("/settings", action="profile", display_name="Ada L", bio="new words", status=303)
        assert "new words" in again.get(f"/@{ada.username}")
        fresh = person(site)  # the account does not exist on the replica
        fresh.get(f"/@{fresh.username}", status=200)
    assert {key[1] for key in reads} == {"primary"}
    assert sum(reads.values()) >= 5
    until(lambda: not watched(site).serves)  # it lags more than the limit
    assert tweet in eve.ids("/public")
    replica.resume_replay()
    until_on_replica(lambda: ada.ids("/").index(tweet))


def test_no_read_is_stale_while_the_replay_is_paused_at_random(site, replica):
    """`tweeter bench replicas --pairs 100000` is the long form, over HTTP and with Redis."""
    ada = person(site)
    again = Person(Browser(site, HERE))
    again.sign_in(ada.username)
    token = ada.token()
    with counted() as reads, paused_at_random(replica):
        for number in range(60):
            ada.browser.post("/tweets", {"csrf_token": token, "message": f"pair {number}"}, status=303)
            assert f"pair {number}<" in (ada, again)[number % 2].get(f"/@{ada.username}").text
    assert reads["page", "replica", ""]
    assert reads["page", "primary", "behind"]


def test_forked_process_looks_at_its_replicas(site):
    def work():
        until_on_replica(lambda: Browser(site, HERE).get("/public", status=200))

    until(lambda: watched(site).serves)
    assert forked(work) == 0


@pytest.mark.parametrize("backend", ["memory", "redis"])
def test_backfills_come_from_the_replica_that_has_everything(primary, replica, redis_server, backend):
    own = {"tweeter.redis.url": redis_server.url, "tweeter.redis.prefix": f"replicas-{backend}:"}
    with site_on(primary, replica.url("site"), backend=backend, **own) as app:
        ada = person(app)
        tweets = [ada.post(f"{number}") for number in range(3)]
        timelines = app.registry.getUtility(ITimelines)
        until(lambda: timelines.live())
        with app.registry.database.sessions() as session:
            owner = session.scalar(select(User.id).where(User.username == ada.username))

        def read_cold():
            timelines.drop(Timeline("home", owner))
            assert ada.ids("/")[:3] == tweets[::-1]

        until_on_replica(read_cold, "fill")
        replica.pause_replay()
        tweets.append(ada.post("the last"))
        timelines.drop(Timeline("home", owner))
        with counted() as reads:
            assert ada.ids("/")[:4] == tweets[::-1]
        assert sum(reads.values())
        assert not reads["fill", "replica", ""]


def test_tweet_that_only_the_replica_shows_is_not_lost(primary, replica):
    """A commit that waits for a synchronous standby is on the replica already, and not yet visible on the primary."""
    with site_on(primary, replica.url("site"), backend="memory", **{"tweeter.sql_timeout_ms": 0}) as app:
        ada, ben = person(app), person(app)
        ben.follow(ada.username)
        timelines = app.registry.getUtility(ITimelines)
        until(lambda: timelines.live())
        with app.registry.database.sessions() as session:
            owner = session.scalar(select(User.id).where(User.username == ben.username))
        primary.execute("ALTER SYSTEM SET synchronous_standby_names = 'missing'")
        primary.execute("SELECT pg_reload_conf()")
        try:
            form = {"csrf_token": ada.token(), "message": "early"}
            posting = threading.Thread(target=ada.browser.post, args=("/tweets", form))
            time.sleep(0.2)
            posting.start()
            with app.registry.database.watch.replicas[0].engine.connect() as connection:
                until(lambda: connection.scalar(text("SELECT count(*) FROM tweets WHERE message = 'early'")))
            timelines.drop(Timeline("home", owner))
            ben.ids("/")
            [early] = timelines.peek(Timeline("home", owner)).ids
            ben.ids("/")
        finally:
            primary.execute("ALTER SYSTEM RESET synchronous_standby_names")
            primary.execute("SELECT pg_reload_conf()")
            posting.join()
        until(lambda: ben.ids("/") == [early])


# leaving out and taking back


def test_dead_replica_is_left_out_and_taken_back(site, replica, caplog):
    caplog.set_level(logging.INFO, "tweeter.replicas")
    ada = person(site)
    until(lambda: watched(site).serves)
    replica.kill()
    for _ in range(20):
        began = time.monotonic()
        ada.get(f"/@{ada.username}", status=200)
        assert time.monotonic() - began < 5
    assert not watched(site).serves
    tweet = ada.post("while the replica is down")
    replica.start()
    until(lambda: watched(site).serves)
    assert tweet in ada.ids("/")
    lines = [record.getMessage() for record in caplog.records if record.name == "tweeter.replicas"]
    assert any(re.fullmatch(rf"replica 127.0.0.1:{replica.port} is left out: .+", line) for line in lines)
    assert lines[-1] == f"replica 127.0.0.1:{replica.port} serves reads"
    assert len(lines) < 10


def test_request_does_not_wait_for_a_replica_that_hangs(primary, replica):
    with (
        closing(Proxy(replica.host, replica.port)) as proxy,
        site_on(primary, replica.url("site").replace(f":{replica.port}", f":{proxy.port}")) as app,
    ):
        ada = person(app)
        ada.get("/public")
        until(lambda: watched(app).serves)
        proxy.become("swallow")
        longest = 0.0
        for _ in range(20):
            began = time.monotonic()
            ada.get("/public", status=200)
            longest = max(longest, time.monotonic() - began)
            time.sleep(0.03)
        assert longest < 2.3  # a statement may take 2.5 seconds
        assert not watched(app).serves
        proxy.become("pass")
        until(lambda: watched(app).serves)


def test_cancelled_statement_is_repeated_on_the_primary(site, caplog):
    """The replica cancels statements that conflict with its replay."""
    database = site.registry.database
    ada = person(site)
    tweet = ada.post("a conflict")
    until(lambda: watched(site).serves)
    with reading(lambda: None), database.page_sessions() as session:
        assert session.get_bind() is watched(site).engine
        with pytest.raises(DataError) as error:
            session.execute(text("SELECT 1 / 0"))
    assert IRetryableError.providedBy(error.value)
    caplog.clear()
    caplog.set_level(logging.INFO, "tweeter.replicas")
    stopped = threading.Event()

    def conflict():
        with database.engine.connect() as connection:
            while not stopped.is_set():
                connection.execute(text("LOCK TABLE tweets IN ACCESS EXCLUSIVE MODE"))
                connection.commit()

    thread = threading.Thread(target=conflict)
    thread.start()
    try:
        deadline = time.monotonic() + PATIENCE
        while "conflict with recovery" not in caplog.text:
            assert ada.ids(f"/@{ada.username}") == [tweet]
            assert time.monotonic() < deadline
    finally:
        stopped.set()
        thread.join()


def test_promoted_replica_serves_no_page(primary):
    with replica_of(primary) as other, site_on(primary, other.url("site")) as app:
        ada = person(app)
        ada.get("/public")
        other.promote()
        with counted() as reads:
            tweet = ada.post("after the promotion")
            assert tweet in ada.ids("/")
        assert not reads["page", "replica", ""]
        until(lambda: not watched(app).serves)
        for _ in range(3):
            watched(app).look()
        assert not watched(app).serves


def test_after_a_failover_only_replicas_of_the_new_primary_serve(primary, replica, caplog):
    """Positions of the old timeline mean nothing on the new one."""
    with replica_of(primary) as promoted:
        promoted.promote()
        with (
            replica_of(promoted) as follower,
            running(
                settings_of(promoted.url("site"))
                | {"sqlalchemy.replica_urls": f"{replica.url('site')} {follower.url('site')}"}
            ) as app,
        ):
            until(lambda: watched(app, 1).serves)
            until(lambda: "it is on timeline 1, the primary on 2" in caplog.text)
            ada = person(app)
            for number in range(3):
                tweet = ada.post(f"{number}")
                assert len(ada.ids("/")) == number + 1
            until_on_replica(lambda: ada.ids("/").index(tweet))
            assert not watched(app, 0).serves


# mistakes of other balancers


def test_caught_up_replica_says_nothing_about_another(primary, replica):
    """Each session proves on its own connection that its replica has the write."""
    with replica_of(primary) as other, site_on(primary, replica.url("site"), other.url("site")) as app:
        people = [person(app), person(app)]  # each begins with another replica
        replica.pause_replay()
        for ada in people * 3:
            tweet = ada.post("on one of two replicas")
            other.catch_up()
            with counted() as reads:
                assert tweet in ada.ids("/")
            assert reads["page", "replica", ""] or reads["page", "primary", "behind"]


def test_all_received_is_not_caught_up(primary, replica):
    """A replica that is cut off has replayed everything that it received."""
    with replica_of(primary) as other, site_on(primary, other.url("site")) as app:
        ada = person(app)
        other.execute("ALTER SYSTEM SET primary_conninfo = ''")
        other.execute("SELECT pg_reload_conf()")
        time.sleep(0.3)
        tweet = ada.post("not received")
        assert tweet in ada.ids("/")
        until(lambda: not watched(app).serves)
        time.sleep(LIMIT / 1000)
        assert not watched(app).serves


def test_idle_primary_is_no_lag(site, replica, caplog):
    until(lambda: watched(site).serves)
    time.sleep(LIMIT / 1000 + 0.3)
    assert "it lags" not in caplog.text


def test_primary_in_recovery_serves_pages(site, replica):
    """The functions of the log fail in recovery: `sqlalchemy.url` may name a server that was demoted."""
    ada = person(site)
    replica.catch_up()
    with running(
        settings_of(replica.url("site")) | {"sqlalchemy.replica_urls": replica.url("site"), "tweeter.timelines": "sql"}
    ) as app:
        with counted() as reads:
            page = Browser(app, HERE, cookiejar=ada.browser.cookiejar).get("/public", status=200)
        assert f"@{ada.username}" in page
        assert reads == {("page", "primary", "none"): 1}
        watched(app).look()
        assert not watched(app).serves


# positions


def test_transaction_ids_are_compared_across_their_overflow():
    assert ended_before(99, 100)
    assert not ended_before(100, 100)
    assert not ended_before(101, 100)
    assert ended_before(2**32 - 5, 2**32 + 100)
    assert ended_before(50, 3 * 2**32 + 100)
    assert not ended_before(150, 3 * 2**32 + 100)
    assert ended_before(2, 2**31 + 100)  # a frozen row


def test_lowest_position_that_contains_a_write(primary):
    with engine_on(primary.url("site")) as engine:
        known = Primary(engine)
    known._samples = (
        Sample(1.0, 7, 1, oldest=10, committed=100, flushed=90),
        Sample(2.0, 7, 1, oldest=20, committed=200, flushed=200),
    )
    late = Position(1, 300)
    assert known.containing(Written(1, 5, late)) == Position(1, 100)
    assert known.containing(Written(1, 10, late)) == Position(1, 200)
    assert known.containing(Written(1, 20, late)) == late
    assert known.containing(Written(1, 20, None)) is None


def test_samples_contain_what_was_committed_before(primary):
    with engine_on(primary.url("site")) as engine, engine.connect() as connection:
        connection = connection.execution_options(isolation_level="AUTOCOMMIT")
        known = Primary(engine)
        known.look()
        before = known.newest
        xid = connection.scalar(
            text("INSERT INTO hashtags (tag, tweet_id) SELECT 'x', max(id) FROM tweets RETURNING xmin::text::bigint")
        )
        position = known.position()
        time.sleep(EVERY / 2)
        known.look()
        after = known.newest
    assert before is not None
    assert position is not None
    assert after is not None
    assert not ended_before(xid, before.oldest)
    assert ended_before(xid, after.oldest)
    assert before.committed < position.lsn <= after.committed
    assert before.timeline == position.timeline == 1


@pytest.mark.parametrize(
    "act",
    [
        lambda actions, me, other: actions.post(me, "hello"),
        lambda actions, me, other: actions.delete(me, actions.post(me, "hello").id),
        lambda actions, me, other: actions.follow(me, other),
        lambda actions, me, other: (actions.follow(me, other), actions.unfollow(me, other)),
        lambda actions, me, other: actions.change_profile(me, "", "a bio"),
        lambda actions, me, other: actions.change_profile(me, "Name", ""),
        lambda actions, me, other: actions.set_password(me, "another password"),
        lambda actions, me, other: actions.sign_out_everywhere(me),
        lambda actions, me, other: actions.close_account(me),
    ],
)
def test_each_action_writes_the_row_of_its_account(site, act):
    """The row's transaction id is that of the account's last write."""
    with site.registry.database.writing_sessions() as session:
        actions = actions_of(site.registry, session)
        me, other = (actions.sign_up(next(names), "a good password") for _ in range(2))
        own = select(text("xmin::text::bigint")).select_from(User).where(User.id == me.id)
        assert session.scalar(own) >= session.scalar(text("SELECT pg_current_xact_id()::text::bigint % 4294967296"))
        session.commit()
        act(actions, me.id, other.username)
        assert session.scalar(own) == session.scalar(text("SELECT pg_current_xact_id()::text::bigint % 4294967296"))
        session.rollback()


# settings


@pytest.mark.parametrize(
    ("url", "urls", "message"),
    [
        ("sqlite:///x.sqlite", "postgresql+psycopg://a@b/c", "needs PostgreSQL as sqlalchemy.url"),
        (None, "postgresql:/nonsense", "Invalid sqlalchemy.replica_urls"),
        (None, "nonsense://u:secret@h/db", "Invalid sqlalchemy.replica_urls"),
        (None, "sqlite:///x.sqlite", "is no database of PostgreSQL"),
        (None, "postgresql+psycopg://u:secret@/db?host=a&host=b", "names several servers"),
        (None, "postgresql+psycopg://u@a,b/db", "names several servers"),
        (None, "postgresql+psycopg://u@a/db postgresql+psycopg://u@a/db", "names a replica twice"),
    ],
)
def test_wrong_urls_are_refused_at_the_start(url, urls, message):
    settings = settings_of(url or "postgresql+psycopg://u@h/db") | {"sqlalchemy.replica_urls": urls}
    with pytest.raises(SettingError, match=message) as error, running(settings):
        pass
    assert "secret" not in str(error.value)


def test_settings_mask_the_passwords(tmp_path, capsys, monkeypatch):
    urls = "postgresql+psycopg://u:first@h1/db postgresql+psycopg://u:second@h2/db"
    ini = write_ini(tmp_path, "postgresql+psycopg://u@h/db")
    monkeypatch.setenv("SQLALCHEMY_REPLICA_URLS", urls)
    assert main(["settings", ini, "--json"]) == 0
    rows = {row["name"]: row for row in json.loads(capsys.readouterr().out)}
    shown = rows["sqlalchemy.replica_urls"]
    assert shown["value"] == "postgresql+psycopg://u:***@h1/db postgresql+psycopg://u:***@h2/db"
    assert shown["origin"] == "environment"
