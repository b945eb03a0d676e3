"""The application of Celery's workers, with the settings of the ini file that TWEETER_INI names.

TWEETER_INI=production.ini celery -A tweeter.celery worker
"""

import os
import threading
from typing import Any

from pyramid.paster import setup_logging

import tweeter
from tweeter.console.commands import read_settings
from tweeter.delivery.broker import TASK, make_app
from tweeter.delivery.messages import Chunk
from tweeter.delivery.worker import Worker
from tweeter.errors import TweeterError
from tweeter.plugins import load, with_declared

VARIABLE = "TWEETER_INI"
DELIVERY = "tweeter.delivery"


class _Process:
    """The worker of this process. A forked process makes its own, so it uses no connection of its parent."""

    def __init__(self, settings: dict[str, Any]) -> None:
        self._settings = settings
        self._lock = threading.Lock()
        self._worker: Worker | None = None
        self._registry: Any = None
        os.register_at_fork(after_in_child=self._forget)

    def _forget(self) -> None:
        self._lock = threading.Lock()
        self._worker = None

    def worker(self, **_: object) -> Worker:
        with self._lock:
            if self._worker is None:
                self._registry = tweeter.make_registry(self._settings)
                self._worker = Worker(self._registry, self._settings["tweeter.celery.patience"])
            return self._worker


def _make() -> Any:
    from celery import signals

    path = os.environ.get(VARIABLE)
    if not path:
        raise SystemExit(f"tweeter: {VARIABLE} must name the site's ini file: {VARIABLE}=production.ini celery …")
    try:
        settings = read_settings(path)
        if settings[DELIVERY] != "celery":
            raise SystemExit(f"tweeter: workers need {DELIVERY} = celery; {path} has {settings[DELIVERY]}")
        settings = with_declared(settings, load(DELIVERY, "celery", DELIVERY))
        app = make_app(settings)
    except TweeterError as error:
        raise SystemExit(f"tweeter: {error}") from error
    process = _Process(settings)

    @app.task(name=TASK)
    def fan_out(**chunk: Any) -> None:
        process.worker().fan_out(Chunk(**chunk))

    signals.worker_process_init.connect(process.worker, weak=False)
    # The ini file configures logging, as for the site and the other commands.
    signals.setup_logging.connect(lambda **_: setup_logging(path), weak=False)
    return app


def __getattr__(name: str) -> Any:
    """`app` is made when Celery asks for it, so that the module can be imported without an ini file."""
    if name != "app":
        raise AttributeError(f"module {__name__} has no attribute {name}")
    globals()["app"] = found = _make()
    return found
