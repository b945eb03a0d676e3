"""Whether the site can answer, for whoever watches it."""

from pyramid.request import Request
from pyramid.response import Response
from pyramid.view import view_config
from sqlalchemy import text
from sqlalchemy.exc import SQLAlchemyError

from tweeter.interfaces import ITimelines


@view_config(route_name="healthz", request_method="GET")
def healthz(request: Request) -> Response:
    """200 and the backend's name; 503 when SQL does not answer. A store that is down does not stop the site."""
    try:
        with request.registry["engine"].connect() as connection:
            connection.execute(text("SELECT 1"))
        status, sql = 200, "ok"
    except (SQLAlchemyError, OSError):
        status, sql = 503, "down"
    backend = request.registry.getUtility(ITimelines).name
    response = Response(json_body={"backend": backend, "sql": sql}, status=status, charset="UTF-8")
    response.headers["Cache-Control"] = "no-store"
    return response
