"""Streams for the pages: which entries are new in the timeline that a page shows. Pushpin holds them."""

import random
from collections.abc import Mapping, Sequence

from pyramid.config import Configurator
from pyramid.httpexceptions import HTTPNotFound, HTTPUnauthorized
from pyramid.interfaces import ISecurityPolicy
from pyramid.request import Request
from pyramid.response import Response
from pyramid.view import view_config

from tweeter.streaming import STREAMS
from tweeter.streaming.channels import PAGE, Channel, Credential
from tweeter.web.viewers import relation
from tweeter.web.views.pages import timeline_of

SESSION = "session"  # a kind of credentials
AGAIN = 1000, 4000  # ms after which browsers reconnect: not all at once


@view_config(route_name="live", request_method="GET")
def live(request: Request) -> Response:
    """The ids of new and deleted entries of a timeline, as server-sent events."""
    if request.registry[STREAMS] is None:
        raise HTTPNotFound("This site has no streams.")
    from tweeter.streaming import grip

    if not grip.came_through(request, request.registry[STREAMS].key):
        raise HTTPNotFound("The request did not come through the site's Pushpin.")
    timeline = timeline_of(request, request.GET.get("timeline", ""))
    if timeline is None:
        raise HTTPUnauthorized("You are signed out.")
    me = request.authenticated_userid or 0
    if me and timeline.owner and relation(request, timeline.owner).blocked:
        raise HTTPNotFound("There is nothing new in this timeline.")
    channels = [Channel(PAGE, "", "page", *timeline, me).name]
    if token_hash := request.registry.getUtility(ISecurityPolicy).token_hash(request):
        channels.append(Credential(SESSION, token_hash).name)
    return grip.held(channels, f"retry: {random.randint(*AGAIN)}\n\n")  # noqa: S311 (no secret)


def _ids(base: str, ids: Sequence[int]) -> Mapping[int, str]:
    return {id_: str(id_) for id_ in ids}


def includeme(config: Configurator) -> None:
    """Lets the publisher write for pages, and check the sessions of browsers."""
    config.add_route("live", "/live")
    streams = config.registry[STREAMS]
    if streams is not None:
        from tweeter.streaming.events import Form

        streams.forms[PAGE] = Form(_ids, own=False)
        registry = config.registry
        streams.checks[SESSION] = lambda hashes: registry.getUtility(ISecurityPolicy).valid(hashes)
