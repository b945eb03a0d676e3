"""Tweeter: a microblog whose timelines are answered by interchangeable backends."""

import os
from typing import Any

from pyramid.config import Configurator
from pyramid.router import Router

from tweeter.settings import check_secret, merge


def main(global_config: dict[str, str], **settings: str) -> Router:
    """The WSGI application of an ini file."""
    merged: dict[str, Any] = merge(settings, global_config, os.environ)
    check_secret(merged)
    with Configurator(settings=merged) as config:
        config.include("pyramid_jinja2")
        config.include("tweeter.models")
        config.include("tweeter.timelines")
        config.include("tweeter.delivery")
        config.include("tweeter.actions")
        config.include("tweeter.security")
        config.include("tweeter.routes")
        config.include("tweeter.views")
        return config.make_wsgi_app()
