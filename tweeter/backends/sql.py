"""The SQL backend, with which the talk begins: `tweeter.timelines = sql`."""

from pyramid.config import Configurator

from tweeter.timelines.pull import PullTimelines


def includeme(config: Configurator) -> None:
    config.add_timelines(__name__, PullTimelines("sql", config.registry.database.sessions))
