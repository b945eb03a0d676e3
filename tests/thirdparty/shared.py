"""A backend whose store all processes share: nobody but itself knows where it is."""

from tests.thirdparty.texts import TextTimelineStore
from tweeter.backends.memory import MemoryTweetCache


class SharedStore(TextTimelineStore):
    private = False


def includeme(config):
    config.add_timeline_store(__name__, store=SharedStore(800), cache=MemoryTweetCache(10_000))
