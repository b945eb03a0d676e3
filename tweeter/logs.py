"""Logs: lines of JSON for `production.ini`, plain lines for `development.ini`.

    {"event": "GET /", "status": 200, "ms": 3.1, "request_id": "0f3a…", "logger": "tweeter.requests", …}
    2026-05-01 12:00:00,000 INFO  [tweeter.requests:72][waitress-0] GET / 200 in 3.1 ms, redis

Every line of JSON that a request logs contains its id, as do the outbox events that it records and their deliveries.
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


class LineFormatter(logging.Formatter):
    """Python's formatter, which also shows what the JSON of a request's line contains: status, time and backend."""

    def formatMessage(self, record: logging.LogRecord) -> str:
        line = super().formatMessage(record)
        if record.name == requests.name:
            line += " {status} in {ms} ms".format_map(record.__dict__)
            if backend := record.__dict__["answered_by"]:
                line += f", {backend}"
        return line


def _add_request_id(logger: Any, name: str, event: Any) -> Any:
    """Adds the id of the current request, unless the line has one."""
    meter = measure.current()
    if meter is not None:
        event.setdefault("request_id", meter.request_id)
    return event


requests = logging.getLogger("tweeter.requests")
