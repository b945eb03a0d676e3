"""Large fan-outs in chunks: ranges of follower ids that the holder of the lease gives to workers.

The event stays in flight, and listed in the checkpoint, until all its chunks are done. So nothing here has to survive a
crash: a new holder takes back what workers were given, and continues after the follower up to whom all are done.

A chunk that fails, or is not done in time, is given again. After three attempts the timelines of its followers are made
cold. If the broker or the workers do not respond, the holder does the fan-outs itself until they do.

A worker writes for `patience` seconds at most after it began, and reads the followers once more after the write. One
that dies in between may leave the tweet in the timeline of someone who unfollowed in the meantime. Therefore, wherever
a worker began and did not report the end, the timelines of those who unfollowed since are dropped once it can't write
any more. The rows of such chunks stay until then, so that a new holder does it.
"""

import logging
import secrets
import time
from collections.abc import Collection
from dataclasses import dataclass, field
from typing import NamedTuple

from tweeter.delivery.messages import Chunk, Workers
from tweeter.interfaces import IMaterializedTimelines
from tweeter.metrics import CHUNKS, OUTSTANDING
from tweeter.outbox import chunks
from tweeter.outbox.chunks import ATTEMPTS, Row, State
from tweeter.outbox.log import Log
from tweeter.timelines import followers
from tweeter.timelines.streams import CHUNK, Stream
from tweeter.values import TweetCreated

log = logging.getLogger("tweeter.delivery.chunks")

LOOK = 0.04  # seconds between reads of the rows
SEND_AGAIN = 2.0  # seconds after which a message counts as lost if workers finish nothing in between
LOST = 15.0  # seconds after which it counts as lost in any case
STALLED = 6.0  # seconds in which no worker began a chunk; then the holder does the fan-outs itself
REST = 10.0  # seconds until it tries the workers again; doubled each time
LONGEST_REST = 60.0
RETRY = 1.0  # seconds until a chunk that failed is given again, times the attempts so far
MARGIN = 1.0  # seconds by which the two processes' clocks and statements may be late
EARLIER = 60.0  # seconds by which a follow may have begun before its event, and clocks may differ


@dataclass
class Part:
    """A chunk that a worker was given."""

    chunk: Chunk
    queue: str
    changed: float = field(default_factory=time.monotonic)  # when it was sent, or last seen to change
    attempts: int = 0
    over: bool = False


class _Doubt(NamedTuple):
    """Workers began these chunks and did not report the end: one may have died after a write."""

    ids: list[int]
    since: float  # the database's clock
    settles: float  # monotonic: none of them can write any more


class FanOuts:
    """The large fan-outs of one store under one lease. For one thread. Raises BackendUnavailable and SQL's errors."""

    def __init__(
        self,
        workers: Workers,
        timelines: IMaterializedTimelines,
        name: str,
        site_id: str,
        run: str,
    ) -> None:
        self.limits = workers.limits
        self.sessions = workers.sessions
        self.epoch = 0  # counts how often chunks were taken back
        self._publisher = workers.publisher
        self._timelines = timelines
        self._projector = timelines.projector
        self._name = name
        self._base = (site_id, timelines.name, run)
        self._parts: dict[int, Part] = {}
        self._doubts: list[_Doubt] = []
        self._looked = 0.0
        self._worked = time.monotonic()  # when a worker was last seen to begin or to finish
        self._rests_until = 0.0
        self._rest = REST
        self._take_back()  # what an earlier holder gave

    @property
    def usable(self) -> bool:
        """Whether broker and workers respond, as far as is known."""
        return self._publisher.up and time.monotonic() >= self._rests_until

    def own_stream(self, event: TweetCreated, resume: int) -> Stream:
        """The same fan-out in this process."""
        stream: Stream = self._projector.own_stream(event, resume)
        return stream

    def room(self, queue: str) -> int:
        """How many chunks the queue may get now."""
        return self.limits.outstanding - sum(part.queue == queue for part in self._parts.values())

    def give(self, queue: str, event: TweetCreated, ranges: Collection[tuple[int, int]]) -> list[Part]:
        made = [
            Part(Chunk(*self._base, secrets.randbits(53), event.tweet_id, event.user_id, first, last), queue)
            for first, last in ranges
        ]
        with self.sessions() as session:
            chunks.give(session, self._name, [part.chunk.id for part in made])
        if not self._parts:
            self._worked = time.monotonic()
        for part in made:
            self._parts[part.chunk.id] = part
            self._publisher.send(queue, part.chunk)
        self._count("given", len(made))
        return made

    def look(self) -> None:
        """Reads what the workers did, at most every LOOK seconds; gives chunks again, and takes them back."""
        now = time.monotonic()
        if now - self._looked < LOOK:
            return
        self._looked = now
        if self._parts:
            with self.sessions() as session:
                rows = chunks.look(session, self._name)
            for part in list(self._parts.values()):
                self._follow(part, rows.get(part.chunk.id), now)
            self._check_workers(now)
        for doubt in [doubt for doubt in self._doubts if now >= doubt.settles]:
            self._settle(doubt)

    def _follow(self, part: Part, row: Row | None, now: float) -> None:
        if row is None or row.state == State.DONE:
            if row is not None:
                self._doubt([row], now)
            self._worked, self._rest = now, REST
            self._end(part, "done")
            return
        silent = now - part.changed
        if row.attempts > part.attempts:
            part.attempts, part.changed = row.attempts, now
            self._worked, self._rest = now, REST
        elif row.state == State.FAILED or (row.attempts and silent > self.limits.patience + MARGIN):
            if row.attempts >= ATTEMPTS:
                self._make_cold(part)
            elif silent > RETRY * row.attempts:
                self._give_again(part, "given again")
        elif not row.attempts and (silent > LOST or now - max(part.changed, self._worked) > SEND_AGAIN):
            self._give_again(part, "sent again")

    def _give_again(self, part: Part, what: str) -> None:
        with self.sessions() as session:
            chunks.give_again(session, part.chunk.id)
        part.changed = time.monotonic()
        part.chunk = part.chunk._replace(attempt=part.attempts + 1)
        self._publisher.send(part.queue, part.chunk)
        self._count(what)

    def _make_cold(self, part: Part) -> None:
        """Ends a chunk that can't be done: the timelines of its followers are backfilled when they are read."""
        chunk = part.chunk
        log.error(
            "tweet %d can't be fanned out to the followers %d to %d in %s, whose timelines are cold now: %d attempts "
            "failed", chunk.tweet_id, chunk.first, chunk.last, chunk.store, ATTEMPTS,
        )  # fmt: skip
        with self.sessions() as session:
            ids = followers.between(session, chunk.user_id, chunk.first, chunk.last)
        for first in range(0, len(ids), CHUNK):
            self._timelines.store.drop(self._projector.kinds.keys_to_drop(ids[first : first + CHUNK]))
        with self.sessions() as session:
            rows = chunks.cancel(session, self._name, [chunk.id])
        self._doubt(rows, time.monotonic())
        self._end(part, "cold")

    def _check_workers(self, now: float) -> None:
        """Takes all chunks back if the broker is gone, or if no worker began one for some time."""
        if not self._parts or (self._publisher.up and now - self._worked < STALLED):
            return
        if self._publisher.up:
            if any(part.attempts and now - part.changed < self.limits.patience for part in self._parts.values()):
                return  # a worker is at work
            log.warning(
                "%s: no worker began a chunk for %.0f s; this relay does large fan-outs itself for the next %.0f s",
                self._base[1], now - self._worked, self._rest,
            )  # fmt: skip
            self._rests_until = now + self._rest
            self._rest = min(2 * self._rest, LONGEST_REST)
        self._count("taken back", len(self._parts))
        self._take_back()

    def _take_back(self) -> None:
        with self.sessions() as session:
            rows = chunks.cancel(session, self._name)
            chunks.forget(session, [row.id for row in rows if not row.attempts])
        self._doubts = []
        self._doubt([row for row in rows if row.attempts], time.monotonic())
        self._parts.clear()
        self._show()
        self.epoch += 1

    def _end(self, part: Part, how: str) -> None:
        part.over = True
        del self._parts[part.chunk.id]
        self._count(how)

    def _doubt(self, rows: list[Row], now: float) -> None:
        if rows:
            since = min(row.date for row in rows).timestamp() - EARLIER
            self._doubts.append(_Doubt([row.id for row in rows], since, now + self.limits.patience + MARGIN))

    def _settle(self, doubt: _Doubt) -> None:
        with self.sessions() as session:
            left = Log(session.connection()).unfollowers_since(doubt.since)
        if left:
            self._timelines.store.drop(self._projector.kinds.keys_to_drop(left))
        with self.sessions() as session:
            chunks.forget(session, doubt.ids)
        self._doubts.remove(doubt)

    def _count(self, what: str, number: int = 1) -> None:
        CHUNKS.labels(self._base[1], what).inc(number)
        self._show()

    def _show(self) -> None:
        OUTSTANDING.labels(self._base[1]).set(len(self._parts))
