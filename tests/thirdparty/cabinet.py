"""A backend that declares settings of its own."""

from tests.thirdparty.texts import TextTimelineStore
from tweeter.backends.memory import MemoryTweetCache
from tweeter.settings import Setting

SETTINGS = {
    "tweeter.cabinet.url": Setting(str, "cabinet://localhost", help="The address of the cabinet."),
    "tweeter.cabinet.drawers": Setting(int, 4, 1, "Drawers of the cabinet.", most=100),
    "tweeter.cabinet.combination": Setting(str, "", help="Opens the cabinet.", secret=True),
}


def includeme(config):
    settings = config.get_settings()
    config.add_timeline_store(
        __name__,
        store=TextTimelineStore(settings["tweeter.capacity"]),
        cache=MemoryTweetCache(settings["tweeter.cabinet.drawers"] * 1000),
    )
