"""What a worker does with a chunk."""

import logging
import time
from contextlib import suppress

from pyramid.registry import Registry
from sqlalchemy.exc import SQLAlchemyError

from tweeter.delivery import materialized
from tweeter.delivery.attempts import is_outage
from tweeter.delivery.messages import Chunk
from tweeter.errors import BackendUnavailable
from tweeter.interfaces import IMaterializedTimelines
from tweeter.outbox import chunks
from tweeter.values import TweetCreated

log = logging.getLogger(__name__)


class TooLate(Exception):
    """The chunk took too long: another worker may have it by now."""


class Worker:
    """The stores of one process. It begins a chunk only while the chunk's row says so; `patience` as in Limits."""

    def __init__(self, registry: Registry, patience: float) -> None:
        self._sessions = registry.database.read_sessions  # in autocommit
        self._stores = {each.name: each for each in materialized(registry) if not each.store.private}
        self._patience = patience
        self._ready: dict[str, tuple[str, str]] = {}  # by store: site and run of its chunks

    def fan_out(self, chunk: Chunk) -> None:
        """Fans a chunk out. Raises what is neither an outage nor a chunk that took too long."""
        began = time.monotonic()
        if (timelines := self._stores.get(chunk.store)) is None:
            log.error("a chunk is for the store %s, which this worker's settings don't name", chunk.store)
            return
        with self._sessions() as session:
            attempt = chunks.begin(session, chunk.id)
        if attempt is None:
            log.debug("chunk %d is done, was taken back, or failed too often", chunk.id)
            return

        def guard() -> None:
            if time.monotonic() - began > self._patience:
                raise TooLate(f"it took longer than {self._patience} s")

        try:
            self._prepare(timelines, chunk)
            event = TweetCreated(chunk.tweet_id, chunk.user_id)
            timelines.projector.fan_out_between(event, chunk.first, chunk.last, guard)
            with self._sessions() as session:
                chunks.finish(session, chunk.id)
        except Exception as error:
            self._ready.pop(chunk.store, None)
            with suppress(SQLAlchemyError), self._sessions() as session:
                chunks.fail(session, chunk.id)
            if not isinstance(error, TooLate) and not is_outage(error):
                raise
            log.warning("attempt %d at chunk %d for %s failed: %s", attempt, chunk.id, chunk.store, error)

    def _prepare(self, timelines: IMaterializedTimelines, chunk: Chunk) -> None:
        """Checks that the store runs as it did when the chunk was given; otherwise the holder gives another one."""
        if self._ready.get(chunk.store) == (chunk.site, chunk.run):
            return
        timelines.set_site(chunk.site)
        run = str(timelines.store.run_id())
        if run != chunk.run:
            raise BackendUnavailable("it was restarted since the chunk was given")
        timelines.store.fence(run)
        self._ready[chunk.store] = (chunk.site, chunk.run)
