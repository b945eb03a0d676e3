"""The web site: security, routes, views, templates and static files."""

from pyramid.config import Configurator
from pyramid.interfaces import IRequestExtensions
from pyramid.request import Request


def includeme(config: Configurator) -> None:
    for part in ("ratelimits", "security", "viewers", "routes", "compression", "views"):
        config.include(f".{part}")


def make_request_class(config: Configurator) -> None:
    """Puts everything that `add_request_method` added into one request class.

    Otherwise Pyramid would create a class for each request, which takes 40 µs: a tenth of a page. Must be called last.
    """
    config.commit()
    extensions = config.registry.queryUtility(IRequestExtensions)
    if extensions is None:
        return
    added = {**extensions.methods, **extensions.descriptors}
    config.set_request_factory(type("Request", (Request,), {"__module__": __name__, **added}))
    extensions.methods.clear()
    extensions.descriptors.clear()
