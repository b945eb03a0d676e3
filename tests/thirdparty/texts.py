"""A third-party backend: `tweeter.timelines = tests.thirdparty.texts`.

Each timeline is one text, `floor id id id …`, in a dictionary. It is slow, but complete, on one page.
"""

import re
import threading
import time

from zope.interface import implementer

from tweeter.backends.memory import MemoryTweetCache
from tweeter.interfaces import ITimelineStore
from tweeter.metrics import count_damaged
from tweeter.values import Slice

TIMELINE = re.compile(r"(token [0-9.]+|[0-9]+)( [0-9]+)*")


@implementer(ITimelineStore)
class TextTimelineStore:
    private = True
    identity = "texts"

    def __init__(self, capacity, backfill_seconds=30.0):
        self._capacity = capacity
        self._fill_seconds = backfill_seconds
        self._checkpoint = None
        self._texts = {}  # key: "floor id id …", or "token time id id …" while it is being filled
        self._lock = threading.Lock()

    def set_site(self, site_id):
        pass

    def run_id(self):
        return "this process"

    def fence(self, run_id):
        pass

    def checkpoint(self):
        return self._checkpoint

    def set_checkpoint(self, value):
        self._checkpoint = value

    def read(self, key, before, limit):
        with self._lock:
            text = self._text(key)
        if not text or text.startswith("token"):
            return None
        floor, *ids = map(int, text.split())
        return Slice(
            [id_ for id_ in sorted(ids, reverse=True) if floor <= id_ < before][:limit], floor, self._checkpoint
        )

    def begin_backfill(self, key):
        with self._lock:
            text = self._text(key)
            if text and (not text.startswith("token") or time.monotonic() < float(text.split()[1])):
                return None
            token = f"token {time.monotonic() + self._fill_seconds!r}"
            self._texts[key] = token
            return token

    def backfill(self, key, token, ids, floor):
        with self._lock:
            text = self._text(key)
            if not token or not f"{text} ".startswith(f"{token} "):
                return False
            self._keep(key, floor, {*ids, *map(int, text.split()[2:])})
            return True

    def add(self, keys, id):
        with self._lock:
            for key in keys:
                text = self._text(key)
                if not text:
                    continue
                if text.startswith("token"):
                    self._texts[key] = f"{text} {id}"
                else:
                    floor, *ids = map(int, text.split())
                    self._keep(key, floor, {*ids, id})

    def remove(self, key, ids):
        with self._lock:
            first, *kept = (self._text(key) or "token").split()
            if first != "token":
                self._texts[key] = " ".join([first, *(id_ for id_ in kept if int(id_) not in ids)])

    def drop(self, keys):
        with self._lock:
            for key in keys:
                self._texts.pop(key, None)

    def truncate(self, before_id):
        with self._lock:
            for key in list(self._texts):
                text = self._text(key)
                if text and not text.startswith("token"):
                    floor, *ids = map(int, text.split())
                    kept = {id_ for id_ in ids if id_ >= before_id}
                    self._keep(key, floor if len(kept) == len(ids) else max(floor, before_id), kept)

    def clear(self):
        with self._lock:
            self._texts.clear()

    def _text(self, key):
        """The value of the key, empty if it is missing; drops invalid values."""
        text = self._texts.get(key, "")
        if text == "" or (isinstance(text, str) and TIMELINE.fullmatch(text)):
            return text
        del self._texts[key]
        count_damaged("texts", {key: "no timeline"})
        return ""

    def _keep(self, key, floor, ids):
        kept = sorted(ids, reverse=True)
        if lost := kept[self._capacity :]:
            floor = max(floor, lost[0] + 1)
        self._texts[key] = " ".join(map(str, [floor, *kept[: self._capacity]]))


def includeme(config):
    config.add_timeline_store(
        __name__,
        store=TextTimelineStore(config.get_settings()["tweeter.capacity"]),
        cache=MemoryTweetCache(10_000),
    )
