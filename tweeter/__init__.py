"""Tweeter: a microblog whose timelines are answered by interchangeable backends."""

import os
from collections.abc import Mapping
from typing import Any

from pyramid.config import Configurator
from pyramid.registry import Registry
from pyramid.router import Router

from tweeter.settings import check_secret, merge


def main(global_config: Mapping[str, str], **settings: str) -> Router:
    """The WSGI application of an ini file."""
    merged = merge(settings, global_config, os.environ)
    check_secret(merged)
    with Configurator(settings=merged) as config:
        config.include("pyramid_jinja2")
        if merged["tweeter.lab"]:
            config.include("tweeter.lab.instruments")
        config.include(machinery)
        config.include("tweeter.security")
        config.include("tweeter.routes")
        config.include("tweeter.views")
        if merged["tweeter.lab"]:
            config.include("tweeter.lab")
        return config.make_wsgi_app()


def machinery(config: Configurator) -> None:
    """Everything but the web: the database, the timelines, their delivery and what people can do."""
    config.include("tweeter.models")
    config.include("tweeter.timelines")
    config.include("tweeter.delivery")
    config.include("tweeter.actions")


def make_registry(settings: Mapping[str, Any]) -> Registry:
    """The machinery of merged settings without a web application, for commands and tests."""
    with Configurator(settings=dict(settings)) as config:
        config.include(machinery)
    return config.registry
