"""Delivery within the request that posts, after its commit: `tweeter.delivery = inline`, the embedded default."""

import logging
import time
from collections.abc import Iterable
from datetime import timedelta

from pyramid.config import Configurator
from zope.interface import implementer

from tweeter.delivery.tail import Tail
from tweeter.interfaces import IDelivery, IMaterializedTimelines
from tweeter.models import outbox
from tweeter.models.meta import SessionFactory, begin_immediate

log = logging.getLogger(__name__)

PATIENCE = 0.5  # seconds that a reader waits for another thread that delivers; after that the page may lag behind
PRUNE_EVERY = 3600.0  # seconds


@implementer(IDelivery)
class InlineDelivery:
    """Follows the outbox on behalf of the timelines that this process keeps."""

    def __init__(self, sessions: SessionFactory, timelines: Iterable[IMaterializedTimelines], keep: timedelta) -> None:
        self._sessions = sessions
        self._keep = keep
        self._tails = [Tail(sessions, each, keep) for each in timelines]
        self._pruned = time.monotonic()

    def wake(self) -> None:
        try:
            for tail in self._tails:
                tail.catch_up()
            self._prune()
        except Exception:
            log.exception("delivery failed; the outbox keeps what was not delivered")

    def ready(self) -> None:
        for tail in self._tails:
            tail.catch_up(PATIENCE)

    def _prune(self) -> None:
        if time.monotonic() - self._pruned > PRUNE_EVERY:
            self._pruned = time.monotonic()
            with self._sessions() as session:
                begin_immediate(session)
                outbox.prune(session, self._keep)
                session.commit()


def includeme(config: Configurator) -> None:
    config.set_delivery(InlineDelivery)
