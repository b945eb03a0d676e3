"""Delivery: how committed events reach the materialised timelines.

`tweeter.delivery = inline` is the module `tweeter.delivery.inline`; a name with a dot is any importable module. Its
`includeme(config)` calls `config.set_delivery(factory)`; the factory is given an engine whose connections are its own,
the database's clock, the materialized timelines and how long events are kept. It returns an IDelivery.
"""

from collections.abc import Callable
from datetime import timedelta

from pyramid.config import Configurator

from tweeter.interfaces import IDelivery, IMaterializedTimelines, ITimelines
from tweeter.models.meta import make_relay_engine
from tweeter.plugins import load

DeliveryFactory = Callable[..., IDelivery]


def set_delivery(config: Configurator, factory: DeliveryFactory) -> None:
    """Directive: `factory(engine, clock, timelines, keep)` makes the IDelivery."""
    registry = config.registry
    # The one that answers is registered twice: by its name, and without.
    every = {timelines for _, timelines in registry.getUtilitiesFor(ITimelines)}
    materialized = [timelines for timelines in every if IMaterializedTimelines.providedBy(timelines)]
    keep = timedelta(hours=config.get_settings()["tweeter.outbox.keep_hours"])
    engine = make_relay_engine(config.get_settings()["sqlalchemy.url"])
    registry.registerUtility(factory(engine, registry["clock"], materialized, keep), IDelivery)


def includeme(config: Configurator) -> None:
    config.add_directive("set_delivery", set_delivery)
    config.include(load("tweeter.delivery", config.get_settings()["tweeter.delivery"], __name__))
