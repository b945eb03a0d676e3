"""Delivery by the processes of the site themselves: `tweeter.delivery = inline`, the embedded default.

What a process keeps in its own memory it brings up to date within the request. What is shared is delivered by a thread;
a post waits for it for a moment, so that its author sees it, but not for all the followers of a celebrity.
"""

import logging
import time
from collections.abc import Iterable
from datetime import timedelta

from pyramid.config import Configurator
from sqlalchemy import select
from zope.interface import implementer

from tweeter.delivery.relay import Relay
from tweeter.delivery.tail import Tail
from tweeter.interfaces import IDelivery, IMaterializedTimelines, ITimelines
from tweeter.models import Site
from tweeter.models.meta import SessionFactory
from tweeter.models.site import LOAD_SILENCE, end_load

log = logging.getLogger(__name__)

PATIENCE = 0.5  # seconds that a reader waits for another thread that delivers; after that the page may lag behind


@implementer(IDelivery)
class InlineDelivery:
    """Follows the outbox on behalf of the timelines that this process keeps, and of those that it shares."""

    def __init__(self, sessions: SessionFactory, timelines: Iterable[IMaterializedTimelines], keep: timedelta) -> None:
        every = list(timelines)
        self._tails = [Tail(sessions, each, keep) for each in every if each.private]
        self._relays = [Relay(sessions, each, keep) for each in every if not each.private]
        self._sessions = sessions
        self._looked = time.monotonic()

    def wake(self) -> None:
        try:
            for tail in self._tails:
                tail.catch_up()
            for relay in self._relays:
                relay.wake()
        except Exception:
            log.exception("delivery failed; the outbox keeps what was not delivered")

    def ready(self, timelines: ITimelines | None = None) -> None:
        self._look_after_loads()
        for tail in self._tails:
            if timelines is None or tail.timelines is timelines:
                tail.catch_up(PATIENCE)
        for relay in self._relays:
            relay.start()

    def drain(self, seconds: float) -> bool:
        deadline = time.monotonic() + seconds
        for tail in self._tails:
            tail.catch_up()
        for relay in self._relays:
            while not relay.drained():
                if time.monotonic() > deadline:
                    return False
                relay.forgive()
                relay.wake()
                time.sleep(0.01)  # while a store is not trusted nobody waits for its deliveries
        return True

    def observe(self) -> None:
        for tail in self._tails:
            tail.observe()
        for relay in self._relays:
            relay.observe()

    def stop(self) -> None:
        for relay in self._relays:
            relay.stop()

    def _look_after_loads(self) -> None:
        """Where no relay does: now and then, to a bulk load that died before it could tell anybody."""
        if self._tails and not self._relays and time.monotonic() - self._looked > LOAD_SILENCE.total_seconds():
            self._looked = time.monotonic()
            with self._sessions() as session:
                loading_until = session.scalar(select(Site.loading_until))
            if loading_until is not None:
                end_load(self._sessions, dead=True)


def includeme(config: Configurator) -> None:
    config.set_delivery(InlineDelivery)
