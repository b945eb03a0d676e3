"""Replays recorded tweets on their follow graph, in their real order, but faster.

The busiest stretch is the shortest time in which `count` tweets were posted. Tweets from before it are loaded; those of
the stretch are posted one after the other. Between two tweets, users read their home pages: authors of the surrounding
thousand tweets, because these users were active then.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
import numpy as np
from sqlalchemy import insert, select

from tweeter.bench.machinery import engine_at
from tweeter.bench.scratch import Scratch
from tweeter.bench.workloads import REPLAY, Workload, World
from tweeter.bench.workloads.operations import Operation, Post, ReadHome
from tweeter.bulk.load import load
from tweeter.bulk.load.files import read_lines, size
from tweeter.bulk.load.parse import LOADED_LIMIT_FACTOR, BadLine, LoadedTweet, parse_tweet
from tweeter.console.commands import CommandError, Site
from tweeter.console.progress import Progress
from tweeter.db.sessions import make_sessions
from tweeter.models import User

AROUND = 1_000  # tweets before and after, whose authors read


class Recording(NamedTuple):
    """A database with the loaded past, and the tweets to replay."""

    url: str
    world: World
    tweets: list[tuple[int, str]]  # author and message
    reads_per_post: int
    settings: dict[str, Any]

    @property
    def workload(self) -> Workload:
        return Workload(
            REPLAY,
            f"{len(self.tweets):,} tweets of your own in their order, {self.reads_per_post} home pages after each",
            lambda world, count, seed: replay(self.tweets, self.reads_per_post, seed),
        )

    @property
    def length(self) -> int:
        return len(self.tweets) * (1 + self.reads_per_post)


def replay(tweets: list[tuple[int, str]], reads_per_post: int, seed: int) -> Iterator[Operation]:
    """The posts, and after each of them so many home pages of active users."""
    random = np.random.default_rng(seed)
    for number, (author, message) in enumerate(tweets):
        yield Post(author, message)
        first, last = max(0, number - AROUND), min(len(tweets), number + AROUND)
        for place in random.integers(first, last, reads_per_post).tolist():
            yield ReadHome(tweets[place][0])


def read_recording(scratch: Scratch, follows: Path, tweets: Path, count: int, reads_per_post: int) -> Recording:
    """Loads the past into a separate database. Raises CommandError for files that are unreadable or empty."""
    settings = scratch.settings("sql")
    every = _read(tweets, settings["tweeter.message_limit"], scratch.progress)
    if not every:
        raise CommandError(f"{tweets} has no tweets")
    first = busiest([tweet.epoch_ms for tweet in every], count)
    past = scratch.folder / "past.jsonl"
    with past.open("wb") as file:
        for tweet in every[:first]:
            line = {"user": tweet.name, "date": tweet.epoch_ms / 1000, "message": tweet.message}
            file.write(msgspec.json.encode(line) + b"\n")
    now = every[first : first + count]
    names = list({tweet.username.lower(): tweet.username for tweet in now}.values())
    url = scratch.new_database()
    with engine_at(url) as engine:
        site = Site("", settings, engine, make_sessions(engine))
        load(site, scratch.progress, follows, past)
        people = _people(site, names)
    numbers = {name.lower(): number for number, name in enumerate(names)}
    return Recording(
        url,
        World(np.zeros(len(people), np.int64), 0, people=people),
        [(numbers[tweet.username.lower()], tweet.message) for tweet in now],
        reads_per_post,
        {"tweeter.message_limit": settings["tweeter.message_limit"] * LOADED_LIMIT_FACTOR},
    )


def busiest(times: list[int], count: int) -> int:
    """The start of the shortest time in which so many tweets were posted; the times are sorted."""
    if count >= len(times):
        return 0
    moments = np.array(times)
    return int(np.argmin(moments[count - 1 :] - moments[: len(times) - count + 1]))


def _read(path: Path, message_limit: int, progress: Progress) -> list[LoadedTweet]:
    """All tweets of a file in the order of their time."""
    progress.phase(f"Reading {path.name} (bytes)", size(path))
    found, bad = [], 0
    for _, line in read_lines(path, progress.advance):
        try:
            tweet = parse_tweet(line or b"?", message_limit) if line != b"" else None
        except BadLine:
            bad += 1
            continue
        if tweet and tweet.kind == "tweet":  # reposts and likes are not replayed
            found.append(tweet)
    if bad:
        progress.say(f"{path}: {bad:,} bad lines, skipped")
    found.sort(key=lambda tweet: tweet.epoch_ms)
    return found


def _people(site: Site, names: list[str]) -> list[tuple[int, str]]:
    """The ids of these users. Adds users who never followed, were followed or posted before."""
    with site.sessions() as session:
        known = set(session.scalars(select(User.username_key)))
        if missing := [name for name in names if name.lower() not in known]:
            rows = [{"username": name, "username_key": name.lower(), "display_name": name} for name in missing]
            session.execute(insert(User), rows)
            session.commit()
        ids = {row.username_key: row.id for row in session.execute(select(User.username_key, User.id))}
    return [(ids[name.lower()], name) for name in names]
