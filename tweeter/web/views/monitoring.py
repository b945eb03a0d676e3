"""For monitoring: `GET /healthz`, and `GET /metrics` for the networks in `tweeter.metrics`."""

import threading
from concurrent.futures import Future

from prometheus_client import CONTENT_TYPE_LATEST, generate_latest
from pyramid.config import Configurator
from pyramid.request import Request
from pyramid.response import Response
from sqlalchemy import Engine, select

from tweeter.interfaces import IDelivery, ITimelines
from tweeter.models import User
from tweeter.web.clients import is_from, parse_networks

PATIENCE = 3.0  # seconds


class Probe:
    """Checks in a thread of its own whether SQL responds: a hanging database must not hang the caller."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._lock = threading.Lock()
        self._running: Future[bool] | None = None

    def answers(self, seconds: float = PATIENCE) -> bool:
        """Whether SQL responded within so many seconds. Concurrent callers share one check."""
        with self._lock:
            if self._running is None or self._running.done():
                self._running = Future()
                threading.Thread(target=self._ask, args=(self._running,), name="health", daemon=True).start()
            running = self._running
        try:
            return running.result(seconds)
        except TimeoutError:
            return False

    def _ask(self, response: "Future[bool]") -> None:
        try:
            with self._engine.connect() as connection:
                connection.execute(select(User.id).limit(1))
            response.set_result(True)
        except Exception:  # refused, not migrated, no database: all count as down
            response.set_result(False)


def includeme(config: Configurator) -> None:
    """Adds the routes; `/metrics` only if `tweeter.metrics` names a network."""
    probe = Probe(config.registry.database.engine)
    networks = parse_networks(config.get_settings()["tweeter.metrics"], "tweeter.metrics")

    def healthz(request: Request) -> Response:
        """200 and the backend's name; 503 if SQL does not respond. The site works without its store."""
        status, sql = (200, "ok") if probe.answers() else (503, "down")
        body = {"backend": request.registry.getUtility(ITimelines).name, "sql": sql}
        return Response(json_body=body, status=status, charset="UTF-8", cache_control="no-store")

    def metrics(request: Request) -> Response:
        """All metrics in the format of Prometheus."""
        if not is_from(networks, request):
            # Not HTTPForbidden: signing in would not help.
            return Response("Metrics are not available to this address.\n", status=403, content_type="text/plain")
        request.registry.getUtility(IDelivery).observe()
        return Response(generate_latest(), headers={"Content-Type": CONTENT_TYPE_LATEST, "Cache-Control": "no-store"})

    config.add_route("healthz", "/healthz")
    config.add_view(healthz, route_name="healthz", request_method="GET")
    if networks:
        config.add_route("metrics", "/metrics")
        config.add_view(metrics, route_name="metrics", request_method="GET")
