"""A database that is restored from a backup: the relay detects it, and stores start cold."""

import os
import shutil
import sqlite3
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest
from sqlalchemy import select

from tweeter.devtools.servers import PostgreSQL, Redis
from tweeter.models import User
from tweeter.outbox.checkpoint import FRESH
from tweeter.testing import Process
from tweeter.values import Cursor, Timeline, Viewer

SECONDS = 20
NOTICED = 3  # seconds until a running relay must have detected a restore


@pytest.fixture(params=["redis", "memory"])
def make(request: pytest.FixtureRequest, redis_server: Redis, tmp_path: Path) -> Callable[[str], Process]:
    own = {"tweeter.redis.url": redis_server.url, "tweeter.redis.prefix": f"{tmp_path.name}:"}
    return lambda url: Process(url, request.param, **own)


@pytest.fixture
def backup(request: pytest.FixtureRequest, database_url: str, tmp_path: Path) -> Iterator[None]:
    """Makes a backup at the first step, and restores it into the database in use at the second."""
    if database_url.startswith("sqlite"):
        path = database_url.removeprefix("sqlite:///")
        return _sqlite(path, f"{tmp_path}/backup")
    return _postgresql(
        request.getfixturevalue("postgresql_server"), database_url.rpartition("/")[2], f"{tmp_path}/dump"
    )


def _sqlite(path: str, copy: str) -> Iterator[None]:
    with closing(sqlite3.connect(path)) as one, closing(sqlite3.connect(copy)) as other:
        one.backup(other)
    yield
    with closing(sqlite3.connect(copy)) as one, closing(sqlite3.connect(path, timeout=SECONDS)) as other:
        one.backup(other)
    yield


def _postgresql(server: PostgreSQL, name: str, dump: str) -> Iterator[None]:
    variables = {**os.environ, "PGUSER": "tweeter", "PGHOST": server.host, "PGPORT": str(server.port)}
    subprocess.run(["pg_dump", "-Fc", "-f", dump, name], env=variables, check=True)
    yield
    restore = ["pg_restore", "--clean", "--if-exists", "-d", name, dump]
    subprocess.run(restore, env=variables, check=True)
    yield


def home(process: Process, user: int) -> list[str]:
    with process.sessions() as session:
        written = session.scalar(select(User.last_write).where(User.id == user))
    return [
        tweet.message
        for tweet in process.timelines.page(Timeline("home", user), Cursor(), Viewer(user, written)).tweets
    ]


def post(process: Process, user: int, message: str) -> None:
    with process.acting() as actions:
        actions.post(user, message)


def test_restore_under_a_running_site_is_detected_and_delivery_continues(
    make: Callable[[str], Process], database_url: str, backup: Iterator[None]
) -> None:
    with closing(make(database_url)) as process:
        with process.acting() as actions:
            ann = actions.sign_up("ann", "password").id
            actions.post(ann, "kept")
        assert process.delivery.drain(SECONDS)
        next(backup)
        for message in ("lost 1", "lost 2", "lost 3"):
            post(process, ann, message)
        assert process.delivery.drain(SECONDS)
        assert home(process, ann) == ["lost 3", "lost 2", "lost 1", "kept"]
        next(backup)
        post(process, ann, "new")
        deadline = time.monotonic() + NOTICED
        while home(process, ann) != ["new", "kept"]:
            assert time.monotonic() < deadline, home(process, ann)
            time.sleep(0.05)
        time.sleep(FRESH)
        assert process.delivery.drain(SECONDS)
        assert home(process, ann) == ["new", "kept"]


def test_equal_events_after_a_restore_are_distinguished(redis_server: Redis, sqlite_url: str, tmp_path: Path) -> None:
    """The log contains the same payload under the same id again, without a delivery in between."""
    path = sqlite_url.removeprefix("sqlite:///")
    own = {"tweeter.redis.url": redis_server.url, "tweeter.redis.prefix": f"{tmp_path.name}:"}

    def act(process: Process, message: str) -> None:
        post(process, ann, message)
        with process.acting() as actions:
            actions.change_profile(ann, display_name="Ann", bio="")

    with closing(Process(sqlite_url, "redis", **own)) as process:
        with process.acting() as actions:
            ann = actions.sign_up("ann", "password").id
        post(process, ann, "kept")
        assert process.delivery.drain(SECONDS)
        with closing(sqlite3.connect(path)) as one, closing(sqlite3.connect(tmp_path / "backup")) as other:
            one.backup(other)
        act(process, "lost")
        assert process.delivery.drain(SECONDS)
        assert home(process, ann) == ["lost", "kept"]
    for suffix in ("-wal", "-shm"):
        Path(path + suffix).unlink(missing_ok=True)
    shutil.copy(tmp_path / "backup", path)
    with closing(Process(sqlite_url, "sql")) as process:
        act(process, "new")
    with closing(Process(sqlite_url, "redis", **own)) as process:
        assert process.delivery.drain(SECONDS)
        assert home(process, ann) == ["new", "kept"]
