"""Values for every template: the current user, and the costs of the page."""

from functools import partial

from pyramid.config import Configurator
from pyramid.events import BeforeRender
from pyramid.interfaces import ISecurityPolicy
from pyramid.request import Request

from tweeter import measure
from tweeter.web import rendering
from tweeter.web.assets import Assets
from tweeter.web.routes import at
from tweeter.web.security import Identity
from tweeter.web.viewers import blocked_ids
from tweeter.web.views.forms import Form
from tweeter.web.views.tweens import count, trips


def add_globals(event: BeforeRender) -> None:
    """Values of the view have precedence: error pages pass the current user, because loading it could fail again."""
    request, values = event["request"], event.rendering_val
    if request is None or not isinstance(values, dict):
        return
    me = values["me"] if "me" in values else request.identity  # noqa: SIM401 (it would load the user anyway)
    mount = at(request)
    event.update(
        me=me,
        mount=mount,
        form=Form(),
        costs=lambda: costs(request),
        flashes=lambda: flashes(request),
        static=partial(static_path, request),
        icons=rendering.icons(),
        tweets_html=partial(rendering.tweets_html, me=me.id if me else None, mount=mount),
        text_html=partial(rendering.text_html, mount=mount),
        count=count,
        blocked_ids=partial(blocked_ids, request),
        settings=request.registry.settings,
    )


def static_path(request: Request, name: str) -> str:
    """The URL of a static file."""
    assets: Assets = request.registry["assets"]
    return at(request, assets.path(name))


def costs(request: Request) -> str:
    """The line in the footer: the time of the page; with a timeline also the backend and its work."""
    meter = measure.current() or measure.Meter()
    time, statements = f"{meter.seconds * 1000:.1f} ms", count(meter.sql, "SQL query", "SQL queries")
    if not meter.served_by:
        return f"Page in {time} · {statements}"
    line = f"Served by {meter.served_by} in {time} · {trips(meter, 'store ')} · {statements}"
    return f"{line}, {meter.timeline_sql or 'none'} for the timeline" if meter.sql else line


def flashes(request: Request) -> list[str]:
    """The flash messages. Peeks first, because popping writes the session cookie again."""
    session = request.session
    return session.pop_flash() if session.peek_flash() else []


def safe_identity(request: Request) -> Identity | None:
    """The current user, for error pages; None if loading it fails."""
    policy = request.registry.getUtility(ISecurityPolicy)
    try:
        return policy.known_identity(request) or policy.identity(request)
    except Exception:  # the transaction may be in any state, and the error page must be shown
        return None


def includeme(config: Configurator) -> None:
    config.registry["assets"] = Assets(reload=config.get_settings()["pyramid.reload_templates"])
    config.add_subscriber(add_globals, BeforeRender)
