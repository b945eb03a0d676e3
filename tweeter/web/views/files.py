"""Static files, /favicon.ico and /robots.txt."""

from pyramid.request import Request
from pyramid.response import Response
from pyramid.view import view_config

from tweeter.web.assets import DAY


@view_config(route_name="static", request_method="GET")
def static(request: Request) -> Response:
    response: Response = request.registry["assets"].serve(request, request.matchdict["name"])
    return response


@view_config(route_name="favicon", request_method="GET")
@view_config(route_name="robots", request_method="GET")
def at_root(request: Request) -> Response:
    """Files whose addresses browsers and crawlers know."""
    response: Response = request.registry["assets"].serve(request, request.path_info.lstrip("/"), DAY)
    return response
