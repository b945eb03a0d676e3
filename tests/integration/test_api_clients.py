"""Clients from PyPI, unmodified, with a real server on every backend and both databases."""

import fcntl
import json
import os
import pty
import re
import shutil
import struct
import subprocess
import sys
import termios
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress
from pathlib import Path
from select import select
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from mastodon import Mastodon, MastodonIllegalArgumentError, MastodonNotFoundError, MastodonUnauthorizedError
from pyramid.router import Router

from tests.conftest import running, serving, settings_of
from tests.support.api import consent, someone
from tests.support.people import PASSWORD, Browser, Person, await_deliveries
from tweeter.devtools.servers import Memcached, Redis

Toot = Callable[..., str]


# Each backend, on one of the databases.
SITES = {"sql": "sqlite", "memory": "postgresql", "redis": "postgresql", "memcached": "sqlite", "table": "postgresql"}


@pytest.fixture(scope="module", params=SITES)
def app(
    request: pytest.FixtureRequest, sqlite_template: Path, tmp_path_factory: pytest.TempPathFactory,
    redis_server: Redis, memcached_server: Memcached,
) -> Iterator[Router]:  # fmt: skip
    """A site on each backend, for both clients."""
    name = f"clients-{request.param}"
    own = {
        "tweeter.timelines": request.param,
        "tweeter.redis.url": redis_server.url,
        "tweeter.redis.prefix": f"{name}:",
        "tweeter.memcached.servers": memcached_server.address,
        "tweeter.memcached.prefix": f"{name}:",
    }
    with ExitStack() as stack:
        if SITES[request.param] == "sqlite":
            path = shutil.copy(sqlite_template, tmp_path_factory.mktemp(name))
            url = f"sqlite:///{path}"
        else:
            url = stack.enter_context(request.getfixturevalue("postgresql_databases").use())
        yield stack.enter_context(running(settings_of(url) | own))


@pytest.fixture(scope="module")
def address(app: Router) -> Iterator[str]:
    with serving(app) as address:
        yield address


# toot's commands, one for each line of standard input, in a process that imports toot once.
COMMANDS = """
import json, sys, traceback
from click.testing import CliRunner
from toot.cli import cli
for line in sys.stdin:
    done = CliRunner().invoke(cli, json.loads(line))
    cause = "".join(traceback.format_exception(done.exception)) if done.exception else ""
    print(json.dumps([done.exit_code, done.output, cause]), flush=True)
"""


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where toot keeps its tokens."""
    return tmp_path_factory.mktemp("toot")


@pytest.fixture(scope="module")
def toot(home: Path) -> Iterator[Toot]:
    """`toot("whoami")` runs the command and returns its output."""
    command = [sys.executable, "-c", COMMANDS]
    environ = os.environ | {"XDG_CONFIG_HOME": str(home)}
    with subprocess.Popen(command, env=environ, text=True, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as child:
        answers = child.stdout or []
        assert child.stdin is not None

        def toot(*arguments: str) -> str:
            print(json.dumps(arguments), file=child.stdin, flush=True)
            status, output, error = json.loads(next(iter(answers)))
            assert status == 0, f"toot {' '.join(arguments)}: {output} {error}"
            return str(output)

        yield toot
        child.stdin.close()


def on_screen(home: Path, wanted: str) -> None:
    """Runs toot's full-screen program in a terminal until it shows a text, then quits it by its key."""
    terminal, end = pty.openpty()
    fcntl.ioctl(end, termios.TIOCSWINSZ, struct.pack("HHHH", 40, 120, 0, 0))
    environ = os.environ | {"XDG_CONFIG_HOME": str(home), "TERM": "xterm"}
    command = [sys.executable, "-c", "from toot.cli import cli; cli()", "tui"]
    with subprocess.Popen(command, env=environ, stdin=end, stdout=end, stderr=end) as child:
        os.close(end)
        os.write(terminal, b"\n")  # the answer to a notice
        shown, deadline = b"", time.monotonic() + 30
        with suppress(OSError):  # at its end
            while select([terminal], [], [], max(0, deadline - time.monotonic()))[0]:
                found = wanted.encode() in shown
                shown += os.read(terminal, 65536)
                if not found and wanted.encode() in shown:
                    os.write(terminal, b"q")
        child.kill()  # unless it has ended
    os.close(terminal)
    assert wanted.encode() in shown, shown.decode(errors="replace")
    assert child.returncode == 0


def test_toot(toot: Toot, home: Path, app: Router, address: str) -> None:
    ada, bob = Person(Browser(app), "Ada"), Person(Browser(app), "bob")
    theirs = bob.post("Good morning from bob")
    shutil.rmtree(home / "toot", ignore_errors=True)  # toot would know a former site with the same port
    toot("login_cli", "-i", address, "-e", "ada", "-p", PASSWORD)
    assert "@Ada" in toot("whoami")
    assert "@bob" in toot("search", "bob")
    assert "now following" in toot("follow", "bob").lower()
    assert "Good morning" in toot("timelines", "home")
    on_screen(home, "Good morning from bob")
    tweet = re.search(r"/tweets/(\d+)", toot("post", "Hello from a terminal"))
    assert tweet is not None
    assert int(tweet[1]) in ada.ids("/@Ada")
    toot("post", "A reply", "-r", str(theirs))
    assert "A reply" in toot("thread", str(theirs))
    toot("favourite", str(theirs))
    toot("reblog", str(theirs))
    assert "Ada" in toot("reblogged_by", str(theirs))
    assert 'class="reason"' in ada.get("/@Ada").text
    toot("unreblog", str(theirs))
    toot("unfavourite", str(theirs))
    toot("delete", tweet[1])
    assert "Hello from a terminal" not in toot("timelines", "public")
    toot("unfollow", "bob")
    assert "Good morning" not in toot("timelines", "home")
    for command in (
        "notifications",
        "bookmarks",
        "muted",
        "blocked",
        "whois bob",
        "followers",
        "following",
        "instance",
    ):
        toot(*command.split())


def test_mastodon_py(address: str, app: Router) -> None:
    ada, bob = someone(app), someone(app)
    keys = Mastodon.create_app("Test", api_base_url=address)
    api = Mastodon(*keys, api_base_url=address)
    url = urlsplit(api.auth_request_url())
    _, found = consent(ada, **{name: values[0].replace(" ", "+") for name, values in parse_qs(url.query).items()})
    api.log_in(code=found["code"])
    me = api.me()
    assert me.acct == ada.username
    other = Mastodon(*keys, api_base_url=address)
    other.log_in(bob.username, PASSWORD)
    with pytest.raises(MastodonIllegalArgumentError):
        Mastodon(*keys, api_base_url=address).log_in(bob.username, "wrong")
    posted = [other.status_post(f"Tweet {number} #paging") for number in range(25)]
    await_deliveries(app.registry)
    assert api.account_follow(posted[0].account.id).following
    assert api.account_relationships(me.id)[0].following is False
    home = api.timeline_home(limit=10)
    everything = api.fetch_remaining(home) or []
    assert [status.id for status in everything] == [status.id for status in reversed(posted)]
    assert [status.id for status in api.fetch_previous(api.fetch_next(home)) or []] == [status.id for status in home]
    reply = api.status_reply(posted[0], "A reply")
    assert [status.id for status in api.status_context(posted[0]).descendants] == [reply.id]
    assert api.status_context(reply).ancestors[0].id == posted[0].id
    assert [status.id for status in api.timeline_hashtag("paging", limit=5)] == [status.id for status in posted[:-6:-1]]
    assert api.search(bob.username).accounts[0].acct == bob.username
    assert api.account_lookup(bob.username).id == posted[0].account.id
    assert api.account_update_credentials(note="A bio").source.note == "A bio"
    assert api.account_unfollow(posted[0].account.id).following is False
    assert api.timeline_home()[0].id == reply.id
    repost = api.status_reblog(posted[3])
    assert repost.reblog.id == posted[3].id
    assert [api.timeline_home()[0].id, api.account_statuses(me.id)[0].reblog.id] == [repost.id, posted[3].id]
    assert [each.id for each in api.status_reblogged_by(posted[3])] == [me.id]
    assert api.status_favourite(posted[3]).favourited
    assert [status.id for status in api.favourites()] == [posted[3].id]
    assert [each.id for each in api.status_favourited_by(posted[3])] == [me.id]
    assert api.status_unfavourite(posted[3]).favourites_count == 0
    assert api.status_unreblog(posted[3]).reblogged is False
    api.status_delete(reply)
    with pytest.raises(MastodonNotFoundError):
        api.status(reply)
    for empty in (api.notifications, api.favourites, api.bookmarks, api.lists, api.mutes, api.blocks, api.filters):
        assert empty() == []
    assert api.markers_set("home", posted[0].id).home.last_read_id == posted[0].id
    assert api.instance().version.startswith("4.2.1")
    assert api.preferences()["posting:default:visibility"] == "public"
    token: Any = api.access_token
    api.revoke_access_token()
    with pytest.raises(MastodonUnauthorizedError):
        Mastodon(*keys, api_base_url=address, access_token=token).timeline_home()
