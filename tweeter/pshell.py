"""Names available in `pshell development.ini`."""

from collections.abc import Iterator
from typing import Any

from tweeter import models


def setup(env: dict[str, Any]) -> Iterator[None]:
    """The models, a session, the timelines, and `tm`; `tm.commit()` commits the changes."""
    request = env["request"]
    request.tm.begin()
    env["models"] = models
    env |= {name: getattr(models, name) for name in models.__all__}
    env["tm"] = request.tm
    env["dbsession"] = request.dbsession
    env["timelines"] = request.timelines
    env["actions"] = request.actions
    try:
        yield
    finally:
        request.tm.abort()
