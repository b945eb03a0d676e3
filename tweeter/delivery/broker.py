"""Celery's application, and the thread that sends chunks to its broker.

Celery only executes. What is due is in the outbox and in the rows of the chunks, so there is no result backend, no ETA
and no retry by Celery: a message that is lost is sent again by the holder of the lease.
"""

import logging
import threading
from collections import deque
from collections.abc import Mapping
from contextlib import closing
from typing import Any

from tweeter.delivery.messages import LARGE, SMALL, Chunk
from tweeter.errors import SettingError
from tweeter.masking import mask
from tweeter.metrics import BROKER_UP

log = logging.getLogger("tweeter.delivery.broker")

TASK = "tweeter.fan_out"
CONNECT = 2  # seconds to connect to the broker, and for one exchange with it
PROBE = 0.5  # seconds between attempts to reach a broker that is gone
VISIBLE = 3600  # seconds after which Redis gives a message to another worker; the holder does it long before

_ONCE = {"max_retries": 1, "interval_start": 0.1, "interval_step": 0, "interval_max": 0.1}


def make_app(settings: Mapping[str, Any]) -> Any:
    """The application of the settings. Raises SettingError if Celery is not installed, or the broker is unknown."""
    try:
        from celery import Celery
        from kombu import Connection, Queue
    except ModuleNotFoundError as error:
        raise SettingError(
            f"tweeter.delivery = celery: {error}. It belongs to the extra `celery`: pip install '.[celery]' in a "
            "checkout, or the wheel's name with [celery] behind it."
        ) from error
    broker, prefix = settings["tweeter.celery.broker"], settings["tweeter.celery.queue"]
    try:
        transport = Connection(broker).get_transport_cls()
    except Exception as error:  # kombu has no error of its own for a URL that it can't read
        raise SettingError(f"tweeter.celery.broker: {mask(str(broker))}: {error!r}") from error
    confirms = transport.driver_type == "amqp"
    app = Celery("tweeter", broker=broker, set_as_current=False)
    app.conf.update(
        task_serializer="json",
        accept_content=["json"],
        task_ignore_result=True,
        # A worker that is killed leaves its chunk to another. Its row ends the loop of a chunk that kills workers.
        task_acks_late=True,
        task_reject_on_worker_lost=True,
        task_time_limit=10 * settings["tweeter.celery.patience"],
        worker_prefetch_multiplier=1,
        worker_soft_shutdown_timeout=float(settings["tweeter.celery.patience"]),
        task_queues=[Queue(f"{prefix}.{name}", routing_key=f"{prefix}.{name}") for name in (SMALL, LARGE)],
        task_default_queue=f"{prefix}.{SMALL}",
        task_default_routing_key=f"{prefix}.{SMALL}",
        broker_connection_timeout=CONNECT,
        broker_connection_retry_on_startup=True,
        broker_connection_max_retries=None,
        broker_transport_options=(
            {"confirm_publish": True}
            if confirms
            else {"visibility_timeout": VISIBLE, "socket_timeout": CONNECT, "socket_connect_timeout": CONNECT}
        ),
    )
    return app


class CeleryPublisher:
    """Sends chunks from a thread: a broker that is gone must not delay the relay. What it can't send it drops."""

    def __init__(self, app: Any) -> None:
        self.up = True
        self._app = app
        self._prefix = app.conf.task_default_queue.rpartition(".")[0]
        self._gauge = BROKER_UP.labels(self._prefix)
        self._chunks: deque[tuple[str, Chunk]] = deque()
        self._awake = threading.Event()
        self._stopped = False
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        if self._thread is None:
            self._thread = threading.Thread(target=self._loop, name="chunks to the broker", daemon=True)
            self._thread.start()

    def stop(self) -> None:
        self._stopped = True
        self._awake.set()
        if self._thread is not None:
            self._thread.join(2 * CONNECT)

    def send(self, queue: str, chunk: Chunk) -> None:
        if self.up:
            self._chunks.append((f"{self._prefix}.{queue}", chunk))
            self._awake.set()

    def _loop(self) -> None:
        self._gauge.set(1)
        while not self._stopped:
            self._awake.wait()
            self._awake.clear()
            try:
                self._send_all()
            except Exception as error:  # the transports have errors of their own
                self.up = False
                self._gauge.set(0)
                log.warning(
                    "the broker can't be reached, this process does large fan-outs itself: %s", mask(str(error))
                )
                self._chunks.clear()
                self._wait_for_broker()

    def _send_all(self) -> None:
        while self._chunks and not self._stopped:
            queue, chunk = self._chunks.popleft()
            self._app.send_task(
                TASK, kwargs=chunk._asdict(), queue=queue, retry=True, retry_policy=_ONCE, confirm_timeout=CONNECT
            )

    def _wait_for_broker(self) -> None:
        while not self._stopped:
            try:
                with closing(self._app.connection_for_write()) as connection:
                    connection.ensure_connection(max_retries=1, interval_start=0, timeout=CONNECT)
            except Exception:
                self._awake.wait(PROBE)
                continue
            self.up = True
            self._gauge.set(1)
            log.info("the broker is back")
            return
