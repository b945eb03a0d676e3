"""Delivery by processes of their own: `tweeter.delivery = relay`.

The processes of the site record events and wake the relays, `tweeter relay INI`. What is private to a process
(`memory`) its own relay keeps up to date.
"""

from functools import partial

from pyramid.config import Configurator

from tweeter.delivery.inline import InlineDelivery


def includeme(config: Configurator) -> None:
    config.set_delivery(partial(InlineDelivery, delivers=False))
