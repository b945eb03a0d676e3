"""Chooses the backend that answers the timelines: `tweeter.timelines`, one line of the ini file.

`memory` is the module `tweeter.backends.memory`; a name with a dot is any importable module. Its `includeme(config)`
calls one of the two directives this module adds:

    def includeme(config):
        config.add_timeline_store(__name__, store=MyStore(...), cache=MyCache(...))   # push, over a store
        config.add_timelines(__name__, MyTimelines(...))                              # something else altogether
"""

import importlib
import pkgutil

from pyramid.config import Configurator
from pyramid.request import Request
from zope.interface.exceptions import Invalid
from zope.interface.verify import verifyObject

from tweeter.errors import SettingError
from tweeter.interfaces import (
    IDelivery,
    IMaterializedTimelines,
    ITimelines,
    ITimelineStore,
    ITweetCache,
)
from tweeter.timelines.push import PushTimelines

BACKENDS = "tweeter.backends"


def dotted(spec: str) -> str:
    """The module of a backend, by the name that the ini file has for it."""
    return spec if "." in spec else f"{BACKENDS}.{spec}"


def include_backend(config: Configurator, spec: str, setting: str = "tweeter.timelines") -> str:
    """Includes a backend by the name that the setting has for it; returns its dotted name.

    Raises SettingError where there is no such module, or one that is no backend.
    """
    name = dotted(spec)
    try:
        if not all(part.isidentifier() for part in name.split(".")):
            raise ModuleNotFoundError(name=name)  # importlib would take a leading dot for a relative name
        module = importlib.import_module(name)
    except ModuleNotFoundError as error:
        if error.name is None or not f"{name}.".startswith(f"{error.name}."):
            raise SettingError(f"{setting} = {spec}: {error}; install what this backend needs") from error
        built_in = sorted(m.name for m in pkgutil.iter_modules(importlib.import_module(BACKENDS).__path__))
        raise SettingError(
            f"{setting} = {spec}: there is no such backend; "
            f"built in are {', '.join(built_in)}; any other is the dotted name of a module"
        ) from None
    if not callable(getattr(module, "includeme", None)):
        raise SettingError(f"{setting} = {spec}: the module {name} has no includeme(config)")
    config.include(module)
    return name


def add_timelines(config: Configurator, name: str, timelines: ITimelines) -> None:
    """Directive: registers timelines under the dotted name of the module that brings them."""
    interface = IMaterializedTimelines if IMaterializedTimelines.providedBy(timelines) else ITimelines
    _verify(name, interface, timelines)
    config.registry.registerUtility(timelines, ITimelines, name)


def add_timeline_store(config: Configurator, name: str, store: ITimelineStore, cache: ITweetCache) -> None:
    """Directive: registers push timelines over a store and a cache."""
    _verify(name, ITimelineStore, store)
    _verify(name, ITweetCache, cache)
    add_timelines(
        config,
        name,
        PushTimelines(
            name.rpartition(".")[2],
            store,
            cache,
            config.registry["sessions"],
            capacity=config.get_settings()["tweeter.capacity"],
        ),
    )


def _verify(name: str, interface: type, candidate: object) -> None:
    try:
        verifyObject(interface, candidate)
    except Invalid as error:
        raise SettingError(f"the timelines backend {name} is not complete: {error}") from error


def _request_timelines(request: Request) -> ITimelines:
    request.registry.getUtility(IDelivery).ready()
    return request.registry.getUtility(ITimelines)


def includeme(config: Configurator) -> None:
    """Adds `request.timelines`, the ITimelines that the settings chose."""
    config.add_directive("add_timelines", add_timelines)
    config.add_directive("add_timeline_store", add_timeline_store)
    settings = config.get_settings()
    chosen = include_backend(config, settings["tweeter.timelines"])
    for spec in dict.fromkeys(settings["tweeter.timelines.shadow"].split()):
        if dotted(spec) != chosen:
            include_backend(config, spec, "tweeter.timelines.shadow")
    timelines = config.registry.queryUtility(ITimelines, chosen)
    if timelines is None:
        raise SettingError(
            f"the includeme of {chosen} registered no timelines under its own name; "
            "it has to call config.add_timeline_store(__name__, …) or config.add_timelines(__name__, …)"
        )
    config.registry.registerUtility(timelines, ITimelines)
    config.add_request_method(_request_timelines, "timelines", reify=True)
