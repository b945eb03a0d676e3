"""Delivery with workers: `tweeter.delivery = celery`.

As inline, but large fan-outs are done by Celery's workers (`celery -A tweeter.celery worker`), in chunks. See
`tweeter.delivery.chunks`.
"""

from collections.abc import Mapping
from functools import partial
from typing import Any

from pyramid.config import Configurator

from tweeter.db.sessions import SessionFactory
from tweeter.declarations import Setting
from tweeter.delivery.broker import CeleryPublisher, make_app
from tweeter.delivery.inline import InlineDelivery
from tweeter.delivery.messages import Limits, Workers

SETTINGS = {
    "tweeter.celery.broker": Setting(
        str, None, help="URL of the broker. Examples: amqp://user:password@host//, redis://host:6379/1."
    ),
    "tweeter.celery.queue": Setting(str, "tweeter", help="The names of the queues begin with it."),
    "tweeter.celery.chunk": Setting(int, 10_000, 1, "Followers in a chunk of a large fan-out."),
    "tweeter.celery.outstanding": Setting(
        int, 64, 1, "Chunks that a queue holds at most; at least twice the number of worker processes."
    ),
    "tweeter.celery.patience": Setting(int, 10, 1, "Seconds that a worker may take for a chunk."),
}


def _workers(settings: Mapping[str, Any], sessions: SessionFactory) -> Workers:
    limits = Limits(
        settings["tweeter.celery.chunk"],
        settings["tweeter.celery.outstanding"],
        settings["tweeter.celery.patience"],
    )
    return Workers(CeleryPublisher(make_app(settings)), limits, sessions)


def includeme(config: Configurator) -> None:
    settings = config.get_settings()
    make_app(settings)  # raises SettingError
    sessions = config.registry.database.read_sessions  # in autocommit
    config.set_delivery(partial(InlineDelivery, workers=partial(_workers, settings, sessions)))
