"""The lab: all backends side by side, on the pages of your own site. `tweeter.lab = true`, in development only.

Only the networks in `tweeter.lab.hosts` can use it: it empties and breaks stores, and any visitor can sign up.

Comparisons can be extended: `config.add_lab_step(Step(…))` adds a row to the steps of the talk, and
`config.add_lab_card(Card(…))` a card to the experiments. Call them in a module that is included after this one.
"""

from collections.abc import Callable
from typing import Any

from pyramid.config import Configurator
from pyramid.events import BeforeRender
from pyramid.registry import Registry
from pyramid.request import Request
from pyramid.response import Response

from tweeter import measure
from tweeter.delivery import materialized
from tweeter.interfaces import ITimelines
from tweeter.lab import cards, steps
from tweeter.lab.status import Lab, PageSeen
from tweeter.plugins import REGISTERED
from tweeter.web.clients import is_from, parse_networks

SESSION_KEY = "lab.backend"
LONGEST_PATH = 40  # characters


def add_lab_step(config: Configurator, step: steps.Step) -> None:
    """Directive: appends a step to the comparison. Two steps of the same name conflict.

    `config.introspector` lists the steps in the category "lab steps".
    """
    _append(config, "step", step)


def add_lab_card(config: Configurator, card: cards.Card) -> None:
    """Directive: appends a card to the experiments, which appears if its part is configured.

    `config.introspector` lists the cards in the category "lab cards".
    """
    _append(config, "card", card)


def _append(config: Configurator, what: str, item: Any) -> None:
    introspectable = config.introspectable(f"lab {what}s", item.name, item.title, f"lab {what}")
    introspectable[what] = item
    append = getattr(config.registry["lab"], f"{what}s").append
    config.action((f"lab {what}", item.name), append, (item,), introspectables=(introspectable,))


def switched_to(request: Request) -> str:
    """The backend chosen for this browser; empty for the site's own, and without a signed-in user."""
    name = request.session.get(SESSION_KEY, "")
    return name if name in request.registry["lab"].backends and request.identity is not None else ""


def switch(request: Request, name: str) -> None:
    """Chooses the backend for this browser; the empty name is the site's own."""
    if name:
        request.session[SESSION_KEY] = name
    elif SESSION_KEY in request.session:
        del request.session[SESSION_KEY]


class FromLabHosts:
    """Route predicate: for all other addresses the pages of the lab do not exist."""

    def __init__(self, value: bool, config: Configurator) -> None:
        self._value = value

    def text(self) -> str:
        return f"from_lab_hosts = {self._value}"

    phash = text

    def __call__(self, info: Any, request: Request) -> bool:
        return may_use(request)


def may_use(request: Request) -> bool:
    return is_from(request.registry["lab_networks"], request)


def choose_timelines(request: Request) -> ITimelines:
    lab = request.registry["lab"]
    name = switched_to(request)
    return lab.backends[name].timelines if name else lab.default


def add_globals(event: BeforeRender) -> None:
    """Marks pages that are served by another backend than the site's own."""
    request = event["request"]
    if request is not None and isinstance(event.rendering_val, dict):
        # Error pages pass the current user themselves, because loading it could fail again.
        event["switched_to"] = switched_to(request) if event.get("me") else ""
        event["lab_is_here"] = may_use(request)
        event["own_backend"] = request.registry["lab"].default.name


def _make_optional(registry: Registry) -> None:
    """The lab compares what runs: only the site's own backend must be running at the start."""
    for timelines in materialized(registry):
        timelines.circuit.optional = timelines is not registry.getUtility(ITimelines)


def pages_tween(handler: Callable[[Request], Response], registry: Registry) -> Callable[[Request], Response]:
    """Records the costs of pages with a timeline, for the strip of the lab's pages."""

    def remember(request: Request) -> Response:
        response = handler(request)
        meter, route = measure.current(), request.matched_route.name if request.matched_route else ""
        html = response.content_type == "text/html"  # no poll
        if html and meter is not None and meter.timeline_seconds and not route.startswith("lab"):
            page = PageSeen(shorten(request.path), meter.served_by, meter.timeline_seconds * 1000, meter.seconds * 1000)
            registry["lab"].pages.append(page)
        return response

    return remember


def shorten(path: str) -> str:
    return path if len(path) <= LONGEST_PATH else f"{path[:LONGEST_PATH]}…"


def includeme(config: Configurator) -> None:
    """Adds the pages of the lab and its switch. `instruments` wrapped the stores before."""
    config.registry["lab"] = Lab(config.registry)
    config.registry["lab_networks"] = parse_networks(config.get_settings()["tweeter.lab.hosts"], "tweeter.lab.hosts")
    config.registry["choose_timelines"] = choose_timelines
    config.add_directive("add_lab_step", add_lab_step)
    config.add_directive("add_lab_card", add_lab_card)
    for step in steps.talk():
        config.add_lab_step(step)
    for card in cards.talk():
        config.add_lab_card(card)
    config.action("optional stores", _make_optional, (config.registry,), order=REGISTERED)
    config.add_subscriber(add_globals, BeforeRender)
    tweens = "tweeter.web.views.tweens"
    config.add_tween(f"{__name__}.pages_tween", under=f"{tweens}.measure_tween", over=f"{tweens}.headers_tween")
    config.add_route_predicate("from_lab_hosts", FromLabHosts)
    config.add_route("lab", "/lab", from_lab_hosts=True)
    for page in ("steps", "live", "progress", "state", "switch", "post", "store", "dial", "tidy"):
        config.add_route(f"lab_{page}", f"/lab/{page}", from_lab_hosts=True)
    config.scan("tweeter.lab.views")
    config.scan("tweeter.lab.buttons")
    config.include("tweeter.lab.load")
    config.include("tweeter.lab.shared")
