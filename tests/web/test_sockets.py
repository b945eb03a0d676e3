"""Clients that do not read or do not send, over real sockets: neither blocks other clients."""

import configparser
import json
import re
import socket
import time
from contextlib import ExitStack
from urllib.parse import urlsplit
from urllib.request import Request, urlopen

import pytest
from sqlalchemy import insert, select, text
from waitress.adjustments import Adjustments

from tests.conftest import ROOT, running, serving, settings_of
from tests.support.people import Browser, Person
from tweeter import ids
from tweeter.models import Tweet, User
from tweeter.web.views import export

THREADS = 4
READERS = 2 * THREADS
INI_FILES = ["development.ini", "production.ini"]
SMALL = 4096  # bytes that the kernel buffers for a stalled reader
PATIENCE = 20


def server_options(ini):
    """The waitress settings of an ini file, without the listening address."""
    parser = configparser.ConfigParser(interpolation=None)
    parser.read(ROOT / ini)
    elsewhere = ("paste.server_runner", "listen", "threads")
    return {name: value for name, value in parser["server:main"].items() if name not in elsewhere}


@pytest.fixture
def app(database_url):
    with running(settings_of(database_url)) as app:
        yield app


@pytest.fixture
def served(app):
    """`served(**options)` is the port of the site as production.ini serves it, with these waitress options."""
    with ExitStack() as stack:
        yield (
            lambda **options: (
                urlsplit(
                    stack.enter_context(
                        serving(app, **server_options("production.ini") | {"threads": THREADS} | options)
                    )
                ).port
            )
        )


def write(app, username, tweets, length):
    """Signs up a user with this much text. Returns the Cookie header."""
    person = Person(Browser(app), username)
    with app.registry.database.writing_sessions.begin() as session:
        user_id = session.scalars(select(User.id).where(User.username_key == username)).one()
        first = ids.generate_id()
        rows = [
            {"id": first + n, "user_id": user_id, "message": f"{n} ".ljust(length, "x"), "date": ids.date_of(first)}
            for n in range(tweets)
        ]
        session.execute(insert(Tweet), [row | {"folded": ""} for row in rows])  # search need not find them
    return "; ".join(f"{name}={value}" for name, value in person.browser.cookies.items())


def connect(port):
    connection = socket.socket()
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, SMALL)
    connection.connect(("127.0.0.1", port))
    return connection


def ask(port, path, cookies=""):
    """Sends a request and reads only the status line."""
    connection = connect(port)
    connection.sendall(f"GET {path} HTTP/1.1\r\nHost: localhost\r\nCookie: {cookies}\r\n\r\n".encode())
    connection.settimeout(PATIENCE)
    return connection, int(connection.recv(12).split()[1])


def seconds_of(port, path="/public"):
    began = time.monotonic()
    with urlopen(f"http://127.0.0.1:{port}{path}", timeout=PATIENCE) as response:
        assert response.status == 200
        response.read()
    return time.monotonic() - began


def until(condition, seconds=PATIENCE):
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.05)


# large exports


def test_an_export_is_complete(app):
    """More of everything than is read at a time."""
    write(app, "bob", 3, 10)
    cookies = write(app, "ada", 2 * export.ROWS_AT_ONCE + 1, 20)
    with app.registry.database.writing_sessions.begin() as session:
        names = [f"u{n}" for n in range(export.ROWS_AT_ONCE)]
        row = {"bio": "", "password_hash": "", "date": ids.date_of(ids.generate_id())}
        session.execute(insert(User), [{"username": n, "username_key": n, "display_name": n, **row} for n in names])
        session.execute(
            text("INSERT INTO relationships (from_user_id, to_user_id) SELECT id, 2 FROM users WHERE id <> 2")
        )
        session.execute(text("INSERT INTO relationships (from_user_id, to_user_id) VALUES (2, 1)"))
        session.execute(text("INSERT INTO mentions (user_id, tweet_id) SELECT 2, id FROM tweets WHERE user_id = 1"))
    answer = Browser(app).get("/settings/export.json", headers={"Cookie": cookies})
    mine = json.loads(answer.body)
    assert list(mine) == [
        "profile", "tweets", "reposts", "likes", "followers", "following", "muted", "blocked", "lists",
        "mentions", "notifications", "applications", "read_up_to",
    ]  # fmt: skip
    with app.registry.database.sessions() as session:
        assert [tweet["id"] for tweet in mine["tweets"]] == session.scalars(
            select(Tweet.id).where(Tweet.user_id == 2).order_by(Tweet.id.desc())
        ).all()
    assert mine["followers"] == [*names[::-1], "bob"]
    assert mine["following"] == ["bob"]
    assert [mention["username"] for mention in mine["mentions"]] == ["bob"] * 3


def test_stalled_readers_of_exports_do_not_block_others(app, served):
    port = served()
    readers = [write(app, f"reader{n}", 8_000, 2_500) for n in range(READERS)]  # 20 MB each
    ordinary = seconds_of(port)
    with ExitStack() as stack:
        connections = []
        for cookies in readers:
            connection, status = ask(port, "/settings/export.json", cookies)
            connections.append(stack.enter_context(connection))
            assert status == 200
        assert max(seconds_of(port) for _ in range(10)) < ordinary + 5
        for engine in (app.registry.database.engine, app.registry.database.statements):
            assert engine.pool.checkedout() == 0
        # Another export of the same account must wait; other accounts need not.
        again, status = ask(port, "/settings/export.json", readers[0])
        stack.enter_context(again)
        assert status == 429
        # A reader that resumes gets the complete export.
        assert len(json.loads(read(connections[0]))["tweets"]) == 8_000
    until(lambda: not app.registry["exports"]._accounts)
    again, status = ask(port, "/settings/export.json", readers[0])
    again.close()
    assert status == 200


def read(connection):
    """The body of a response whose first 12 bytes were read."""
    with connection.makefile("rb") as file:
        length = 0
        while (line := file.readline().strip()) or not length:
            if found := re.match(rb"(?i)content-length: (\d+)", line):
                length = int(found.group(1))
        return file.read(length)


def test_stalled_export_is_ended(app, served):
    port = served(channel_timeout=1, cleanup_interval=1)
    cookies = write(app, "ada", 8_000, 2_500)
    connection, status = ask(port, "/settings/export.json", cookies)
    with connection:
        assert status == 200
        assert app.registry["exports"]._accounts
        until(lambda: not app.registry["exports"]._accounts)
    with urlopen(
        Request(f"http://127.0.0.1:{port}/settings/export.json", headers={"Cookie": cookies}), timeout=PATIENCE
    ) as response:
        assert len(json.loads(response.read())["tweets"]) == 8_000


def test_few_exports_are_written_at_a_time(app):
    ada = Person(Browser(app), "ada")
    with ExitStack() as stack:
        for _ in range(export.WRITERS):
            stack.enter_context(app.registry["exports"].writing())
        busy = ada.get("/settings/export.json", status=503)
        assert busy.headers["Retry-After"]
        assert "Too many exports" in busy.text
    assert json.loads(ada.get("/settings/export.json", status=200).body)["profile"]["username"] == "ada"


# stalled senders, and unread pipelined responses


@pytest.mark.parametrize("ini", INI_FILES)
def test_the_ini_files_set_all_bounds_that_waitress_has(ini):
    bounds = Adjustments(**server_options(ini))
    assert bounds.channel_timeout <= 60
    assert bounds.cleanup_interval <= 10
    assert 100 < bounds.connection_limit < 1000
    assert bounds.max_request_header_size <= 32_768
    assert bounds.max_request_body_size <= 1_000_000
    assert bounds.outbuf_high_watermark >= 2**30
    assert bounds.recv_bytes <= 4096


def test_half_sent_requests_are_dropped_and_others_served(served):
    port = served(connection_limit=30, channel_timeout=2, cleanup_interval=1)
    with ExitStack() as stack:
        halves = [stack.enter_context(connect(port)) for _ in range(60)]
        beginnings = (
            b"G",
            b"GET / HTTP/1.1\r\nHost: x\r\n",
            b"POST /login HTTP/1.1\r\nContent-Length: 99\r\n\r\nuser=",
            b"",
        )
        for number, half in enumerate(halves):
            half.sendall(beginnings[number % len(beginnings)])
        assert seconds_of(port) < PATIENCE
        for half in halves:
            half.settimeout(PATIENCE)
            assert half.recv(100) == b""
        assert seconds_of(port) < PATIENCE


def test_unread_pipelined_responses_do_not_block_others(app, served):
    """So many pipelined requests that their responses exceed waitress' default buffer; this needs no account."""
    write(app, "ada", 100, 140)
    port = served()
    request = b"GET /public?limit=100 HTTP/1.1\r\n\r\n"
    with ExitStack() as stack:
        for _ in range(READERS):
            stack.enter_context(connect(port)).sendall(request * (8192 // len(request)))
        time.sleep(1)
        assert seconds_of(port, "/healthz") < PATIENCE
