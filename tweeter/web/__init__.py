"""The web site: security, routes, views, templates and static files."""

from pyramid.config import Configurator


def includeme(config: Configurator) -> None:
    config.include(".ratelimits")
    config.include(".security")
    config.include(".signin")
    config.include(".routes")
    config.include(".views")
