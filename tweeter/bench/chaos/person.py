"""A user with a single thread, who writes, reads and checks every page."""

import random
import time
from collections.abc import Collection
from math import inf
from typing import Any, Protocol

import psycopg

from tweeter.bench.chaos.history import History, Shown
from tweeter.values import Timeline

LOOKS = 3  # after each write
PROFILES = 0.2  # the share of profiles among the pages


class Site(Protocol):
    """The site as one user sees it. Writes return whether they were acknowledged, reads None if there is no page."""

    def post(self, message: str) -> bool: ...

    def delete(self, tweet: int) -> bool: ...

    def follow(self, name: str, begin: bool) -> bool: ...

    def page(self, timeline: Timeline) -> Shown | None: ...


class Person:
    """Knows exactly which changes of their own are committed: after a write without an acknowledgement SQL decides.

    `follows` are the followees at the beginning. Without `writes` they stay, and the person only reads.
    """

    def __init__(
        self,
        me: int,
        history: History,
        site: Site,
        database: str,
        seed: int,
        *,
        follows: Collection[int] = (),
        writes: bool = True,
        rest: float = 0.0,
    ) -> None:
        self.me = me
        self.follows = set(follows)
        self._history = history
        self._site = site
        self._url = database.replace("+psycopg", "")
        self._connection: psycopg.Connection[Any] | None = None
        self._chance = random.Random(seed)  # noqa: S311 (no secret)
        self._writes = writes
        self._rest = rest
        self._mine: list[int] = []

    def live(self) -> None:
        """Until the history is over."""
        try:
            while not self._history.over.is_set():
                if self._writes:
                    self.write()
                for _ in range(LOOKS):
                    self._look()
                    self._history.over.wait(self._rest)
        except _Over:
            pass
        finally:
            self.close()

    def check_at_rest(self) -> None:
        """Compares the home page and SQL with what this person knows. Nothing may have changed for a second."""
        page = self._site.page(Timeline("home", self.me))
        if page is None:
            self._complain("gets no page at the end")
        else:
            self._history.check_at_rest(self.me, self.follows | {self.me}, page)
        tweets = {row[0] for row in self._rows(False, "SELECT id FROM tweets WHERE user_id = %s", self.me)}
        if lost := set(self._mine) - tweets:
            self._complain(f"lost acknowledged tweets: {sorted(lost)}")
        if surplus := tweets - set(self._mine):
            self._complain(f"has tweets that they deleted or never posted: {sorted(surplus)}")
        if self._followees() != self.follows:
            self._complain("does not follow whom they should")
        self.close()

    def close(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def write(self) -> None:
        step = self._chance.random()
        self._history.tally.writes += 1
        if step < 0.5 or not self._mine:
            self._post()
        elif step < 0.7:
            self._delete()
        else:
            self._follow()

    def _post(self) -> None:
        message = f"{self.me}x{time.monotonic_ns()}"
        acknowledged = self._site.post(message)
        known = time.monotonic()
        page = self._look(home=True) if acknowledged else None  # before anything else: it must show the tweet
        rows = self._rows(not acknowledged, "SELECT id FROM tweets WHERE message = %s", message)
        for (id_,) in rows:
            self._history.post(id_, self.me, known if acknowledged else time.monotonic())
            self._mine.append(id_)
            if page is not None and id_ not in page.tweets:
                self._complain(f"did not see their own tweet {id_} on their next page; by {page.by}")
        if acknowledged and not rows:
            self._complain(f"lost an acknowledged tweet: {message}")
        if len(rows) > 1:
            self._complain(f"posted once, and has {len(rows)} tweets: {message}")

    def _delete(self) -> None:
        id_ = self._mine.pop(self._chance.randrange(len(self._mine)))
        tweet = self._history.tweets[id_]
        tweet.deleting = time.monotonic()
        acknowledged = self._site.delete(id_)
        if acknowledged:
            tweet.deleted = time.monotonic()
            self._look(home=True)
        if self._rows(not acknowledged, "SELECT 1 FROM tweets WHERE id = %s", id_):
            if acknowledged:
                self._complain(f"lost an acknowledged delete of {id_}")
            tweet.deleting = tweet.deleted = inf
            self._mine.append(id_)
        else:
            tweet.deleted = min(tweet.deleted, time.monotonic())

    def _follow(self) -> None:
        other = self._chance.choice([user for user in self._history.names if user != self.me])
        wanted = self.follows ^ {other}
        acknowledged = self._site.follow(self._history.names[other], other in wanted)
        if acknowledged:
            self.follows = wanted
            self._look(home=True)
        self.follows = self._followees(not acknowledged)
        if acknowledged and self.follows != wanted:
            self._complain(f"lost an acknowledged follow or unfollow of {self._history.names[other]}")

    def _look(self, home: bool = False) -> Shown | None:
        """Reads and checks a page: the home page, or now and then a profile."""
        profile = not home and self._chance.random() < PROFILES
        owner = self._chance.choice(list(self._history.names)) if profile else self.me
        authors = {owner} if profile else self.follows | {self.me}
        began = time.monotonic()
        page = self._site.page(Timeline("profile" if profile else "home", owner))
        self._history.tally.pages[page.by if page else "none"] += 1
        if page:
            self._history.check(self.me, authors, page, began, time.monotonic())
        return page

    def _followees(self, unsure: bool = False) -> set[int]:
        rows = self._rows(unsure, "SELECT to_user_id FROM relationships WHERE from_user_id = %s", self.me)
        return {row[0] for row in rows}

    def _rows(self, unsure: bool, statement: str, *values: Any) -> list[tuple[Any, ...]]:
        """The rows, once PostgreSQL responds. If `unsure`, after an unfinished transaction of this user."""
        while True:
            try:
                connection = self._connection or psycopg.connect(self._url, autocommit=True, connect_timeout=5)
            except psycopg.Error:
                if self._history.over.wait(0.05):
                    raise _Over from None
                continue
            self._connection = connection
            try:
                if unsure:  # the transaction of a dead process may still commit
                    connection.execute("SELECT 1 FROM users WHERE id = %s FOR UPDATE", [self.me])
                return connection.execute(statement.encode(), values).fetchall()
            except psycopg.Error:
                self.close()

    def _complain(self, what: str) -> None:
        self._history.complain(f"{self._history.names[self.me]} {what}")


class _Over(Exception):
    """The run was interrupted while SQL did not respond: what is committed stays unknown."""
