"""Delivery: how committed events reach the materialised timelines.

`tweeter.delivery = inline` is the module `tweeter.delivery.inline`; a name with a dot is any importable module. Its
`includeme(config)` calls `config.set_delivery(factory)`; the factory is given the sessions and the materialised
timelines, and returns an IDelivery.
"""

import importlib
import pkgutil
from collections.abc import Callable
from datetime import timedelta

from pyramid.config import Configurator

from tweeter.errors import SettingError
from tweeter.interfaces import IDelivery, IMaterializedTimelines, ITimelines

DeliveryFactory = Callable[..., IDelivery]


def set_delivery(config: Configurator, factory: DeliveryFactory) -> None:
    """Directive: `factory(sessions, timelines, keep)` makes the IDelivery."""
    registry = config.registry
    # The one that answers is registered twice: by its name, and without.
    every = {timelines for _, timelines in registry.getUtilitiesFor(ITimelines)}
    materialized = [timelines for timelines in every if IMaterializedTimelines.providedBy(timelines)]
    keep = timedelta(hours=config.get_settings()["tweeter.outbox.keep_hours"])
    registry.registerUtility(factory(registry["sessions"], materialized, keep), IDelivery)


def includeme(config: Configurator) -> None:
    config.add_directive("set_delivery", set_delivery)
    spec = config.get_settings()["tweeter.delivery"]
    name = spec if "." in spec else f"{__name__}.{spec}"
    try:
        module = importlib.import_module(name)
    except ModuleNotFoundError as error:
        if error.name is None or not f"{name}.".startswith(f"{error.name}."):
            raise
        module = None
    if not callable(getattr(module, "includeme", None)):
        built_in = [m.name for m in pkgutil.iter_modules(__path__)]
        ways = [way for way in built_in if hasattr(importlib.import_module(f"{__name__}.{way}"), "includeme")]
        raise SettingError(
            f"tweeter.delivery = {spec}: there is no such delivery; built in: {', '.join(sorted(ways))}; "
            "any other is the dotted name of a module with an includeme(config)"
        )
    config.include(module)
