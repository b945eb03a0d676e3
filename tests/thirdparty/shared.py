"""A backend with a shared store whose address only the backend knows."""

from tests.thirdparty.texts import TextTimelineStore
from tweeter.backends.memory import MemoryTweetCache


class SharedStore(TextTimelineStore):
    private = False


def includeme(config):
    config.add_timeline_store(__name__, store=SharedStore(800), cache=MemoryTweetCache(10_000))
