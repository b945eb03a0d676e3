"""Logs as lines of JSON, for `production.ini`.

    {"event": "GET /", "status": 200, "ms": 3.1, "request_id": "0f3a…", "logger": "tweeter.requests", …}

Every line that a request logs contains its id, as do the outbox events that it records and their deliveries.
"""

import logging
from typing import Any

import structlog

from tweeter import measure


class JSONFormatter(structlog.stdlib.ProcessorFormatter):
    """A formatter for an ini file: `class = tweeter.logs.JSONFormatter`."""

    def __init__(self, fmt: str | None = None, datefmt: str | None = None, style: str = "%", **options: Any) -> None:
        shared: list[Any] = [
            _add_request_id,
            structlog.stdlib.add_logger_name,
            structlog.stdlib.add_log_level,
            structlog.stdlib.ExtraAdder(),
            structlog.processors.TimeStamper(fmt="iso", utc=True, key="time"),
            structlog.processors.StackInfoRenderer(),
            structlog.processors.format_exc_info,
        ]
        super().__init__(
            processors=[
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                structlog.processors.JSONRenderer(ensure_ascii=False),
            ],
            foreign_pre_chain=shared,
        )


def _add_request_id(logger: Any, name: str, event: Any) -> Any:
    """Adds the id of the current request, unless the line has one."""
    meter = measure.current()
    if meter is not None:
        event.setdefault("request_id", meter.request_id)
    return event


requests = logging.getLogger("tweeter.requests")
