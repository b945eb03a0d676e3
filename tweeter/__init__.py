"""Tweeter: a microblog whose timelines are answered by interchangeable backends."""

import atexit
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from pyramid.config import Configurator
from pyramid.exceptions import ConfigurationExecutionError
from pyramid.registry import Registry
from pyramid.router import Router

from tweeter.errors import SettingError
from tweeter.interfaces import IDelivery
from tweeter.settings import check_secret, merge
from tweeter.web import make_request_class

# Programs that load the application to look at it, not to serve it.
INSPECTING = {"pshell", "proutes", "pviews", "ptweens", "prequest", "pdistreport"}


def main(global_config: Mapping[str, str], **settings: str) -> Router:
    """The WSGI application of an ini file.

    Raises SettingError. Pyramid's scripts (pserve, pshell, proutes, …), which would print a traceback, are ended by it
    with one line.
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
        config.include("pyramid_jinja2")
        if merged["tweeter.lab"]:
            config.include("tweeter.lab.instruments")
        config.include(machinery)
        config.include("tweeter.web")
        if merged["tweeter.lab"]:
            config.include("tweeter.lab")
        make_request_class(config)
        app = config.make_wsgi_app()
    if global_config.get("__script__") not in INSPECTING:
        start(app.registry)
        atexit.register(shut_down, app.registry)
    return app


def machinery(config: Configurator) -> None:
    """Everything but the web: the database, the timelines, their delivery and what people can do."""
    config.include("tweeter.db")
    config.include("tweeter.timelines")
    config.include("tweeter.delivery")
    config.include("tweeter.services.housekeeping")
    config.include("tweeter.services.actions")


@contextmanager
def site(settings: Mapping[str, Any], deliver: bool = True) -> Iterator[Registry]:
    """The machinery of merged settings, without a web application: its threads and connections end with the block.

    Delivery runs from the start, or else once the caller starts it.
    """
    registry = make_registry(settings)
    try:
        if deliver:
            registry.getUtility(IDelivery).start()
        yield registry
    finally:
        shut_down(registry)


def make_registry(settings: Mapping[str, Any]) -> Registry:
    """The machinery of merged settings, at rest: see `site`."""
    with _configuring(settings) as config:
        config.include(machinery)
    return config.registry


@contextmanager
def _configuring(settings: Mapping[str, Any]) -> Iterator[Configurator]:
    """A configurator that commits at the end of the block. A SettingError of an action is raised as itself."""
    try:
        with Configurator(settings=dict(settings)) as config:
            yield config
    except ConfigurationExecutionError as error:
        if isinstance(error.evalue, SettingError):
            raise error.evalue from error
        raise


_started: dict[int, Registry] = {}  # by their ids: a registry has no hash
_inherited: list[Any] = []  # connections of the parent process: nobody may use or close them


def start(registry: Registry) -> None:
    """Starts what runs in the background: delivery and housekeeping. Forked processes start their own."""
    _started[id(registry)] = registry
    registry.getUtility(IDelivery).start()
    registry["housekeeper"].start()


def _restart() -> None:
    """In a forked process: its parent's threads are not there, and its connections are the parent's."""
    for registry in _started.values():
        for name in ("statements", "engine"):
            _inherited.append(registry[name].pool)
            registry[name].dispose(close=False)
        registry.getUtility(IDelivery).restart()
        registry["housekeeper"].restart()


os.register_at_fork(after_in_child=_restart)


def shut_down(registry: Registry) -> None:
    """Ends what runs in the background, and all connections to SQL."""
    _started.pop(id(registry), None)
    registry.getUtility(IDelivery).stop()
    registry["housekeeper"].stop()
    registry["engine"].dispose()
