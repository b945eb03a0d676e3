"""Delivery inside the processes of the site: `tweeter.delivery = inline`, the default."""

import time
from collections.abc import Callable, Iterable
from datetime import timedelta
from typing import Protocol

from pyramid.config import Configurator
from sqlalchemy import Engine
from zope.interface import implementer

from tweeter import outbox
from tweeter.db.clock import DatabaseClock
from tweeter.db.sessions import SessionFactory
from tweeter.delivery.messages import Workers
from tweeter.delivery.thread import Relay
from tweeter.delivery.wakeup import Notifier
from tweeter.interfaces import IDelivery, IMaterializedTimelines
from tweeter.metrics import OUTBOX_EVENTS, OUTBOX_SECONDS
from tweeter.outbox import consumers


class Reader(Protocol):
    """A thread that reads the outbox while it holds a lease."""

    @property
    def holds(self) -> bool: ...

    def wake(self) -> None: ...


@implementer(IDelivery)
class InlineDelivery:
    """The relays of one process, one for each store, and the notifier that wakes those of other processes.

    `engine` gives each relay connections of its own, in autocommit. With `delivers` false the relays deliver only to
    private stores; those of shared stores only probe for their circuits. `workers` makes what a process needs to give
    large fan-outs to workers; without it the relays do them. `readers` are other threads of this process that read the
    outbox and are woken as relays are.
    """

    def __init__(
        self,
        sessions: SessionFactory,
        engine: Engine,
        clock: DatabaseClock,
        timelines: Iterable[IMaterializedTimelines],
        keep: timedelta,
        delivers: bool = True,
        workers: Callable[[], Workers] | None = None,
    ) -> None:
        self._sessions = sessions
        self.readers: list[Reader] = []
        every = list(timelines)

        def make() -> tuple[Notifier | None, Workers | None, list[Relay]]:
            notifier = Notifier(engine) if engine.dialect.name == "postgresql" else None
            own = workers() if workers else None
            return (
                notifier,
                own,
                [Relay(sessions, engine, clock, each, keep, delivers, notifier, own) for each in every],
            )

        self._make = make
        self._notifier, self._workers, self.relays = make()
        self._parents: list[Relay] = []  # of the process that this one was forked from

    def restart(self) -> None:
        self._parents += self.relays
        for relay in self.relays:
            relay.abandon()
        self._notifier, self._workers, self.relays = self._make()
        self.start()

    def start(self) -> None:
        if self._workers is not None:
            self._workers.publisher.start()
        for relay in self.relays:
            relay.start()
        if self._notifier is not None:
            self._notifier.start()

    def stop(self) -> None:
        if self._notifier is not None:
            self._notifier.stop()
        for relay in self.relays:
            relay.stop()
        if self._workers is not None:
            self._workers.publisher.stop()

    def wake(self) -> None:
        for reader in (*self.relays, *self.readers):
            reader.wake()
        if self._notifier is not None and (
            any(relay.timelines.store.private for relay in self.relays)
            or not all(reader.holds for reader in (*self.relays, *self.readers))
        ):
            self._notifier.wake()

    def drain(self, seconds: float) -> bool:
        deadline = time.monotonic() + seconds
        self.wake()
        for relay in self.relays:
            while not relay.drained():
                if time.monotonic() > deadline:
                    return False
                relay.timelines.circuit.skip_half_open()
                relay.hurry()
                time.sleep(0.002)
        return True

    def observe(self) -> None:
        for relay in self.relays:
            relay.observe()
        with self._sessions() as session:
            events, seconds = outbox.size(session, consumers.applied_last(session))
        OUTBOX_EVENTS.set(events)
        OUTBOX_SECONDS.set(seconds)


def includeme(config: Configurator) -> None:
    config.set_delivery(InlineDelivery)
