"""Delivery: how committed events reach the materialized timelines.

`tweeter.delivery = inline` is the module `tweeter.delivery.inline`; a name with a dot is any importable module. Its
`includeme(config)` calls `config.set_delivery(factory)`; the factory is given sessions, an engine without a pool, for
connections of its own in autocommit, the database's clock, the materialized timelines and how long events are kept. It
returns an IDelivery.
"""

from collections.abc import Callable
from datetime import timedelta
from typing import Any

from pyramid.config import Configurator
from pyramid.registry import Registry
from sqlalchemy import NullPool

from tweeter.db.options import engine_of
from tweeter.interfaces import IDelivery, IMaterializedTimelines, ITimelines
from tweeter.plugins import REGISTERED, include

DeliveryFactory = Callable[..., IDelivery]


def materialized(registry: Registry) -> list[Any]:
    """The registry's IMaterializedTimelines, each once: the chosen one is registered by its name and without."""
    every = {timelines for _, timelines in registry.getUtilitiesFor(ITimelines)}
    return sorted(filter(IMaterializedTimelines.providedBy, every), key=lambda each: str(each.name))


def set_delivery(config: Configurator, factory: DeliveryFactory) -> None:
    """Directive: `factory(sessions, engine, clock, timelines, keep)` makes the IDelivery.

    It is called at the commit of the configuration, when the timelines of every backend are registered. Two calls
    conflict. `config.introspector` shows the delivery in the category "delivery".
    """
    registry = config.registry
    keep = timedelta(hours=config.get_settings()["tweeter.outbox.keep_hours"])
    engine = engine_of(config.get_settings(), isolation_level="AUTOCOMMIT", poolclass=NullPool)
    introspectable = config.introspectable("delivery", None, config.get_settings()["tweeter.delivery"], "delivery")
    introspectable["factory"] = factory

    def register() -> None:
        delivery = factory(registry.database.sessions, engine, registry.database.clock, materialized(registry), keep)
        registry.registerUtility(delivery, IDelivery)
        introspectable["delivery"] = delivery

    config.action("delivery", register, order=REGISTERED, introspectables=(introspectable,))


def includeme(config: Configurator) -> None:
    config.add_directive("set_delivery", set_delivery)
    include(config, "tweeter.delivery", config.get_settings()["tweeter.delivery"], __name__)
