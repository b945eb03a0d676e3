"""A site and its signed-in readers, whose followees are distributed as on Twitter; and the site on each backend.

The readers sign in once, through the form. Each backend has a copy of the database and the same secret, so the cookies
hold everywhere.
"""

import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, closing, contextmanager
from typing import Any, NamedTuple

import numpy as np
from sqlalchemy import select, update

from tweeter.bench.browser import Browser
from tweeter.bench.contender import CHEAP
from tweeter.bench.graphs import power_law
from tweeter.bench.machinery import engine_at
from tweeter.bench.schema import label
from tweeter.bench.scratch import Scratch
from tweeter.bench.web import Served, serving, site_app
from tweeter.bench.world import write_world
from tweeter.console.commands import CommandError
from tweeter.interfaces import ITimelines
from tweeter.models import User
from tweeter.services.passwords import Passwords

# On average, by the counts of Kwak et al. (WWW 2010): 1.47 billion relations of 41.7 million users.
FOLLOWEES = 35
PASSWORD = "only for measuring"  # noqa: S105 (no other user can reach the site)
MESSAGE = "Of everyday size, as most are."
PATIENCE = 30  # seconds until a store serves pages

# Rate limits are off already. The cookies must be accepted without https.
SETTINGS: Mapping[str, Any] = CHEAP | {"tweeter.secure_cookies": False}


class Audience(NamedTuple):
    """The readers: `homes[n]` asks for the home page of user `users[n]`, and `posts[n]` is a tweet of that user."""

    url: str  # of the database, which is copied for each backend
    users: list[int]
    browsers: list[Browser]  # signed in; the addresses differ
    homes: list[bytes]
    posts: list[bytes]
    followees: list[int]  # numbers

    def data(self) -> dict[str, float]:
        """The distribution of followees, in numbers."""
        counts = np.array(self.followees)
        return {
            "readers": len(counts), "median": float(np.median(counts)), "mean": round(float(counts.mean()), 1),
            "p90": float(np.percentile(counts, 90)), "most": int(counts.max()),
        }  # fmt: skip


def make_audience(scratch: Scratch, ini: str, people: int, tweets_each: int, readers: int, seed: int) -> Audience:
    """A site of so many people, of whom some sign in."""
    graph = power_law(people, FOLLOWEES, seed)
    url = scratch.new_database()
    chosen = sorted(np.random.default_rng(seed).permutation(people)[:readers].tolist())
    settings = scratch.settings("sql", **SETTINGS) | {"sqlalchemy.url": url}
    with engine_at(url) as engine:
        write_world(engine, graph, people * tweets_each, seed, scratch.progress)
        with engine.begin() as connection:
            hashed = Passwords.of(settings).hash(PASSWORD)
            ids = [user + 1 for user in chosen]
            connection.execute(update(User).where(User.id.in_(ids)).values(password_hash=hashed))
    followees = graph.followees_of_each()[chosen].tolist()
    found = Audience(url, ids, [], [], [], followees)
    scratch.progress.phase("Readers sign in", readers)
    with serving(scratch, ini, "sign-in", site_app, settings) as site:
        for user in ids:
            with closing(Browser(site.address)) as browser:
                browser.sign_in(f"u{user}", PASSWORD)
                browser.get("/")
                found.browsers.append(browser)
                found.homes.append(browser.request("/"))
                found.posts.append(browser.form("/tweets", message=MESSAGE))
            scratch.progress.advance(1)
    with engine_at(url) as engine, engine.connect() as connection:
        connection.execute(select(1))  # as the last connection, it moves SQLite's log into the file that is copied
    return found


class Fleet(NamedTuple):
    """The site on one backend: its processes share a database and a store."""

    backend: str
    sites: list[Served]
    sql: Any  # the timelines of SQL, to check pages


@contextmanager
def fleets(
    scratch: Scratch, ini: str, audience: Audience, backends: Sequence[str], processes: int
) -> Iterator[list[Fleet]]:
    """The site on each backend, with warm timelines of all readers."""
    with ExitStack() as stack:
        found = []
        for backend in backends:
            url = stack.enter_context(scratch.copy(audience.url))
            settings = scratch.settings(backend, **SETTINGS) | {"sqlalchemy.url": url}
            running = [serving(scratch, ini, label(backend), site_app, settings) for _ in range(processes)]
            sites = [stack.enter_context(site) for site in running]
            checker = stack.enter_context(scratch.machinery("sql", **{"sqlalchemy.url": url}))
            found.append(Fleet(label(backend), sites, checker.getUtility(ITimelines)))
        scratch.progress.phase("Warming timelines", len(found) * processes)
        for fleet in found:
            for site in fleet.sites:
                warm(audience, fleet.backend, site)
                scratch.progress.advance(1)
        yield found


def warm(audience: Audience, backend: str, site: Served) -> None:
    """Every reader reads their home page, from the backend. Raises CommandError if it serves none."""
    deadline = time.monotonic() + PATIENCE
    with closing(audience.browsers[0].at(site.address)) as first:
        while (served_by := first.get("/").served_by) != backend:
            if time.monotonic() > deadline:
                raise CommandError(f"The site does not serve pages from {backend}, but from {served_by or 'nothing'}.")
            time.sleep(0.1)
    for reader in audience.browsers:
        with closing(reader.at(site.address)) as browser:
            browser.get("/")
