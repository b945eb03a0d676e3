"""Logs as lines of JSON, for `production.ini`.

    {"event": "GET /", "status": 200, "ms": 3.1, "request_id": "0f3a…", "logger": "tweeter.requests", …}

Everything that a request logs carries its id, and so do the outbox events it records and their deliveries.
"""

import logging
from typing import Any

import structlog


class JSONFormatter(structlog.stdlib.ProcessorFormatter):
    """A formatter for an ini file: `class = tweeter.logs.JSONFormatter`."""

    def __init__(self, fmt: str | None = None, datefmt: str | None = None, style: str = "%", **options: Any) -> None:
        shared: list[Any] = [
            structlog.contextvars.merge_contextvars,
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


requests = logging.getLogger("tweeter.requests")
