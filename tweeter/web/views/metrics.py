"""`GET /metrics`, for the networks in `tweeter.metrics`."""

from prometheus_client import CONTENT_TYPE_LATEST, generate_latest
from pyramid.config import Configurator
from pyramid.request import Request
from pyramid.response import Response

from tweeter.interfaces import IDelivery
from tweeter.web.clients import is_from, parse_networks


def metrics(request: Request) -> Response:
    """All metrics in the format of Prometheus."""
    if not is_from(request.registry["metrics_networks"], request):
        # Not HTTPForbidden: signing in would not help.
        return Response("Metrics are not available to this address.\n", status=403, content_type="text/plain")
    request.registry.getUtility(IDelivery).observe()
    return Response(generate_latest(), headers={"Content-Type": CONTENT_TYPE_LATEST, "Cache-Control": "no-store"})


def includeme(config: Configurator) -> None:
    """Adds the route only if `tweeter.metrics` names a network."""
    networks = parse_networks(config.get_settings()["tweeter.metrics"], "tweeter.metrics")
    if networks:
        config.registry["metrics_networks"] = networks
        config.add_route("metrics", "/metrics")
        config.add_view(metrics, route_name="metrics", request_method="GET")
