"""Tweeter: a microblog whose timelines are served by interchangeable backends."""

import atexit
import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from pyramid.config import Configurator
from pyramid.exceptions import ConfigurationExecutionError
from pyramid.registry import Registry
from pyramid.router import Router

from tweeter.delivery import company
from tweeter.errors import SettingError
from tweeter.interfaces import IDelivery
from tweeter.settings import check_secret, merge
from tweeter.streaming import STREAMS
from tweeter.web import make_request_class

Parts = Callable[[Configurator], None]

# Scripts that load the application without serving requests; they start no threads.
INSPECTING = {"pshell", "proutes", "pviews", "ptweens", "prequest", "pdistreport"}


def main(global_config: Mapping[str, str], **settings: str) -> Router:
    """The WSGI application of an ini file.

    Raises SettingError. Pyramid's scripts (pserve, pshell, proutes, …) end with one line instead of a traceback.
    """
    try:
        return _application(global_config, settings)
    except SettingError as error:
        if "__script__" in global_config:
            raise SystemExit(f"tweeter: {error}") from error
        raise


def _application(global_config: Mapping[str, str], settings: Mapping[str, str]) -> Router:
    merged = merge(settings, global_config, os.environ)
    check_secret(merged)
    with _configuring(merged) as config:
        config.include(everything)
        make_request_class(config)
        app = config.make_wsgi_app()
    if global_config.get("__script__") not in INSPECTING:
        start(app.registry)
    return app


def everything(config: Configurator) -> None:
    """All parts of the site."""
    settings = config.get_settings()
    config.include("pyramid_jinja2")
    if settings["tweeter.lab"]:
        config.include("tweeter.lab.instruments")
    config.include(machinery)
    config.include("tweeter.streaming")
    config.include("tweeter.web")
    if settings["tweeter.api"]:
        config.include("tweeter.api")
    if settings["tweeter.lab"]:
        config.include("tweeter.lab")


def machinery(config: Configurator) -> None:
    """Everything but the web: the database, the timelines, delivery, and the actions of users."""
    config.include("tweeter.db")
    config.include("tweeter.timelines")
    config.include("tweeter.delivery")
    config.include("tweeter.services")


@contextmanager
def site(settings: Mapping[str, Any], deliver: bool = True, parts: Parts = machinery) -> Iterator[Registry]:
    """The registry of a site without its web application. Its threads and connections end with the block.

    With `deliver=False` the caller starts the delivery.
    """
    registry = make_registry(settings, parts)
    try:
        if deliver:
            registry.getUtility(IDelivery).start()
        yield registry
    finally:
        shut_down(registry)


def make_registry(settings: Mapping[str, Any], parts: Parts = machinery) -> Registry:
    """Like `site`, without starting threads; the caller calls `shut_down`."""
    with _configuring(settings) as config:
        config.include(parts)
    return config.registry


@contextmanager
def _configuring(settings: Mapping[str, Any]) -> Iterator[Configurator]:
    """A configurator that commits at the end of the block. Raises the SettingError of an action unwrapped."""
    try:
        with Configurator(settings=dict(settings)) as config:
            yield config
    except ConfigurationExecutionError as error:
        if isinstance(error.evalue, SettingError):
            raise error.evalue from error
        raise


_started: dict[int, Registry] = {}  # by id(): registries are not hashable
_inherited: list[Any] = []  # connection pools of the parent process, kept so that they are not closed here


def start(registry: Registry) -> None:
    """Starts the threads of delivery and housekeeping. Forked processes start their own."""
    _started[id(registry)] = registry
    registry.getUtility(IDelivery).start()
    registry["housekeeper"].start()
    if streams := registry.get(STREAMS):
        getattr(registry.getUtility(IDelivery), "readers", []).append(streams)
        if registry.settings["tweeter.delivery"] != "relay":  # then a process of its own publishes
            streams.start()
    company.look_around(registry)
    if registry.database.watch:
        registry.database.watch.start()


def started() -> list[Registry]:
    """The registries of the sites that run in this process."""
    return list(_started.values())


def _restart() -> None:
    """Runs in a forked process, which has no threads yet and must not use its parent's connections."""
    for registry in _started.values():
        for engine in registry.database.engines():
            _inherited.append(engine.pool)
            engine.dispose(close=False)
        registry.getUtility(IDelivery).restart()
        registry["housekeeper"].restart()
        if registry.get(STREAMS):
            registry[STREAMS].restart()
        registry.pop(company.HELD, None)  # the parent's
        company.look_around(registry)
        if registry.database.watch:
            registry.database.watch.restart()


os.register_at_fork(after_in_child=_restart)


def shut_down(registry: Registry) -> None:
    """Stops the background threads, and closes all connections to SQL."""
    _started.pop(id(registry), None)
    company.leave(registry)
    if registry.get(STREAMS):
        registry[STREAMS].stop()
    registry.getUtility(IDelivery).stop()
    registry["housekeeper"].stop()
    if registry.database.watch:
        registry.database.watch.stop()
    registry.database.engine.dispose()


@atexit.register
def _shut_down_all() -> None:
    for registry in list(_started.values()):
        shut_down(registry)
