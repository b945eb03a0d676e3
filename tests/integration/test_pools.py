"""Connections to SQL: one per request at a time, engine options of the ini file, and quick errors during a hang."""

import http.client
import re
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from typing import Any
from urllib.parse import urlsplit

import psycopg
import pytest
from pyramid.request import Request
from sqlalchemy import text
from sqlalchemy.pool import NullPool

from tests.conftest import running, serving, settings_of, write_ini
from tests.support.api import OUT_OF_BAND, Api
from tests.support.people import PASSWORD, Browser, Person
from tweeter.api.endpoints import ENDPOINTS
from tweeter.cli import main
from tweeter.db.drivers import Door
from tweeter.db.options import engine_of
from tweeter.devtools.proxy import Proxy
from tweeter.errors import SettingError
from tweeter.interfaces import IDelivery
from tweeter.lab import dial
from tweeter.settings import merge

pytestmark = pytest.mark.slow
ONE = {"sqlalchemy.pool_size": "1", "sqlalchemy.max_overflow": "0", "sqlalchemy.pool_timeout": "3"}


@pytest.fixture(params=["sql", "memory", "redis", "memcached"])
def timelines(request):
    return request.param


@pytest.fixture
def narrow(database_url, timelines, redis_server, memcached_server):
    """A site with its lab, and one connection in each pool."""
    prefix = database_url[-30:].replace("/", "-")
    own = {
        "tweeter.lab": True,
        "tweeter.timelines": timelines,
        "tweeter.metrics": "127.0.0.1",
        "tweeter.redis.url": redis_server.url,
        "tweeter.redis.prefix": prefix,
        "tweeter.memcached.servers": memcached_server.address,
        "tweeter.memcached.prefix": prefix,
        **ONE,
    }
    with running(settings_of(database_url) | own) as app:
        yield app


class Visitor:
    """A browser that records the requested routes and methods, and fails on 5xx."""

    def __init__(self, app):
        self.person = Person(Browser(app, extra_environ={"REMOTE_ADDR": "127.0.0.1"}))
        self.asked = set()

    def get(self, url, status=200):
        self.asked.add(("GET", urlsplit(url).path))
        return self.person.get(url, status=status)

    def post(self, url, status=303, on="/login", **fields):
        self.asked.add(("POST", url))
        return self.person.send(url, on=on, status=status, **fields)


def test_no_request_needs_two_connections(narrow, timelines, monkeypatch):
    """Every route and method, with valid and invalid requests: none waits for a second connection."""
    monkeypatch.setattr(dial, "READERS", {2: "lab_follows_2", 6: "lab_follows_6"})
    monkeypatch.setattr(dial, "AUTHORS", 6)
    visitor, other = Visitor(narrow), Visitor(narrow)
    for each in (visitor, other):
        for page in ("/", "/public", "/signup", "/search?q=x", "/login"):
            each.get(page)
        each.post("/signup", 400, username="no name", password="x")
        name = "ada" if each is visitor else "bob"
        each.post("/signup", username=name, password=PASSWORD)
        each.post("/logout", on="/settings")
        each.post("/login", 400, username=name, password="wrong")
        each.post("/login", username=name, password=PASSWORD)
    ada, bob = visitor, other

    def send(url, status=303, **fields):
        return ada.post(url, status, on="/settings", **fields)

    assert narrow.registry.getUtility(IDelivery).drain(20)
    send("/tweets", message="hello @bob")
    send("/tweets", 400, message="")
    tweet = ada.person.ids("/@ada")[0]
    send("/tweets", 400, message="", parent_id=str(tweet))
    send("/tweets", 400, message="too late", parent_id="1")
    bob.post("/tweets", on="/settings", message="an answer to @ada", parent_id=str(tweet))
    for path in ("repost", "like", "unrepost", "unlike"):
        send(f"/tweets/{tweet}/{path}")
    for path in ("reposts", "likes"):
        ada.get(f"/tweets/{tweet}/{path}")
    for path in ("follow", "follow", "unfollow", "follow"):
        send(f"/@bob/{path}")
        send(f"/@nobody/{path}", 404)
    for path in ("mute", "unmute", "block", "unblock"):
        send(f"/@bob/{path}")
        send(f"/@nobody/{path}", 404)
    send("/@bob/mute")
    send("/lists", name="friends")
    send("/lists", 400, name="")
    [list_id] = re.findall(r"/lists/(\d+)\b", ada.get("/lists").text)[:1]
    for fields in ({"action": "add", "username": "bob"}, {"action": "change", "name": "others"}):
        send(f"/lists/{list_id}/members", **fields)
    send(f"/lists/{list_id}/members", 400, action="add", username="nobody")
    for page in (f"/lists/{list_id}", f"/lists/{list_id}/members", f"/newer?timeline=list&user={list_id}&since=0"):
        ada.get(page)
    for page in (f"/timelines/list?user={list_id}", "/@bob/lists", "/@ada/lists", "/tag/hello"):
        bob.get(page)
    ada.get("/lists/1234", 404)
    for page in (
        "/", "/?before=5", "/public", "/@ada", "/@ada/followers", "/@bob/following", "/mentions", "/notifications",
        "/settings",
        "/timelines/mentions", "/search?q=hello", "/search?q=ada", f"/tweets/{tweet}", "/settings/export.json",
        "/settings/muted", "/settings/blocked", "/healthz", "/metrics",
        "/suggestions", "/newer?timeline=home&since=0", "/newer?timeline=public&since=0", "/avatars/ada.svg", "/lab",
        "/lab?user=bob", "/lab/steps", "/lab/live", "/lab/progress", "/lab/state",
        "/robots.txt", "/favicon.ico", "/static/style.css",
    ):  # fmt: skip
        ada.get(page)
    for page in ("/@nobody", "/@nobody/followers", "/tweets/1", "/lab?user=nobody", "/live?timeline=home"):
        ada.get(page, 404)
    for page in ("/@ADA", "/@ADA/followers", "/@ADA/following"):
        ada.get(page, 301)
    [id_] = re.findall(r"user=(\d+)", ada.get("/@ada").text)
    ada.get(f"/newer?timeline=profile&user={id_}&since=0")
    send(f"/tweets/{tweet}/delete")
    send(f"/tweets/{tweet}/delete", 404)
    send("/lab/switch", backend="sql")
    send("/lab/switch", backend="")
    send("/lab/store", backend="memory", action="empty", user="bob")
    send("/lab/store", 400, backend="sql", action="empty")
    send("/lab/load", 400, readers="9")
    for button, fields in (("post", {"followers": "10"}), ("dial", {}), ("shared", {}), ("tidy", {})):
        send(f"/lab/{button}", **fields)
        finish(narrow)
    use_api(narrow, ada)
    send("/settings", action="profile", display_name="Ada L.", bio="")
    send("/settings", action="notifies", notifies="like")
    send("/settings", 400, action="profile", display_name="x" * 60, bio="")
    send("/settings", 400, action="password", current_password="wrong", new_password=PASSWORD)
    send("/settings", action="password", current_password=PASSWORD, new_password=PASSWORD)
    bob.post("/settings", on="/settings", action="sessions")
    send("/settings", 400, action="close", password="wrong")
    send("/settings", 200, action="close", password=PASSWORD)
    send("/settings", action="close", password=PASSWORD, confirm="yes")
    assert narrow.registry.getUtility(IDelivery).drain(20)
    assert routes_of(narrow) - asked_of(narrow, ada, bob) == set()


def use_api(app, visitor):
    """Each endpoint of the API, and its pages and feeds."""
    api = Api(app).sign_in("ada")
    status = api.toot("from a client #hello")
    fields = {"status": "another", "client_name": "x", "redirect_uris": OUT_OF_BAND}
    for each in ENDPOINTS:
        path = each.path.replace("{id}", (status["account"] if "accounts" in each.path else status)["id"])
        own = {"POST": fields} if each.method != "GET" else {}
        answer = api.request(each.method, path + "?q=hello" if not own else path, "*", **own)
        assert answer.status_int < 500, (each.method, path)
    ask = f"/oauth/authorize?response_type=code&client_id={api.app['client_id']}&redirect_uri={OUT_OF_BAND}"
    for page in (
        ask,
        "/oauth/authorize/native?code=x",
        "/settings/applications",
        "/@ada/feed.atom",
        "/tags/x/feed.atom",
    ):
        visitor.get(page)
    visitor.post("/oauth/authorize", "*", on=ask)
    visitor.post("/settings/applications", "*", on="/settings", id="1")


def finish(app):
    deadline = time.monotonic() + 60
    while app.registry["lab"].jobs.current.running:
        assert time.monotonic() < deadline
        time.sleep(0.02)
    assert not app.registry["lab"].jobs.current.error


def routes_of(app):
    """Every route with the methods that its views answer."""
    found = set()
    for view in app.registry.introspector.get_category("views"):
        route, methods = view["introspectable"]["route_name"], view["introspectable"]["request_methods"]
        if route and not route.startswith(("__", "debugtoolbar")):
            found |= {(method, route) for method in ([methods] if isinstance(methods, str) else methods or ["GET"])}
    return found


def asked_of(app, *visitors):
    found = set()
    for method, path in set.union(*(visitor.asked for visitor in visitors)):
        request = Request.blank(path, environ={"REMOTE_ADDR": "127.0.0.1"})
        request.registry = app.registry
        found.add((method, app.routes_mapper(request)["route"].name))
    return found


@pytest.mark.parametrize("database", ["sqlite", "postgresql"])
def test_no_command_needs_two_connections(request, database, tmp_path, capsys):
    url = request.getfixturevalue(f"{database}_url")
    ini = write_ini(tmp_path, url, **ONE)
    tweets = tmp_path / "tweets.jsonl"
    tweets.write_text('{"user":"cat","date":1341100972,"message":"hello @ann"}\n')
    commands = [
        ["demo", ini], ["load", ini, "--tweets", str(tweets)], ["verify", ini, "--sample", "3"], ["truncate", ini],
        ["user", "add", ini, "zoe", "--password", PASSWORD], ["user", "password", ini, "zoe", "--password", PASSWORD],
        ["user", "close", ini, "zoe", "--yes"],
    ]  # fmt: skip
    for command in commands:
        assert main(command) == 0, (command, capsys.readouterr())


# options


@pytest.fixture
def options(postgresql_url):
    """`options(pool_size="3")` are the settings of a site with these options of SQLAlchemy."""
    return lambda **own: settings_of(postgresql_url) | {f"sqlalchemy.{name}": value for name, value in own.items()}


def test_options_of_the_ini_file_count_for_both_engines(options):
    own = options(
        pool_size="3", max_overflow="1", pool_timeout="7", pool_recycle="60", pool_pre_ping="false", echo="false",
        connect_args='{"application_name": "the site", "options": "-c work_mem=5MB"}', hide_parameters="yes",
    )  # fmt: skip
    with running(own) as app:
        for engine in (app.registry.database.engine, app.registry.database.statements):
            pool: Any = engine.pool
            assert (pool.size(), pool._max_overflow, pool.timeout(), pool._recycle) == (3, 1, 7, 60)
            assert not pool._pre_ping
            assert engine.hide_parameters
            with engine.connect() as connection:
                assert connection.scalar(text("SHOW application_name")) == "the site"
                assert connection.scalar(text("SHOW work_mem")) == "5MB"
        with app.registry.database.statements.connect() as connection:
            assert connection.connection.dbapi_connection.autocommit


def test_pool_class_can_be_set(options):
    engine = engine_of(options(poolclass="NullPool"))
    assert isinstance(engine.pool, NullPool)
    assert isinstance(engine_of(options(poolclass="sqlalchemy.pool.NullPool")).pool, NullPool)


def test_commands_use_engine_options(tmp_path, postgresql_url, monkeypatch):
    ini = write_ini(
        tmp_path, postgresql_url, **{"sqlalchemy.connect_args": '{"options": "-c default_transaction_read_only=on"}'}
    )
    assert main(["user", "add", ini, "ann", "--password", PASSWORD]) == 1


def test_environment_overrides_engine_options(options, monkeypatch):
    monkeypatch.setenv("SQLALCHEMY_POOL_SIZE", "4")
    pool: Any = engine_of(options(pool_size="3")).pool
    assert pool.size() == 4


@pytest.mark.parametrize("url", ["sqlite:///x.sqlite", "postgresql+psycopg://x@127.0.0.1/x"])
@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("pool_sizee", "3", "'pool_sizee'"), ("pool_size", "many", "sqlalchemy.pool_size must be a whole number"),
        ("echo", "perhaps", "sqlalchemy.echo must be true or false"), ("pool_pre_ping", "2", "true or false"),
        ("connect_args", "x=1", "sqlalchemy.connect_args must be a JSON object"),
        ("connect_args", "[1]", "sqlalchemy.connect_args must be a JSON object"),
        ("connect_args", '{"colour": "red"}', "colour"), ("poolclass", "Pond", "must be a pool class"),
        ("poolclass", "json.JSONDecoder", "must be a pool class"), ("isolation_level", "FAST", "FAST"),
    ],
)  # fmt: skip
def test_invalid_engine_option_is_reported_in_one_line(tmp_path, capsys, url, name, value, said):
    settings = merge({"sqlalchemy.url": url, "tweeter.secret": "x", f"sqlalchemy.{name}": value}, {}, {})
    with pytest.raises(SettingError) as raised:
        engine_of(settings)
    assert said in str(raised.value)
    assert len(str(raised.value).splitlines()) == 1
    ini = write_ini(tmp_path, url, **{f"sqlalchemy.{name}": value.replace("%", "%%")})
    assert main(["truncate", ini]) == 1
    assert said in capsys.readouterr().err


# a hanging database

THREADS = 40


@pytest.fixture
def proxy(postgresql_server):
    with closing(Proxy(postgresql_server.host, postgresql_server.port)) as proxy:
        yield proxy


@pytest.fixture
def behind(postgresql_server, postgresql_url, proxy, timelines):
    """The address of a site with many threads, whose database is behind the proxy."""
    server = f"{postgresql_server.host}:{postgresql_server.port}"
    own = {"tweeter.timelines": timelines, "tweeter.sql_timeout_ms": 5000}
    with running(settings_of(postgresql_url.replace(server, proxy.address)) | own) as app:
        ada = Person(Browser(app), "ada")
        for number in range(25):
            ada.post(f"number {number}")
        with serving(app, threads=THREADS) as address:
            yield urlsplit(address).netloc


def ask(address, path="/@ada"):
    """The status of a page, and the seconds that it took."""
    began = time.monotonic()
    with closing(http.client.HTTPConnection(address, timeout=60)) as connection:
        connection.request("GET", path)
        response = connection.getresponse()
        response.read()
        return response.status, time.monotonic() - began


@pytest.mark.parametrize("timelines", ["sql", "memory"], indirect=True)
@pytest.mark.parametrize("how", ["hold", "swallow"])
def test_a_database_that_hangs_for_a_moment(behind, proxy, how):
    """As many concurrent requests as threads: before, during and after the hang."""
    with ThreadPoolExecutor(THREADS + 5) as pool:
        assert {status for status, _ in pool.map(ask, [behind] * THREADS)} == {200}
        proxy.become(how)
        asked = [pool.submit(ask, behind) for _ in range(THREADS)]
        time.sleep(1)
        proxy.become("pass")
        asked += [pool.submit(ask, behind) for _ in range(5)]
        for status, seconds in (future.result() for future in asked):
            assert status == 200
            assert seconds < 15
        assert ask(behind, "/healthz")[0] == 200


@pytest.mark.parametrize("timelines", ["sql"], indirect=True)
def test_a_database_that_hangs_for_long(behind, proxy):
    """Errors come quickly, finally at once; no request queues, and the site recovers with the database."""
    with ThreadPoolExecutor(THREADS + 5) as pool:
        assert {status for status, _ in pool.map(ask, [behind] * THREADS)} == {200}
        proxy.become("hold")
        first = list(pool.map(ask, [behind] * THREADS))
        assert {status for status, _ in first} == {503}
        assert max(seconds for _, seconds in first) < 10
        later = sorted(seconds for status, seconds in pool.map(ask, [behind] * THREADS) if status == 503)
        assert len(later) == THREADS
        assert later[THREADS // 2] < 2
        status, seconds = ask(behind, "/healthz")
        assert (status, seconds < 5) == (503, True)
        proxy.become("pass")
        assert {status for status, _ in pool.map(ask, [behind] * THREADS)} == {200}
        assert ask(behind, "/healthz")[0] == 200


def test_threads_wait_a_moment_also_for_an_old_attempt_to_connect(
    postgresql_server, postgresql_url, proxy, monkeypatch
):
    """The server may just be back."""
    monkeypatch.setattr("tweeter.db.drivers.MOMENT", 0)
    monkeypatch.setattr("tweeter.db.drivers.BLINK", 20)
    server = f"{postgresql_server.host}:{postgresql_server.port}"
    engine = engine_of({"sqlalchemy.url": postgresql_url.replace(server, proxy.address)}, door := Door(0.2))

    def connect():
        with engine.connect() as connection:
            return connection.scalar(text("SELECT 1"))

    door.shut = True
    proxy.become("hold")
    with ThreadPoolExecutor(4) as pool:
        attempts = [pool.submit(connect) for _ in range(4)]
        time.sleep(0.2)
        assert not any(attempt.done() for attempt in attempts)
        proxy.become("pass")
        assert [attempt.result() for attempt in attempts] == [1] * 4
    engine.dispose()


def test_a_statement_that_takes_too_long_is_cancelled(postgresql_url):
    engine = engine_of({"sqlalchemy.url": postgresql_url}, Door(0.2))
    with engine.connect() as connection:
        with pytest.raises(Exception, match="statement timeout"):
            connection.execute(text("SELECT pg_sleep(5)"))
        connection.rollback()
        assert connection.scalar(text("SELECT 1")) == 1  # it is the same connection, still of use
    engine.dispose()


def test_commands_have_no_statement_timeout(postgresql_url):
    engine = engine_of({"sqlalchemy.url": postgresql_url})
    with engine.connect() as connection:
        assert connection.scalar(text("SHOW statement_timeout")) == "0"
        assert isinstance(connection.connection.dbapi_connection, psycopg.Connection)
    engine.dispose()
