"""A faulty backend that loses every seventh id; `tweeter verify` must detect it."""

from tests.thirdparty.texts import TextTimelineStore
from tweeter.backends.memory import MemoryTweetCache
from tweeter.values import NOTHING


class ForgetfulStore(TextTimelineStore):
    def backfill(self, key, token, ids, floor, of=NOTHING):
        return super().backfill(key, token, [id_ for n, id_ in enumerate(ids, 1) if n % 7], floor, of)


def includeme(config):
    config.add_timeline_store(__name__, store=ForgetfulStore(800), cache=MemoryTweetCache(10_000))
