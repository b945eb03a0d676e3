"""Records one fan-out: who has the tweet when, and what happens while its relay is killed.

Redis reports the newest id of each watched timeline, to one client that asks for those that lack the tweet. MONITOR
would report every command, but Redis formats each for it, which costs more than the command itself.
"""

import os
import signal
import statistics
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, closing
from datetime import UTC, datetime
from itertools import groupby, pairwise
from operator import itemgetter
from typing import Any

import msgspec
from pyramid.registry import Registry
from sqlalchemy import select

from tweeter import measure
from tweeter.backends.redis.commands import pack
from tweeter.backends.redis.lists import newest, parse
from tweeter.backends.redis.url import open_url
from tweeter.backends.redis.wire import Wire
from tweeter.batches import batched
from tweeter.bench import posting
from tweeter.bench.children import Child
from tweeter.bench.delivery import DURABLE
from tweeter.bench.figures import machine
from tweeter.bench.given import redis_client
from tweeter.bench.machinery import PATIENT, caught_up, machinery, post
from tweeter.bench.scratch import Scratch
from tweeter.bench.warm import RedisKey, shuffled
from tweeter.bulk.rows import bulk_rows
from tweeter.console.commands import CommandError
from tweeter.ids import MAX_ID, generate_id
from tweeter.interfaces import IDelivery, ITimelines
from tweeter.models import Relationship, Tweet
from tweeter.outbox.checkpoint import Checkpoint, decode
from tweeter.values import Cursor, Timeline, TweetCreated

DOTS = 2_000  # watched timelines
ENTRIES = 10  # ids in a timeline before
POLL = 0.004  # seconds between two polls
KILLED_AT = 0.4  # of the watched timelines that have the tweet
LEFT = 0.1  # of them that must still lack it after the takeover
ATTEMPTS = 5
PATIENCE = 60  # seconds
READ_AFTER = 0.1  # seconds after the kill, when a follower who lacks the tweet reads a page
AT_ONCE = 1_000  # timelines per exchange, in the comparison


class PageRead(msgspec.Struct, frozen=True):
    """A home page that was read while no relay delivered, by a follower whose timeline lacked the tweet."""

    at: float
    took: float
    served_by: str
    shown: bool


class Progress(msgspec.Struct, frozen=True, array_like=True):
    """A checkpoint: so many followers are done, by the first relay (0) or the second (1)."""

    at: float
    relay: int
    done: int


class Recording(msgspec.Struct, frozen=True):
    """Times are milliseconds since the commit. `arrivals` has the one of each watched follower, in the order of ids."""

    created: str
    machine: dict[str, Any]
    servers: dict[str, str]
    followers: int
    arrivals: list[float]
    checkpoints: list[Progress]
    began: float  # the author's transaction
    killed: float
    taken: float  # the first checkpoint of the second relay
    page: PageRead
    polls: tuple[float, float]  # milliseconds between two: median and longest
    attempts: int
    twice: int = 0  # timelines to which both relays wrote
    compared: int = 0
    differed: int = 0

    @property
    def last(self) -> float:
        return max(self.arrivals)

    @property
    def right(self) -> bool:
        return not self.differed and self.compared == self.followers and self.page.shown

    def having(self, at: float) -> int:
        """How many of the watched timelines have the tweet then."""
        return sum(arrival <= at for arrival in self.arrivals)


def record(scratch: Scratch, followers: int, dots: int) -> Recording:
    """Raises CommandError if the fan-out ends before the second relay takes over, in each of several attempts."""
    scratch.postgresql_options |= DURABLE
    settings = scratch.settings("redis", **PATIENT)
    with ExitStack() as stack:
        registry = stack.enter_context(machinery(settings | {"tweeter.delivery": "relay"}))
        author, fans = _people(scratch, registry, followers)
        for attempt in range(1, ATTEMPTS + 1):
            scratch.progress.phase("Two relays" if attempt == 1 else f"Two relays, attempt {attempt}", None)
            with closing(Child()) as one, closing(Child()) as other:
                for relay in (one, other):
                    relay.call(posting.begin, settings, True)
                timelines = caught_up(registry)
                if attempt == 1:
                    _warm(scratch, timelines, fans)
                run = _Run(registry, scratch.redis, author, fans, dots)
                recording = run.watch(attempt)
                if recording.having(recording.taken) <= (1 - LEFT) * dots:
                    break
        else:
            raise CommandError(
                f"The fan-out ended before another relay took over: give more than {followers:,} --followers."
            )
        scratch.progress.phase("Comparing with SQL", followers)
        counts = {"twice": 0, "compared": 0, "differed": 0}
        for kept, repeated, right in _compared(scratch, registry, timelines.store, author, run.tweet):
            counts["compared"] += kept
            counts["twice"] += repeated
            counts["differed"] += kept - right
            scratch.progress.advance(kept)
        return msgspec.structs.replace(recording, servers=scratch.versions(), **counts)


def _people(scratch: Scratch, registry: Registry, followers: int) -> tuple[int, range]:
    with bulk_rows(registry.database.engine, scratch.progress) as rows:
        [author] = rows.people(1, "author")
        fans = rows.people(followers, "follower")
        rows.follows(((fan, author) for fan in fans), followers)
        rows.tweets(((generate_id(), author, "An earlier tweet.") for _ in range(ENTRIES)), ENTRIES)
    return author, fans


def _warm(scratch: Scratch, timelines: Any, fans: range) -> None:
    """The site backfills one timeline; the others are copies."""
    scratch.progress.phase("Warming timelines", None)
    first = Timeline("home", fans[0])
    timelines.page(first, Cursor(limit=1))
    with redis_client(scratch.redis) as client:
        original = RedisKey(client, timelines.store.name_of(first.key).encode())
        original.copy(original.stem, shuffled(fans, seed=1))


class _Run:
    """One post, watched until the last timeline has it."""

    def __init__(self, registry: Registry, redis_url: str, author: int, fans: range, dots: int) -> None:
        self._registry = registry
        self._timelines = registry.getUtility(ITimelines)
        self._author = author
        self._fans = fans
        self._watched = fans[:: len(fans) // dots][:dots]
        name = self._timelines.store.name_of
        self._asks = [pack("LINDEX", name(Timeline("home", fan).key), -1) for fan in self._watched]
        self._wire = Wire(open_url(redis_url, PATIENCE), PATIENCE, "")
        self.tweet = 0

    def watch(self, attempt: int) -> Recording:
        before = self._checkpoint()
        holder = before.holder
        began = time.monotonic()
        self.tweet = post(self._registry, self._author)
        zero = time.monotonic()
        self._registry.getUtility(IDelivery).wake()
        arrivals: dict[int, float] = {}
        checkpoints: list[Progress] = []
        polls: list[float] = []
        killed = taken = 0.0
        page: PageRead | None = None
        lacking = list(range(len(self._watched)))
        while not (taken and page and not lacking and checkpoints[-1].done == len(self._fans)):
            asked = time.monotonic()
            if asked - zero > PATIENCE:
                raise CommandError(f"{len(lacking):,} watched timelines did not get the tweet in {PATIENCE} seconds.")
            checkpoint = decode(self._timelines.store.checkpoint())
            at = _ms(time.monotonic() - zero)
            polls.append(at)
            if checkpoint and (done := self._done(checkpoint, before)) is not None:
                relay = int(checkpoint.holder != holder)
                if relay and not taken:
                    taken = at
                if not checkpoints or checkpoints[-1] != Progress(checkpoints[-1].at, relay, done):
                    checkpoints.append(Progress(at, relay, done))
            found = set(self._having(lacking))
            at = _ms(time.monotonic() - zero)
            arrivals |= dict.fromkeys(found, at)
            lacking = [number for number in lacking if number not in found]
            # Pages show a tweet that a checkpoint lists; without one they may lag by a second.
            if not killed and checkpoints and len(arrivals) >= KILLED_AT * len(self._watched):
                os.kill(int(holder.rpartition(":")[2]), signal.SIGKILL)
                killed = _ms(time.monotonic() - zero)
            elif killed and page is None and (at - killed >= 1000 * READ_AFTER or not lacking):
                page = self._read(self._watched[lacking[-1] if lacking else -1], zero)
            time.sleep(max(0.0, POLL - (time.monotonic() - asked)))
        between = [later - earlier for earlier, later in pairwise(polls)]
        return Recording(
            datetime.now(UTC).isoformat(timespec="seconds"), machine(), {}, len(self._fans),
            [arrivals[number] for number in range(len(self._watched))], checkpoints, _ms(began - zero), killed, taken,
            page, (round(statistics.median(between), 1), round(max(between), 1)), attempt,
        )  # fmt: skip

    def _checkpoint(self) -> Checkpoint:
        checkpoint = decode(self._timelines.store.checkpoint())
        if checkpoint is None or not checkpoint.holder:
            raise CommandError("No relay delivers to the store.")
        return checkpoint

    def _done(self, checkpoint: Checkpoint, before: Checkpoint) -> int | None:
        """How many followers are done; None before the event is read."""
        for each in checkpoint.in_flight:
            if isinstance(each.event, TweetCreated) and each.event.tweet_id == self.tweet:
                return max(0, each.resume + 1 - self._fans[0])
        return None if checkpoint.last == before.last else len(self._fans)

    def _having(self, lacking: Sequence[int]) -> Iterator[int]:
        """Those of the watched timelines whose newest id is the tweet."""
        if not lacking:
            return
        payload = b"".join(self._asks[number] for number in lacking)
        node = self._wire.topology.nodes()[0]
        [replies] = self._wire.read(self._wire.begin([(node, payload, len(lacking))]))
        wanted = b"%d" % self.tweet
        yield from (number for number, reply in zip(lacking, replies, strict=True) if reply == wanted)

    def _read(self, follower: int, zero: float) -> PageRead:
        began = time.monotonic()
        with measure.measuring() as meter:
            page = self._timelines.page(Timeline("home", follower), Cursor())
        took = time.monotonic() - began
        shown = self.tweet in [tweet.id for tweet in page.tweets]
        return PageRead(_ms(began - zero), _ms(took), meter.served_by, shown)


def _compared(
    scratch: Scratch, registry: Registry, store: Any, author: int, tweet: int
) -> Iterator[tuple[int, int, int]]:
    """Compares every follower's timeline with SQL's: how many at once, of which doubly written, and right."""
    statement = (
        select(Relationship.from_user_id, Tweet.id)
        .join(Tweet, Tweet.user_id == Relationship.to_user_id)
        .where(Relationship.to_user_id == author)
        .order_by(Relationship.from_user_id, Tweet.id.desc())
    )
    with redis_client(scratch.redis) as client, registry.database.sessions() as session:
        rows = session.execute(statement.execution_options(yield_per=10 * AT_ONCE))
        expected = ((follower, [id_ for _, id_ in pairs]) for follower, pairs in groupby(rows, itemgetter(0)))
        for some in batched(expected, AT_ONCE):
            pipeline = client.pipeline(transaction=False)
            for follower, _ in some:
                pipeline.lrange(store.name_of(Timeline("home", follower).key), 0, -1)
            twice = right = 0
            for (_, wanted), found in zip(some, pipeline.execute(), strict=True):
                ids, floor, _ = parse(found or [b"0"])
                twice += ids.count(tweet) > 1
                right += newest(ids, floor, MAX_ID + 1, len(ids)) == wanted
            yield len(some), twice, right


def _ms(seconds: float) -> float:
    return round(1000 * seconds, 1)
