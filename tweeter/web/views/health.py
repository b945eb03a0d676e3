"""The health check, for monitoring and load balancers."""

import threading
from concurrent.futures import Future

from pyramid.config import Configurator
from pyramid.request import Request
from pyramid.response import Response
from pyramid.view import view_config
from sqlalchemy import Engine, select

from tweeter.interfaces import ITimelines
from tweeter.models import User

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

    def _ask(self, answer: "Future[bool]") -> None:
        try:
            with self._engine.connect() as connection:
                connection.execute(select(User.id).limit(1))
            answer.set_result(True)
        except Exception:  # refused, not migrated, no database: all count as down
            answer.set_result(False)


@view_config(route_name="healthz", request_method="GET")
def healthz(request: Request) -> Response:
    """200 and the backend's name; 503 if SQL does not respond. The site works without its store."""
    answers = request.registry["probe"].answers()
    status, sql = (200, "ok") if answers else (503, "down")
    backend = request.registry.getUtility(ITimelines).name
    response = Response(json_body={"backend": backend, "sql": sql}, status=status, charset="UTF-8")
    response.headers["Cache-Control"] = "no-store"
    return response


def includeme(config: Configurator) -> None:
    config.registry["probe"] = Probe(config.registry["engine"])
