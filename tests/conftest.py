"""Shared fixtures: migrated databases on SQLite and PostgreSQL, the site on every backend, real servers.

Transactions are really committed, because events are delivered after the commit. A fresh database is a copy of one
that the migrations made once: a file for SQLite, a template for PostgreSQL (`tests.support.databases`).
"""

import ast
import inspect
import logging
import os
import shutil
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, closing, contextmanager
from functools import cache, partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import hypothesis
import pyramid_jinja2
import pytest
import webtest
from _pytest.logging import LogCaptureHandler
from alembic import command
from pyramid.paster import get_appsettings
from pyramid.router import Router
from sqlalchemy import Engine, select
from sqlalchemy.orm import Session, sessionmaker

import tweeter
from tests.support.databases import ROOT, Databases, alembic_config, fresh_database
from tests.support.people import Browser, Person
from tweeter import text
from tweeter.db.engines import make_engine
from tweeter.db.sessions import begin_immediate, make_sessions
from tweeter.devtools.servers import Memcached, PostgreSQL, RabbitMQ, Redis
from tweeter.models import Hashtag, Tweet, User
from tweeter.serve import make_server
from tweeter.services.actions import Actions
from tweeter.services.passwords import Passwords
from tweeter.settings import merge

DATABASES = ["sqlite", "postgresql"]
HERE = {"REMOTE_ADDR": "127.0.0.1"}  # of a browser on this machine
BACKENDS = {"sqlite": "sql", "postgresql": "memory"}  # the backends of the page tests

# No deadlines: machines may be busy. Otherwise Hypothesis' defaults, which are deterministic in CI.
hypothesis.settings.register_profile("tweeter", hypothesis.settings(), deadline=None)
hypothesis.settings.load_profile("tweeter")

# pyramid_jinja2 looks for its caller in the whole stack. Without the source lines, this takes 1 ms instead of 60.
pyramid_jinja2._PackageFinder.inspect = SimpleNamespace(stack=partial(inspect.stack, 0))

if sys.version_info < (3, 13):
    # Concurrent parsing in two threads (Hypothesis, and a logged traceback) raises SystemError:
    # https://github.com/python/cpython/issues/106905
    PARSING = threading.RLock()
    os.register_at_fork(after_in_child=PARSING._at_fork_reinit)  # type: ignore[attr-defined]

    def parse(*args: Any, _parse: Callable[..., ast.AST] = ast.parse, **options: Any) -> ast.AST:
        with PARSING:
            return _parse(*args, **options)

    ast.parse = parse  # type: ignore[assignment]


@pytest.fixture(scope="session", autouse=True)
def _no_settings_from_outside() -> Iterator[None]:
    """Tests run on testing.ini, whatever TWEETER_… variables the developer's shell sets."""
    with pytest.MonkeyPatch.context() as patch:
        for name in list(os.environ):
            if name.startswith(("TWEETER_", "SQLALCHEMY_")) and name != "TWEETER_CHROMIUM":
                patch.delenv(name)
        yield


@pytest.fixture(autouse=True)
def _logging_of_one_test() -> Iterator[None]:
    """A command that a test runs configures logging as its ini file says; the next test finds it as before."""
    root = logging.getLogger()
    handlers, levels = root.handlers[:], levels_of_loggers()
    yield
    for handler in root.handlers[:]:
        if handler not in handlers and not isinstance(handler, LogCaptureHandler):
            root.removeHandler(handler)
            handler.close()
    for name in levels_of_loggers():
        logging.getLogger(name).setLevel(levels.get(name, logging.NOTSET))


def levels_of_loggers() -> dict[str | None, int]:
    """{name: level} of the root logger (None) and of those with a level of their own."""
    found = [(name, logger) for name, logger in logging.root.manager.loggerDict.items()]
    return {None: logging.root.level} | {
        name: logger.level for name, logger in found if isinstance(logger, logging.Logger) and logger.level
    }


# databases


@pytest.fixture(scope="session")
def sqlite_template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("template") / "tweeter.sqlite"
    command.upgrade(alembic_config(f"sqlite:///{path}"), "head")
    return path


@pytest.fixture(scope="session")
def postgresql_server() -> Iterator[PostgreSQL]:
    with closing(PostgreSQL()) as server:
        server.start()
        yield server


@pytest.fixture(scope="session")
def postgresql_databases(postgresql_server: PostgreSQL) -> Databases:
    return Databases(postgresql_server)


@pytest.fixture
def sqlite_url(sqlite_template: Path, tmp_path_factory: pytest.TempPathFactory) -> str:
    """A fresh, migrated database on SQLite."""
    path = tmp_path_factory.mktemp("database") / "tweeter.sqlite"
    shutil.copyfile(sqlite_template, path)
    return f"sqlite:///{path}"


@pytest.fixture
def postgresql_url(postgresql_databases: Databases) -> Iterator[str]:
    """An empty, migrated database on PostgreSQL."""
    with postgresql_databases.use() as url:
        yield url


@pytest.fixture(params=DATABASES)
def database_url(request: pytest.FixtureRequest) -> str:
    """A fresh, migrated database on SQLite and PostgreSQL in turn."""
    return str(request.getfixturevalue(f"{request.param}_url"))


@pytest.fixture(params=DATABASES)
def empty_url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """A database without tables on SQLite and PostgreSQL in turn."""
    if request.param == "sqlite":
        yield f"sqlite:///{tmp_path / 'empty.sqlite'}"
    else:
        with fresh_database(request.getfixturevalue("postgresql_server")) as url:
            yield url


@contextmanager
def engine_on(url: str) -> Iterator[Engine]:
    """An engine, disposed at the end."""
    engine = make_engine(url)
    try:
        yield engine
    finally:
        engine.dispose()


@pytest.fixture
def engine(database_url: str) -> Iterator[Engine]:
    with engine_on(database_url) as engine:
        yield engine


@pytest.fixture
def sessions(engine: Engine) -> sessionmaker[Session]:
    return make_sessions(engine)


@pytest.fixture
def acting(sessions: sessionmaker[Session]) -> Callable[[], AbstractContextManager[Actions]]:
    """`with acting() as actions:` is one transaction, committed at the end of the block."""
    passwords = Passwords(time_cost=1, memory_kib=8)

    @contextmanager
    def acting() -> Iterator[Actions]:
        with sessions.begin() as session:
            begin_immediate(session)
            yield Actions(session, passwords, 140)

    return acting


def check_searchable(engine: Engine) -> None:
    """Invariants of all rows: folded messages and names exist, and hashtags equal the shown ones."""
    with make_sessions(engine)() as session:
        hashtags = set()
        for id_, message, folded in session.execute(select(Tweet.id, Tweet.message, Tweet.folded)):
            assert folded == text.fold(message)
            hashtags |= {(id_, tag) for tag in text.entities(message).hashtags}
        assert {(row.tweet_id, row.tag) for row in session.scalars(select(Hashtag))} == hashtags
        for name, folded in session.execute(select(User.display_name, User.folded_name)):
            assert folded == text.fold(name)


# the site


@pytest.fixture
def settings(database_url: str) -> dict[str, Any]:
    """The merged settings of testing.ini, on the test's database."""
    return settings_of(database_url)


@cache
def _testing_ini() -> dict[str, str]:
    """Searching for the ini file loader takes as long as configuring the site."""
    return dict(get_appsettings(str(ROOT / "testing.ini")))


def settings_of(url: str) -> dict[str, Any]:
    return merge(_testing_ini(), {"sqlalchemy.url": url}, {})


@pytest.fixture
def backend(database_url: str) -> str:
    """The backend that serves the site's timelines: a different one on each database.

    test_one_answer.py compares all backends on both.
    """
    return BACKENDS[database_url.partition(":")[0].partition("+")[0]]


@pytest.fixture
def app(settings: dict[str, Any], backend: str) -> Iterator[Router]:
    """The site on SQLite and PostgreSQL."""
    with running(settings | {"tweeter.timelines": backend}) as app:
        yield app


@contextmanager
def running(settings: dict[str, Any]) -> Iterator[Router]:
    """An application, closed at the end."""
    app = tweeter.main({}, **settings)
    try:
        yield app
    finally:
        tweeter.shut_down(app.registry)


@pytest.fixture
def testapp(app: Router) -> webtest.TestApp:
    return Browser(app, HERE)


@pytest.fixture
def visitor(app: Router) -> Callable[[], webtest.TestApp]:
    """`visitor()` is another browser with its own cookies on the same site."""
    return lambda: Browser(app, HERE)


@pytest.fixture
def ada(visitor: Callable[[], webtest.TestApp]) -> Person:
    return Person(visitor(), "Ada")


@pytest.fixture
def bob(visitor: Callable[[], webtest.TestApp]) -> Person:
    return Person(visitor(), "bob")


@pytest.fixture
def site(sqlite_url: str) -> Iterator[str]:
    """The address of a real server on the memory backend, for browsers."""
    with running(settings_of(sqlite_url) | {"tweeter.timelines": "memory"}) as app, serving(app) as address:
        yield address


@contextmanager
def serving(app: Router, **options: Any) -> Iterator[str]:
    """As `running_server`; the address."""
    with running_server(app, **options) as server:
        yield f"http://127.0.0.1:{server.effective_port}"


@contextmanager
def running_server(app: Any, **options: Any) -> Iterator[Any]:
    """Serves an application with waitress, on a free port, within the block. The options are waitress' own."""
    server = make_server(app, **{"host": "127.0.0.1", "port": 0, "threads": 4} | options)
    stopped = threading.Event()

    def serve() -> None:
        while not stopped.is_set():
            server.asyncore.loop(timeout=0.1, map=server._map, count=1, use_poll=True)

    thread = threading.Thread(target=serve, name="waitress")
    thread.start()
    try:
        yield server
    finally:
        stopped.set()
        thread.join()
        server.task_dispatcher.shutdown()
        for dispatcher in list(server._map.values()):
            dispatcher.close()


# the servers of other backends


@pytest.fixture(scope="session")
def redis_server() -> Iterator[Redis]:
    with closing(Redis()) as server:
        server.start()
        yield server


@pytest.fixture(scope="session")
def rabbitmq_server() -> Iterator[RabbitMQ]:
    with closing(RabbitMQ()) as server:
        server.start()
        yield server


@pytest.fixture(scope="session")
def memcached_server() -> Iterator[Memcached]:
    with closing(Memcached()) as server:
        server.start()
        yield server


@pytest.fixture
def stores(redis_server: Redis, memcached_server: Memcached, tmp_path: Path) -> dict[str, str]:
    """Settings of stores that the processes of a test share, and other tests do not. Their timeouts never pass."""
    prefix = f"{str(tmp_path)[-30:]}:".replace("/", "-")
    return {
        "tweeter.redis.url": redis_server.url,
        "tweeter.redis.prefix": prefix,
        "tweeter.memcached.servers": memcached_server.address,
        "tweeter.memcached.prefix": prefix,
        "tweeter.redis.timeout_ms": "10000",
        "tweeter.memcached.timeout_ms": "10000",
    }


@pytest.fixture(params=["sql", "memory", "redis", "memcached", "table"])
def site_on_each(request: pytest.FixtureRequest, sqlite_url: str, stores: dict[str, str]) -> Iterator[Router]:
    """A site on each backend."""
    with running(settings_of(sqlite_url) | stores | {"tweeter.timelines": request.param}) as app:
        yield app


# the command line


def write_ini(folder: Path, url: str, **own: str) -> str:
    """The ini file of a site whose passwords are hashed cheaply, with settings of its own; its path."""
    path = folder / "site.ini"
    path.write_text(
        "[app:main]\nuse = egg:tweeter\ntweeter.secret = change-me\ntweeter.production = false\n"
        f"tweeter.argon2.time_cost = 1\ntweeter.argon2.memory_kib = 8\nsqlalchemy.url = {url}\n"
        + "".join(f"{key} = {value}\n" for key, value in own.items())
    )
    return str(path)


@pytest.fixture
def ini(tmp_path: Path, sqlite_url: str) -> str:
    return write_ini(tmp_path, sqlite_url)


@pytest.fixture
def given(redis_server: Redis, memcached_server: Memcached) -> list[str]:
    """Arguments of a benchmark: running servers, which is faster than starting new ones."""
    return ["--database", "sqlite", "--redis", redis_server.url, "--memcached", memcached_server.address]
