"""A backend of an earlier version: its store's `add` does not take the tweet that an id refers to."""

from tests.thirdparty.texts import TextTimelineStore
from tweeter.backends.memory import MemoryTweetCache


class OutdatedStore(TextTimelineStore):
    def add(self, keys, id):  # type: ignore[override]
        super().add(keys, id)


def includeme(config):
    config.add_timeline_store(__name__, store=OutdatedStore(800), cache=MemoryTweetCache(10))
