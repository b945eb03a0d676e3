"""Delivery in chunks without a broker: a test does what the workers and the network would do.

`SENT` has the messages of all processes. `perform` does a chunk as a worker would.
"""

from functools import partial

from tweeter.delivery.inline import InlineDelivery
from tweeter.delivery.messages import Limits, Workers
from tweeter.delivery.worker import Worker

SENT = []
LIMITS = Limits(size=4, outstanding=6, patience=0.3)


class DirectPublisher:
    up = True

    def start(self):
        pass

    def stop(self):
        pass

    def send(self, queue, chunk):
        SENT.append((queue, chunk))


def perform(registry, chunk):
    Worker(registry, LIMITS.patience).fan_out(chunk)


def includeme(config):
    SENT.clear()
    workers = Workers(DirectPublisher(), LIMITS, config.registry.database.read_sessions)
    config.set_delivery(partial(InlineDelivery, workers=lambda: workers))
