"""Chooses the backend that serves the timelines: `tweeter.timelines`, one line of the ini file.

`memory` is the module `tweeter.backends.memory`; a name with a dot is any importable module. Its `includeme(config)`
calls one of the two directives this module adds:

    def includeme(config):
        config.add_timeline_store(__name__, store=MyStore(...), cache=MyCache(...))   # push, over a store
        config.add_timelines(__name__, MyTimelines(...))                              # any other ITimelines

Both register at the commit of the configuration. Two calls with the same name conflict. `config.introspector` lists
what was registered, in the category "timelines".
"""

from pyramid.config import Configurator
from pyramid.request import Request
from zope.interface.exceptions import Invalid
from zope.interface.verify import verifyObject

from tweeter.errors import SettingError
from tweeter.interfaces import (
    IBulkStore,
    IMaterializedTimelines,
    IPageStore,
    ITimelineKinds,
    ITimelines,
    ITimelineStore,
    ITogetherStore,
    ITweetCache,
    IWarmingStore,
)
from tweeter.plugins import REGISTERED, dotted, include
from tweeter.timelines.push import PushTimelines

BACKENDS = "tweeter.backends"


def add_timelines(config: Configurator, name: str, timelines: ITimelines) -> None:
    """Directive: registers timelines under `name`, the `__name__` of the module: for a backend without a store."""
    _add(config, name, timelines)


def add_timeline_store(config: Configurator, name: str, store: ITimelineStore, cache: ITweetCache) -> None:
    """Directive: registers timelines that are materialized in a store (fan-out on write), with a cache of tweets.

    `name` is the `__name__` of the module. An IPageStore reads the tweets of this cache together with the ids.
    """
    for interface in (IBulkStore, IPageStore, ITogetherStore, IWarmingStore):
        if interface.providedBy(store):
            _verify(name, interface, store)
    _verify(name, ITimelineStore, store)
    _verify(name, ITweetCache, cache)
    database = config.registry.database
    timelines = PushTimelines(
        name.rpartition(".")[2],
        store,
        cache,
        database.read_sessions,
        config.registry.getUtility(ITimelineKinds),
        capacity=config.get_settings()["tweeter.capacity"],
        clock=database.clock,
        joined=IPageStore.providedBy(store),
        pages=database.page_sessions,
        fills=database.fill_sessions,
    )
    _add(config, name, timelines, store=store, cache=cache)


def _add(config: Configurator, name: str, timelines: ITimelines, **shown: object) -> None:
    interface = IMaterializedTimelines if IMaterializedTimelines.providedBy(timelines) else ITimelines
    _verify(name, interface, timelines)
    introspectable = config.introspectable("timelines", name, name, "timelines backend")
    introspectable.update(name=name, timelines=timelines, **shown)
    config.action(
        ("timelines", name),
        lambda: config.registry.registerUtility(timelines, ITimelines, name),
        introspectables=(introspectable,),
    )


def _verify(name: str, interface: type, candidate: object) -> None:
    try:
        verifyObject(interface, candidate)
    except Invalid as error:
        raise SettingError(f"the timelines backend {name} is not complete: {error}") from error


def _request_timelines(request: Request) -> ITimelines:
    """The ITimelines that serve this request: the backend of the settings, or that of the lab's switch."""
    timelines: ITimelines = request.registry["choose_timelines"](request)
    return timelines


def _choose(config: Configurator, chosen: str) -> None:
    """Registers the chosen backend's timelines without a name, too."""
    timelines = config.registry.queryUtility(ITimelines, chosen)
    if timelines is None:
        raise SettingError(
            f"the includeme of {chosen} registered no timelines under its own name; "
            "it must call config.add_timeline_store(__name__, …) or config.add_timelines(__name__, …)"
        )
    config.registry.registerUtility(timelines, ITimelines)


def directives(config: Configurator) -> None:
    """Adds the directives. A module that is included before the backends can include this, and override them."""
    config.add_directive("add_timelines", add_timelines)
    config.add_directive("add_timeline_store", add_timeline_store)


def includeme(config: Configurator) -> None:
    """Adds `request.timelines`, the ITimelines that the settings chose."""
    config.include(".kinds")
    config.include(directives)
    settings = config.get_settings()
    include(config, "tweeter.timelines", settings["tweeter.timelines"], BACKENDS)
    chosen = dotted(BACKENDS, settings["tweeter.timelines"])
    for spec in dict.fromkeys(settings["tweeter.timelines.shadow"].split()):
        if dotted(BACKENDS, spec) != chosen:
            include(config, "tweeter.timelines.shadow", spec, BACKENDS)
    config.action("chosen timelines", _choose, (config, chosen), order=REGISTERED)
    config.registry["choose_timelines"] = lambda request: request.registry.getUtility(ITimelines)
    config.add_request_method(_request_timelines, "timelines", reify=True)
