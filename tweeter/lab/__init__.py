"""The lab: every backend beside the others, on the pages of one's own site. `tweeter.lab = true`, in development only.

What is compared can be extended: `config.add_lab_step(Step(…))` adds a row to the steps of the talk, for whoever is
included after this module.
"""

from pyramid.config import Configurator
from pyramid.events import BeforeRender
from pyramid.request import Request

from tweeter import measure
from tweeter.interfaces import ITimelines
from tweeter.lab import steps
from tweeter.lab.bench import Lab

SESSION_KEY = "lab.backend"


def add_lab_step(config: Configurator, step: steps.Step) -> None:
    """Directive: one more step to compare, behind those that are there."""
    config.registry["lab"].steps.append(step)


def switched_to(request: Request) -> str:
    """The backend that this browser is shown; empty for the site's own, and for whoever is not signed in."""
    name = request.session.get(SESSION_KEY, "")
    return name if name in request.registry["lab"].backends and request.identity is not None else ""


def switch(request: Request, name: str) -> None:
    """Shows this browser another backend from now on; the empty name is the site's own."""
    if name:
        request.session[SESSION_KEY] = name
    elif SESSION_KEY in request.session:
        del request.session[SESSION_KEY]


def choose_timelines(request: Request) -> ITimelines:
    lab = request.registry["lab"]
    name = switched_to(request)
    return lab.backends[name].timelines if name else lab.default


def add_globals(event: BeforeRender) -> None:
    """Every page says so when it is shown by another backend than the site's own."""
    request = event["request"]
    if request is not None and isinstance(event.rendering_val, dict):
        # Error pages say themselves who is signed in, because to ask could fail again.
        event["switched_to"] = switched_to(request) if event.get("me") else ""
        event["own_backend"] = request.registry["lab"].default.name
        meter = measure.current()
        if event["switched_to"] and meter is not None and not meter.answered_by:
            meter.answered_by = event["switched_to"]  # a page without a timeline says so at its foot, too


def includeme(config: Configurator) -> None:
    """The pages of the lab and its switch. The stores were taken hold of before, by `instruments`."""
    config.registry["lab"] = Lab(config.registry)
    config.registry["choose_timelines"] = choose_timelines
    config.add_directive("add_lab_step", add_lab_step, action_wrap=False)
    for step in steps.TALK:
        config.add_lab_step(step)
    config.add_subscriber(add_globals, BeforeRender)
    config.add_route("lab", "/lab")
    config.add_route("lab_steps", "/lab/steps")
    config.add_route("lab_live", "/lab/live")
    config.add_route("lab_progress", "/lab/progress")
    config.add_route("lab_state", "/lab/state")
    config.add_route("lab_switch", "/lab/switch")
    config.add_route("lab_post", "/lab/post")
    config.add_route("lab_store", "/lab/store")
    config.add_route("lab_tidy", "/lab/tidy")
    config.scan("tweeter.lab.views")
    config.scan("tweeter.lab.buttons")
