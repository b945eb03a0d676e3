"""Streams through Pushpin: the memory and threads of idle ones, and the time from a commit to the client.

Every reader streams their home timeline as an application does. Some tweets are for one of them, others for all.
"""

import argparse
import os
import secrets
import selectors
import socket
import threading
import time
from contextlib import ExitStack
from typing import Any

from pyramid.registry import Registry

import tweeter
from tweeter.api.tokens import Tokens
from tweeter.bench import cpu
from tweeter.bench.figures import Figures, percentile
from tweeter.bench.scratch import Scratch
from tweeter.bench.web import Served, serving, site_app
from tweeter.bulk.rows import bulk_rows
from tweeter.console.commands import CommandError, count
from tweeter.devtools.servers import Pushpin, free_port, release_port, resident
from tweeter.interfaces import IDelivery
from tweeter.models import AccessToken, Application
from tweeter.services.actions import acting
from tweeter.streaming import STREAMS

IDLE = 5.0  # seconds in which idle streams are measured
WAVE = 50  # clients that connect at the same time
PAUSE = 0.1  # seconds between two tweets
PATIENCE = 30.0  # seconds to connect, and for an event to arrive
MOST_MEGABYTES = 50  # targets
MOST_MS = 100


def add_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--streams", type=count, default=1000, metavar="N", help="connected readers (default 1,000)")
    parser.add_argument("--tweets", type=count, default=200, metavar="N", help="tweets for one reader (default 200)")
    parser.add_argument("--backend", default="sql", help="the backend that serves timelines (default sql)")


def run(scratch: Scratch, args: argparse.Namespace) -> Figures:
    figures = Figures(f"Streams of {args.streams:,} readers", "as named")
    with ExitStack() as stack:
        pushpin = Pushpin(free_port())
        stack.callback(release_port, pushpin.site_port)
        scratch.start(pushpin)  # first: streams of a Pushpin that the publisher finds later are closed once
        with scratch.machinery("sql") as registry:
            one, all_, tokens = _fill(scratch, registry, args.streams)
        settings = scratch.settings(args.backend, **pushpin.settings)
        site = stack.enter_context(serving(scratch, args.ini, "site", site_app, settings, port=pushpin.site_port))
        site.child.call(_wait_for_publisher)
        listeners = stack.enter_context(Listeners(pushpin, tokens[:1]))  # what the first stream needs is there
        listeners.wait(site.child.call(_post, one, "warm"), 1)
        before = resident(site.child.pid), site.child.call(threading.active_count), pushpin.resident
        began = time.monotonic()
        listeners.connect(tokens[1:])
        took = time.monotonic() - began
        used = cpu.of_process(site.child.pid), cpu.of_tree(pushpin.pid)
        time.sleep(IDLE)
        idle = [
            100 * (now - then) / IDLE
            for now, then in zip((cpu.of_process(site.child.pid), cpu.of_tree(pushpin.pid)), used, strict=True)
        ]
        after = resident(site.child.pid), site.child.call(threading.active_count), pushpin.resident
        to_one = _measure(scratch, site, listeners, one, args.tweets, 1)
        to_all = _measure(scratch, site, listeners, all_, max(args.tweets // 10, 1), args.streams)
    figures.claim("threads of the site for idle streams", after[1] - before[1], most=0)
    figures.claim("MB of the site for idle streams", (after[0] - before[0]) / 1e6, most=MOST_MEGABYTES)
    figures.claim("ms from the commit to one of the readers, p99", percentile(to_one, 99), most=MOST_MS)
    figures.claim("ms from the commit to each of all readers, p99", percentile(to_all, 99))
    figures.add({"ms to one reader": to_one, "ms to each of all readers": to_all})
    figures.notes += [
        f"Connecting took {took:.1f} s: {(args.streams - 1) / took:,.0f} streams a second.",
        f"Pushpin grew by {(after[2] - before[2]) / 1e6:.1f} MB to {after[2] / 1e6:.0f} MB.",
        f"Idle, the site uses {idle[0]:.1f} % of a CPU, and Pushpin {idle[1]:.1f} %.",
    ]
    return figures


def _fill(scratch: Scratch, registry: Registry, streams: int) -> tuple[int, int, list[str]]:
    """An author whom the first reader follows, one whom all follow, and a token of each reader."""
    with bulk_rows(registry.database.engine, scratch.progress) as rows:
        one, all_ = rows.people(2)
        readers = rows.people(streams, "reader")
        rows.follows([(readers[0], one), *((reader, all_) for reader in readers)], streams + 1)
    hasher = Tokens(registry.settings["tweeter.secret"], registry.database.statements)
    tokens = [secrets.token_urlsafe(32) for _ in readers]
    with registry.database.sessions.begin() as session:
        application = Application(
            client_id="bench", secret_hash=b"", name="bench", redirect_uris="", scopes="read"
        )  # fmt: skip
        session.add(application)
        session.flush()
        for reader, token in zip(readers, tokens, strict=True):
            session.add(
                AccessToken(
                    token_hash=hasher.hash(token), application_id=application.id, user_id=reader, auth_version=0,
                    scopes="read",
                )
            )  # fmt: skip
    return one, all_, tokens


def _wait_for_publisher() -> None:
    """Runs in the site's process."""
    [registry] = tweeter.started()
    deadline = time.monotonic() + PATIENCE
    while not registry[STREAMS].holds:
        if time.monotonic() > deadline:
            raise CommandError("The site does not publish to Pushpin.")
        time.sleep(0.01)


def _post(author: int, message: str) -> float:
    """Runs in the site's process: posts, and returns the time (monotonic) just before the commit."""
    [registry] = tweeter.started()
    with acting(registry) as actions:
        actions.post(author, message)
        began = time.monotonic()
    registry.getUtility(IDelivery).wake()
    return began


def _measure(
    scratch: Scratch, site: Served, listeners: "Listeners", author: int, tweets: int, receivers: int
) -> list[float]:
    """The milliseconds from each commit to each receiver."""
    scratch.progress.phase(f"Tweets for {receivers:,}", tweets)
    found: list[float] = []
    for number in range(tweets):
        began = site.child.call(_post, author, f"tweet {number} for {receivers}")
        found += listeners.wait(began, receivers)
        scratch.progress.advance(1)
        time.sleep(PAUSE)
    return found


class Listeners:
    """Clients that hold streams, in one thread; they note when an event arrives."""

    def __init__(self, pushpin: Pushpin, tokens: list[str]) -> None:
        self._address = (pushpin.host, pushpin.port)
        self._selector = selectors.DefaultSelector()
        self._sockets: list[socket.socket] = []
        self._arrived: list[float] = []
        self._begun = 0
        self._refused = b""  # an answer that is no stream
        self._changed = threading.Condition()
        self._stopped = False
        self._thread = threading.Thread(target=self._listen, name="listeners", daemon=True)
        self._thread.start()
        self.connect(tokens)

    def __enter__(self) -> "Listeners":
        return self

    def __exit__(self, *_: Any) -> None:
        self._stopped = True
        self._thread.join()
        for each in self._sockets:
            each.close()
        self._selector.close()

    def connect(self, tokens: list[str]) -> None:
        """Opens a stream for each token, WAVE at a time. Raises CommandError."""
        for start in range(0, len(tokens), WAVE):
            self._connect(tokens[start : start + WAVE])

    def _connect(self, tokens: list[str]) -> None:
        goal = self._begun + len(tokens)
        for token in tokens:
            connection = socket.create_connection(self._address)
            connection.sendall(
                b"GET /api/v1/streaming/user HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer %s\r\n\r\n"
                % token.encode()
            )
            connection.setblocking(False)
            self._sockets.append(connection)
            self._selector.register(connection, selectors.EVENT_READ)
        with self._changed:
            if not self._changed.wait_for(lambda: self._begun >= goal, PATIENCE):
                why = self._refused.decode("utf-8", "replace") or "there was no answer"
                raise CommandError(f"Only {self._begun:,} of {goal:,} streams have begun: {why}")

    def wait(self, began: float, receivers: int) -> list[float]:
        """The milliseconds until the event arrived at so many clients. Raises CommandError."""
        with self._changed:
            if not self._changed.wait_for(lambda: len(self._arrived) >= receivers, PATIENCE):
                raise CommandError(f"An event reached {len(self._arrived):,} of {receivers:,} readers.")
            found, self._arrived = [1000 * (moment - began) for moment in self._arrived], []
        return found

    def _listen(self) -> None:
        while not self._stopped:
            ready = self._selector.select(0.1)
            moment = time.monotonic()
            begun, arrived = 0, 0
            for key, _ in ready:
                data = os.read(key.fd, 65536)
                begun += data.count(b"\n:)\n") + data.startswith(b":)\n")
                arrived += data.count(b"event: update\n")
                if data.startswith(b"HTTP/1.1 ") and not data.startswith(b"HTTP/1.1 200 "):
                    self._refused = data
                if not data:
                    self._selector.unregister(key.fileobj)
            with self._changed:
                self._begun += begun
                self._arrived += [moment] * arrived
                self._changed.notify_all()
