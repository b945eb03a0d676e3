"""Delivery in separate processes: `tweeter.delivery = relay`.

The processes of the site record events and wake the relays (`tweeter relay INI`). Each process still has a relay for
its private store (`memory`).
"""

from functools import partial

from pyramid.config import Configurator

from tweeter.delivery.inline import InlineDelivery


def includeme(config: Configurator) -> None:
    config.set_delivery(partial(InlineDelivery, delivers=False))
