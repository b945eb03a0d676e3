"""Chooses the backend that answers the timelines: `tweeter.timelines`, one line of the ini file.

`memory` is the module `tweeter.backends.memory`; a name with a dot is any importable module. Its `includeme(config)`
calls one of the two directives this module adds:

    def includeme(config):
        config.add_timeline_store(__name__, store=MyStore(...), cache=MyCache(...))   # push, over a store
        config.add_timelines(__name__, MyTimelines(...))                              # something else altogether
"""

from collections.abc import Callable, Mapping
from typing import Any

from pyramid.config import Configurator
from pyramid.request import Request
from zope.interface.exceptions import Invalid
from zope.interface.verify import verifyObject

from tweeter.errors import SettingError
from tweeter.interfaces import (
    IMaterializedTimelines,
    IPageStore,
    ITimelines,
    ITimelineStore,
    ITweetCache,
)
from tweeter.plugins import dotted, load
from tweeter.timelines.push import PushTimelines

BACKENDS = "tweeter.backends"

Elsewhere = Callable[[str, int], tuple[ITimelineStore, ITweetCache]]


def add_timelines(config: Configurator, name: str, timelines: ITimelines) -> None:
    """Directive: registers timelines under the dotted name of the module that brings them."""
    interface = IMaterializedTimelines if IMaterializedTimelines.providedBy(timelines) else ITimelines
    _verify(name, interface, timelines)
    config.registry.registerUtility(timelines, ITimelines, name)


def add_timeline_store(
    config: Configurator, name: str, store: ITimelineStore, cache: ITweetCache, elsewhere: Elsewhere | None = None
) -> None:
    """Directive: registers push timelines over a store and a cache. An IPageStore reads the tweets of this cache.

    `elsewhere(host, port)` makes the same store and cache at another address. The lab needs it to break the store: it
    sends it to where nobody listens, or nobody answers.
    """
    _verify(name, ITimelineStore, store)
    _verify(name, ITweetCache, cache)
    if instrument := config.registry.get("instrument_store"):
        store, cache = instrument(name, store, cache, elsewhere)
    add_timelines(
        config,
        name,
        PushTimelines(
            name.rpartition(".")[2],
            store,
            cache,
            config.registry["read_sessions"],
            capacity=config.get_settings()["tweeter.capacity"],
            clock=config.registry["clock"],
            joined=IPageStore.providedBy(store),
        ),
    )


def private_server(setting: str, spec: str, settings: Mapping[str, Any]) -> tuple[Any, int] | None:
    """The kind of `tweeter.servers.Server` that a backend expects on this machine, and its port.

    None where it needs no server, or one that is not ours to start.
    """
    expected: Callable[[Mapping[str, Any]], tuple[Any, int] | None] | None
    expected = getattr(load(setting, spec, BACKENDS), "private_server", None)
    return None if expected is None else expected(settings)


def _verify(name: str, interface: type, candidate: object) -> None:
    try:
        verifyObject(interface, candidate)
    except Invalid as error:
        raise SettingError(f"the timelines backend {name} is not complete: {error}") from error


def _request_timelines(request: Request) -> ITimelines:
    timelines: ITimelines = request.registry["choose_timelines"](request)
    return timelines


def includeme(config: Configurator) -> None:
    """Adds `request.timelines`, the ITimelines that the settings chose."""
    config.add_directive("add_timelines", add_timelines)
    config.add_directive("add_timeline_store", add_timeline_store)
    settings = config.get_settings()
    config.include(load("tweeter.timelines", settings["tweeter.timelines"], BACKENDS))
    chosen = dotted(BACKENDS, settings["tweeter.timelines"])
    for spec in dict.fromkeys(settings["tweeter.timelines.shadow"].split()):
        if dotted(BACKENDS, spec) != chosen:
            config.include(load("tweeter.timelines.shadow", spec, BACKENDS))
    timelines = config.registry.queryUtility(ITimelines, chosen)
    if timelines is None:
        raise SettingError(
            f"the includeme of {chosen} registered no timelines under its own name; "
            "it has to call config.add_timeline_store(__name__, …) or config.add_timelines(__name__, …)"
        )
    config.registry.registerUtility(timelines, ITimelines)
    config.registry["choose_timelines"] = lambda request: timelines
    config.add_request_method(_request_timelines, "timelines", reify=True)
