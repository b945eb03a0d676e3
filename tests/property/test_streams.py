"""A stream is a hint: the page at connect, the events since, and the page at reconnect equal what SQL says.

Real processes: a site behind Pushpin, a relay that publishes, PostgreSQL and Redis. Hypothesis lets people post,
repost, delete, follow and mute, and kills the processes with SIGKILL.
"""

import json
import secrets
import time
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack, closing
from itertools import count
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from pyramid.registry import Registry

import tweeter
from tests.conftest import settings_of
from tests.support.databases import Databases
from tests.support.streams import reconnect
from tweeter.api.tokens import Tokens
from tweeter.devtools.servers import Pushpin, Redis, free_port
from tweeter.devtools.servers.processes import RelayProcess, SiteProcess, write_ini
from tweeter.errors import Refused
from tweeter.interfaces import ITimelineKinds
from tweeter.models import AccessToken, Application
from tweeter.outbox.checkpoint import FRESH
from tweeter.services.actions import acting
from tweeter.values import Cursor

pytestmark = pytest.mark.slow

AUTHORS = 3  # of whom the reader follows the first two at the beginning
SECONDS = 20  # to reconnect, and for events to arrive
numbers = count(1)


class World:
    """The processes, and a registry to act with: it delivers nothing, so all events pass through the relay."""

    def __init__(self, stack: ExitStack, url: str, redis: Redis, folder: Path) -> None:
        own = {"tweeter.timelines": "redis", "tweeter.redis.url": redis.url, "tweeter.redis.prefix": folder.name}
        self.site = SiteProcess(folder / "site.ini")
        self.site.port = free_port()
        self.pushpin = Pushpin(self.site.port)
        self.pushpin.start()
        merged = settings_of(url) | own | self.pushpin.settings | {"tweeter.delivery": "relay"}
        write_ini(folder / "site.ini", {key: value for key, value in merged.items() if value not in (None, "")})
        self.relay = RelayProcess(folder / "site.ini")
        for server in (self.pushpin, self.site, self.relay):
            stack.enter_context(closing(server))
        self.site.start()
        self.relay.start()
        self.secret = merged["tweeter.secret"]
        self.registry: Registry = stack.enter_context(tweeter.site(merged, deliver=False))
        self.kinds = self.registry.getUtility(ITimelineKinds)

    def kill(self, name: str) -> None:
        """Kills a process, and starts it again."""
        server = {"site": self.site, "relay": self.relay, "pushpin": self.pushpin}[name]
        server.kill()
        server.start()

    def home(self, reader: int) -> dict[int, int]:
        """{entry: tweet} of the home timeline, as SQL says."""
        with self.registry.database.sessions() as session:
            entries = self.kinds["home"].read_page(session, reader, Cursor(limit=200))
        return {entry.id: entry.tweet.id for entry in entries}

    def token(self, user: int) -> str:
        token = secrets.token_urlsafe(32)
        hashed = Tokens(self.secret, self.registry.database.statements).hash(token)
        with self.registry.database.sessions.begin() as session:
            application = Application(
                client_id=token, secret_hash=hashed, name="Test", redirect_uris="", scopes="read"
            )  # fmt: skip
            session.add(application)
            session.flush()
            session.add(
                AccessToken(
                    token_hash=hashed, application_id=application.id, user_id=user, auth_version=0, scopes="read"
                )
            )
        return token


class Client:
    """An application of the reader: what its stream and its pages have shown since it connected."""

    def __init__(self, world: World, token: str) -> None:
        self._world = world
        self._token = token
        self.updates: dict[int, int] = {}  # {entry: tweet}
        self.deletes: set[int] = set()
        self._stream = reconnect(f"{self._world.pushpin.url}/api/v1/streaming/user", self._token)
        time.sleep(FRESH)  # pages lag by as much
        self.page = self.read_page()

    def read_page(self) -> dict[int, int]:
        url = f"{self._world.pushpin.url}/api/v1/timelines/home?limit=40"
        request = urllib.request.Request(url, headers={"Authorization": f"Bearer {self._token}"})
        with urllib.request.urlopen(request, timeout=SECONDS) as answer:
            return dict(map(entry_of, json.load(answer)))

    def read_until(self, tweet: int) -> bool:
        """Reads events up to that of a tweet; False if the stream ends before."""
        try:
            while tweet not in self.updates:
                name, payload = self._stream.next()
                if name == "update":
                    self.updates |= dict([entry_of(payload)])
                elif name == "delete":
                    self.deletes.add(int(payload))
        except (EOFError, ConnectionError):
            return False
        return True

    def close(self) -> None:
        self._stream.close()


def entry_of(status: Any) -> tuple[int, int]:
    return int(status["id"]), int((status["reblog"] or status)["id"])


@pytest.fixture(scope="module")
def world(
    postgresql_databases: Databases, redis_server: Redis, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[World]:
    with ExitStack() as stack:
        url = stack.enter_context(postgresql_databases.use())
        yield World(stack, url, redis_server, tmp_path_factory.mktemp("streams"))


whom = st.integers(0, AUTHORS - 1)
acts = st.one_of(
    st.tuples(st.just("post"), whom),
    st.tuples(st.just("repost"), whom),
    st.tuples(st.just("delete"), whom),
    st.tuples(st.sampled_from(["follow", "unfollow", "mute", "unmute"]), whom),
    st.tuples(st.just("kill"), st.sampled_from(["site", "relay", "pushpin"])),
)


# Without shrinking, which would start processes for minutes.
@settings(
    max_examples=8, phases=[Phase.explicit, Phase.reuse, Phase.generate], suppress_health_check=[HealthCheck.too_slow]
)
@given(st.lists(acts, min_size=5, max_size=15))
def test_page_at_connect_and_events_and_page_at_reconnect_equal_sql(world: World, steps: list[Any]) -> None:
    name = f"p{next(numbers)}"
    with acting(world.registry) as actions:
        reader = actions.sign_up(f"{name}_reader", "a good password").id
        authors = [actions.sign_up(f"{name}_{number}", "a good password").id for number in range(AUTHORS)]
    names = [f"{name}_{number}" for number in range(AUTHORS)]
    with acting(world.registry) as actions:
        for author in names[:2]:
            actions.follow(reader, author)
    ever = world.home(reader)  # what the page showed at any time
    posted: list[tuple[int, int]] = []  # number of the author, tweet
    made: list[tuple[int, int, int, int]] = []  # numbers of who made the entry and of the tweet's author; entry, tweet
    followed, muted = {0, 1}, set[int]()
    changes = {
        "follow": followed.add, "unfollow": followed.discard, "mute": muted.add, "unmute": muted.discard
    }  # fmt: skip
    # {entry: tweet} that the reader was allowed to see at any time. An event may come late: after an unmute also that
    # of an older repost, which is the newest reason on no page.
    allowed: dict[int, int] = {}
    related = False  # since the client connected: whom the reader follows or hides
    with closing(Client(world, world.token(reader))) as client:
        for act, what in [*steps, ("post", 0), ("follow", 0), ("unmute", 0)]:
            if act == "kill":
                world.kill(what)
                continue
            try:
                with acting(world.registry) as actions:
                    if act == "post":
                        tweet = actions.post(authors[what], "hello").id
                        posted.append((what, tweet))
                        made.append((what, what, tweet, tweet))
                    elif act == "repost" and posted:
                        number, tweet = posted[-1]
                        made.append((what, number, actions.repost(authors[what], tweet).id, tweet))
                    elif act == "delete" and posted:
                        number, tweet = posted.pop(0)
                        actions.delete(authors[number], tweet)
                    elif act in changes:
                        before = world.home(reader).keys()
                        getattr(actions, act)(reader, names[what])
                        changes[act](what)
            except Refused:
                continue
            seen = followed - muted
            allowed |= {entry: tweet for by, of, entry, tweet in made if by in seen and of not in muted}
            now = world.home(reader)
            related = related or (act in changes and now.keys() != before)
            ever |= now
        with acting(world.registry) as actions:
            marker = actions.post(authors[0], "the last").id
        allowed[marker] = marker
        sql = world.home(reader)
        ever |= sql
        assert marker in sql
        whole = client.read_until(marker)
        assert client.updates.items() <= allowed.items(), "an event was invented"
        assert set(client.updates.values()) <= set(ever.values()), "a hidden tweet was sent"
        assert not client.deletes & sql.keys(), "a deletion was invented"
        if whole and not related:
            known = client.page | client.updates
            shown = {tweet for entry, tweet in known.items() if not client.deletes & {entry, tweet}}
            assert shown == set(sql.values()), "a stream that did not end lost an event"
    with closing(Client(world, world.token(reader))) as client:
        assert client.page == sql
