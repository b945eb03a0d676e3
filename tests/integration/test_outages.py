"""Law 7 and law 1 together: a store that is down, stale, full or hanging; posts during the outage; recovery."""

import shutil
import sqlite3
import subprocess
import tempfile
import time
from contextlib import ExitStack, closing
from pathlib import Path

import psycopg
import pytest
from pymemcache import Client as MemcachedClient
from redis import Redis
from sqlalchemy import func, select

from tests.support.faults import KINDS, breakable
from tweeter.devtools.servers import Memcached, PostgreSQL
from tweeter.ids import MAX_ID
from tweeter.models import User
from tweeter.outbox import record
from tweeter.outbox.checkpoint import FRESH, decode
from tweeter.testing import Process
from tweeter.values import Cursor, Timeline, Truncated, Viewer

pytestmark = pytest.mark.slow
BACK = 10  # seconds until recovery must be complete


@pytest.fixture(params=["redis", "memcached"])
def backend(request):
    return request.param


@pytest.fixture
def server(request, backend):
    """The backend's server, which a test may break; repaired afterwards."""
    server = request.getfixturevalue(f"{backend}_server")
    yield server
    if server.running:
        server.resume()
    else:
        server.start()


@pytest.fixture
def settings(backend, server, sqlite_url):
    prefix = sqlite_url[-30:].replace("/", "-")
    own = {
        "redis": {"tweeter.redis.url": f"redis://{server.host}:{server.port}/0", "tweeter.redis.prefix": prefix},
        "memcached": {
            "tweeter.memcached.servers": f"{server.host}:{server.port}",
            "tweeter.memcached.prefix": prefix,
        },
    }
    return {"tweeter.capacity": "10", **own[backend]}


@pytest.fixture
def processes(sqlite_url, backend, settings):
    """A process on SQL as the reference, and two that share a store."""
    every = [Process(sqlite_url, name, **settings) for name in ("sql", backend, backend)]
    yield every
    for process in every:
        process.close()


@pytest.fixture
def people(processes):
    return two_people(processes[0])


def two_people(process):
    """Ann, who follows Bob."""
    with process.acting() as actions:
        ann, bob = actions.sign_up("ann", "password").id, actions.sign_up("bob", "password").id
        actions.follow(ann, "bob")
    return ann, bob


@pytest.fixture
def lived(processes, people):
    """A warm, caught-up and correct site."""
    live(processes, people)
    assert caught_up(processes)
    assert_right(processes, people)


def live(processes, people):
    """Some posts, and a delete."""
    ann, bob = people
    for author in (ann, bob, bob):
        with processes[1].acting() as actions:
            tweet = actions.post(author, "hello").id
    with processes[2].acting() as actions:
        actions.post(ann, "hi")
        actions.delete(bob, tweet)


def pages(process, people):
    ann, bob = people
    timelines = (Timeline("public"), Timeline("home", ann), Timeline("home", bob), Timeline("profile", bob))
    with process.sessions() as session:
        written = session.scalar(select(func.max(User.last_write)))
    return [
        process.timelines.page(timeline, Cursor(limit=limit), Viewer(written=written))
        for timeline in timelines
        for limit in (3, 20)
    ]


def assert_right(processes, people):
    """Every page equals SQL's. A page from a store may lag a second behind the commits (law 8), no longer."""
    expected = pages(processes[0], people)
    allowed = time.monotonic() + FRESH
    for process in processes[1:]:
        while True:
            may_lag = time.monotonic() < allowed
            found = pages(process, people)
            if found == expected or not may_lag:
                break
            time.sleep(0.01)
        assert found == expected


def caught_up(processes):
    """Everything is delivered, and the store serves pages."""
    return all(process.delivery.drain(BACK) for process in processes) and all(
        process.timelines.live() for process in processes[1:]
    )


@pytest.fixture(scope="module")
def redis_to_break():
    with breakable("redis") as servers:
        yield servers


@pytest.fixture(scope="module")
def memcached_to_break():
    with breakable("memcached") as servers:
        yield servers


@pytest.mark.parametrize("kind", KINDS)
def test_pages_equal_sql_after_every_server_fault(request, backend, sqlite_url, kind):
    servers = request.getfixturevalue(f"{backend}_to_break")
    (fault,) = [each for each in servers.faults if each.name == kind]
    own = {f"tweeter.{backend}.prefix": sqlite_url[-30:].replace("/", "-"), "tweeter.capacity": "10"}
    with ExitStack() as stack:
        processes = [Process(sqlite_url, name, **servers.settings, **own) for name in ("sql", backend, backend)]
        for process in processes:
            stack.enter_context(closing(process))
        people = two_people(processes[0])
        live(processes, people)
        assert caught_up(processes)
        assert_right(processes, people)
        fault.strike()
        try:
            assert_right(processes, people)
            assert not fault.harmless or all(process.reads_store for process in processes[1:])
            live(processes, people)
            settle(processes)
            assert_right(processes, people)
        finally:
            if fault.mend:
                fault.mend()
        assert_trusted_again(processes)
        assert_right(processes, people)
        live(processes, people)
        assert caught_up(processes)
        assert_right(processes, people)


def settle(processes):
    """Until everything is delivered, or SQL serves the pages."""
    for process in processes:
        process.ill = True
        process.settle()
        process.ill = False


def assert_trusted_again(processes):
    """The threads of the processes must detect it themselves."""
    deadline = time.monotonic() + BACK
    while not all(process.timelines.live() for process in processes[1:]):
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_a_server_that_flaps(processes, people, lived, server):
    for _ in range(3):
        server.kill()
        live(processes, people)
        assert_right(processes, people)
        server.start()
        time.sleep(0.3)
        live(processes, people)
    assert caught_up(processes)
    assert_right(processes, people)


def test_a_process_killed_between_commit_and_delivery(processes, people, lived):
    with processes[1].acting(deliver=False) as actions:
        actions.post(people[1], "my last words")
    processes[1].delivery.stop()
    assert processes[2].delivery.drain(BACK)
    assert_right([processes[0], processes[2]], people)


def test_events_from_an_outage_are_applied_afterwards(sqlite_url, backend, settings, processes, people, lived):
    for process in processes[1:]:
        process.close()
    with processes[0].acting() as actions:
        actions.post(people[1], "on sql alone")
        actions.unfollow(people[0], "bob")
    again = Process(sqlite_url, backend, **settings)
    assert_right([processes[0], again], people)
    assert again.delivery.drain(BACK)
    assert_right([processes[0], again], people)
    again.close()


def test_shadow_store_stays_correct_and_can_take_over(sqlite_url, backend, settings, processes, people, lived):
    for process in processes[1:]:
        process.close()
    shadowed = Process(sqlite_url, "sql", **settings, **{"tweeter.timelines.shadow": backend})
    live([processes[0], shadowed, shadowed], people)
    assert shadowed.timelines.name == "sql"
    assert shadowed.delivery.drain(BACK)
    shadowed.close()
    after = Process(sqlite_url, backend, **settings)
    assert after.delivery.drain(BACK)
    assert after.timelines.peek(Timeline("home", people[0])) is not None  # still warm from before
    assert_right([processes[0], after], people)
    after.close()


@pytest.mark.parametrize("backend", ["redis"], indirect=True)
def test_server_restored_from_a_snapshot_is_not_trusted(processes, people, lived, server):
    Redis(server.host, server.port).save()
    live(processes, people)
    assert caught_up(processes)
    assert_right(processes, people)
    server.kill()
    server.start()
    assert Redis(server.host, server.port).dbsize()
    for _ in range(20):
        assert_right(processes, people)
        time.sleep(0.05)
    assert caught_up(processes)
    assert_right(processes, people)


def test_a_database_that_was_restored_from_a_backup(sqlite_url, backend, settings, processes, people, lived, tmp_path):
    """Its log continues from the backup: the store contains tweets and follows that the database lacks."""
    path = sqlite_url.removeprefix("sqlite:///")
    with closing(sqlite3.connect(path)) as live_one, closing(sqlite3.connect(tmp_path / "backup")) as backup:
        live_one.backup(backup)
    live(processes, people)
    with processes[0].acting() as actions:
        actions.unfollow(people[0], "bob")
    assert caught_up(processes)
    for process in processes:
        process.close()
    for end in ("-wal", "-shm"):
        Path(path + end).unlink(missing_ok=True)
    shutil.copyfile(tmp_path / "backup", path)
    assert_right_on(sqlite_url, backend, settings, people)


@pytest.mark.parametrize("backend", ["redis"], indirect=True)
def test_restored_database_with_new_events_before_delivery(
    sqlite_url, backend, settings, processes, people, lived, tmp_path
):
    """For example on `sql`: its new events have the ids of events that the store has applied before."""
    path = sqlite_url.removeprefix("sqlite:///")
    with closing(sqlite3.connect(path)) as live_one, closing(sqlite3.connect(tmp_path / "backup")) as backup_:
        live_one.backup(backup_)
    live(processes, people)
    assert caught_up(processes)
    for process in processes:
        process.close()
    for end in ("-wal", "-shm"):
        Path(path + end).unlink(missing_ok=True)
    shutil.copyfile(tmp_path / "backup", path)
    with closing(Process(sqlite_url, "sql")) as alone:
        for _ in range(3):
            live([alone] * 3, people)
    assert_right_on(sqlite_url, backend, settings, people)


def checkpoint(process):
    return decode(process.timelines.store.checkpoint())


def test_a_truncation_keeps_the_checkpoint(processes, people, lived):
    before = checkpoint(processes[1])
    with processes[1].registry.database.writing_sessions.begin() as session:
        record(session, Truncated(MAX_ID))
    assert caught_up(processes)
    after = checkpoint(processes[1])
    assert after.last > before.last


@pytest.mark.parametrize("backend", ["redis"], indirect=True)
def test_lost_checkpoint_keeps_timelines_warm(processes, people, lived, server, settings, caplog):
    """The lease holder has it in memory; the next one reads it from SQL."""
    caplog.set_level("INFO", "tweeter.delivery")
    holder, other = sorted(processes[1:], key=lambda process: not process.delivery.relays[0].holds)
    for working in (holder, other):
        with Redis(server.host, server.port) as client:
            client.delete(*client.scan_iter(f"{settings['tweeter.redis.prefix']}*checkpoint*"))
        if working is other:
            holder.close()
        live([processes[0], working, working], people)
        assert working.delivery.drain(BACK)
        assert_right([processes[0], working], people)
    assert "starts cold" not in caplog.text


def swap_checkpoint(process, server, damage):
    """Replaces a checkpoint; None deletes it."""
    store, data = process.timelines.store, process.timelines.store.checkpoint()
    if isinstance(server, Memcached):
        with closing(MemcachedClient((server.host, server.port), default_noreply=False)) as client:
            name = store._checkpoint_name
            client.delete(name) if damage is None else client.set(name, damage(data), flags=1)
    else:
        with Redis(server.host, server.port) as client:
            [name] = client.scan_iter(f"{store._wire.prefix}*checkpoint*")
            client.delete(name)
            if damage is hash:
                client.hset(name, "a", "hash")
            elif damage is not None:
                client.set(name, damage(data))


DAMAGES = [
    None,
    hash,  # of another type
    lambda data: b"",
    lambda data: b"x",
    lambda data: data[:-3],
    lambda data: data[:8] + b"\xff" * 30,
    lambda data: data[:8] + data[8:9] + b"\x63" + data[10:],  # of another version
    lambda data: b"\xff" * 8 + data[8:],  # its order among others
]


@pytest.mark.parametrize(
    ("damage", "restart"), [*((damage, False) for damage in DAMAGES), *((damage, True) for damage in DAMAGES[:3])]
)
def test_damaged_checkpoint_keeps_timelines_warm(sqlite_url, processes, people, lived, server, restart, damage, caplog):
    """The lease holder writes it again; the next one reads it from SQL."""
    caplog.set_level("INFO", "tweeter.delivery")
    if restart:
        for process in processes[2:]:
            process.delivery.stop()
        processes[1].delivery.stop()
    if damage is hash and isinstance(server, Memcached):
        damage = bytes.swapcase
    swap_checkpoint(processes[1], server, damage)
    assert_right(processes, people)
    with processes[0].acting() as actions:
        actions.post(people[1], "hello")
        actions.unfollow(people[0], "bob")
    working = processes
    if restart:
        another = Process(sqlite_url, processes[1].backend, **processes[1].settings)
        working = [processes[0], another]
    assert_right(working, people)
    assert caught_up(working)
    assert_right(working, people)
    assert "starts cold" not in caplog.text
    assert working[1].timelines.peek(Timeline("public")) is not None
    if restart:
        another.close()


@pytest.mark.parametrize("backend", ["redis"], indirect=True)
def test_processes_with_different_names_of_one_store(sqlite_url, settings, processes, people, lived, caplog):
    caplog.set_level("INFO", "tweeter.delivery")
    url = settings["tweeter.redis.url"].replace("127.0.0.1", "localhost")
    other = Process(sqlite_url, "redis", **{**settings, "tweeter.redis.url": url})
    every = [*processes, other]
    assert caught_up(every)
    caplog.clear()
    for _ in range(5):
        live([processes[0], processes[1], other], people)
        assert caught_up(every)
        assert_right(every, people)
    assert "starts cold" not in caplog.text
    other.close()


# Backups of PostgreSQL in three steps: before anything happens, the backup, and its URL once it is restored.


def copied(server, url):
    """On the same server: transaction ids continue."""
    yield
    name = url.rpartition("/")[2]
    server.execute(f"CREATE DATABASE {name}_restored TEMPLATE {name}")
    yield
    yield server.url(f"{name}_restored")


def copied_while_a_transaction_is_open(server, url):
    """In any database: while it runs, the position in the log does not advance."""
    with psycopg.connect(server.url("postgres").replace("+psycopg", "")) as connection:
        connection.execute("SELECT pg_current_xact_id()")
        yield from copied(server, url)


def dumped(server, url):
    """Loaded into a newer server, whose transaction ids are lower than those in the dump."""
    yield
    server.execute("DO $$ BEGIN FOR i IN 1..3000 LOOP PERFORM pg_current_xact_id(); COMMIT; END LOOP; END $$")
    with tempfile.NamedTemporaryFile() as file, closing(PostgreSQL()) as younger:
        run_client("pg_dump", url, "-f", file.name)
        yield
        younger.start()
        younger.execute("CREATE DATABASE restored")
        run_client("psql", younger.url("restored"), "-q", "-v", "ON_ERROR_STOP=1", "-f", file.name)
        yield younger.url("restored")


def run_client(program, url, *arguments):
    subprocess.run([program, *arguments, url.replace("+psycopg", "")], check=True, stdout=subprocess.DEVNULL)


@pytest.mark.parametrize("backend", ["redis"], indirect=True)
@pytest.mark.parametrize(
    ("backup", "forgetful"),
    [(copied, False), (copied_while_a_transaction_is_open, False), (dumped, False), (dumped, True)],
)
def test_a_postgresql_database_that_was_restored(
    postgresql_server, postgresql_url, backup, forgetful, backend, server, settings
):
    """A store without a checkpoint (evicted, for example) detects a newer server, too."""

    def begun():
        return [Process(postgresql_url, name, **settings) for name in ("sql", backend, backend)]

    def end(processes):
        for process in processes:
            process.close()

    restored = backup(postgresql_server, postgresql_url)
    next(restored)
    processes = begun()
    people = two_people(processes[0])
    live(processes, people)
    assert caught_up(processes)
    end(processes)
    next(restored)
    processes = begun()
    live(processes, people)
    with processes[0].acting() as actions:
        actions.unfollow(people[0], "bob")
    assert caught_up(processes)
    assert_right(processes, people)
    end(processes)
    if forgetful:
        with Redis(server.host, server.port) as client:
            client.delete(*client.scan_iter(f"{settings['tweeter.redis.prefix']}*checkpoint*"))
    assert_right_on(next(restored), backend, settings, people)
    restored.close()


def assert_right_on(url, backend, settings, people):
    """On a database from which nothing was delivered to the store; includes its later events."""
    processes = [Process(url, name, **settings) for name in ("sql", backend, backend)]
    assert_right(processes, people)
    assert caught_up(processes)
    assert_right(processes, people)
    live(processes, people)
    assert caught_up(processes)
    assert_right(processes, people)
    for process in processes:
        process.close()
