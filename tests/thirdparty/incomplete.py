"""An incomplete backend: its store lacks most methods."""

from zope.interface import implementer

from tweeter.backends.memory import MemoryTweetCache
from tweeter.interfaces import ITimelineStore


@implementer(ITimelineStore)
class IncompleteStore:
    private = True

    def read(self, key, before, limit):
        return None


def includeme(config):
    config.add_timeline_store(__name__, store=IncompleteStore(), cache=MemoryTweetCache(10))
