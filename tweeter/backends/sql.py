"""The SQL backend, with which the talk begins: `tweeter.timelines = sql`."""

from pyramid.config import Configurator

from tweeter.interfaces import ITimelineKinds
from tweeter.timelines.pull import PullTimelines


def includeme(config: Configurator) -> None:
    kinds = config.registry.getUtility(ITimelineKinds)
    config.add_timelines(__name__, PullTimelines("sql", config.registry.database.page_transactions, kinds))
