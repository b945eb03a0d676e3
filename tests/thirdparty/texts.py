"""A third-party backend: `tweeter.timelines = tests.thirdparty.texts`.

Each timeline is one text, `floor id id id …`, in a dictionary. An id that refers to a tweet is written `id@tweet`.
It is slow, but complete, on one page.
"""

import re
import threading
import time

from zope.interface import implementer

from tweeter.backends.memory import MemoryTweetCache
from tweeter.interfaces import ITimelineStore
from tweeter.metrics import count_damaged
from tweeter.values import NOTHING, Slice, referring

TIMELINE = re.compile(r"(token [0-9.]+|[0-9]+)( [0-9]+(@[1-9][0-9]*)?)*")


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
        floor, *words = text.split()
        floor, entries = int(floor), parsed(words)
        ids = [id_ for id_ in sorted(entries, reverse=True) if floor <= id_ < before][:limit]
        return Slice(ids, floor, self._checkpoint, referring(ids, {id_: of for id_, of in entries.items() if of}))

    def begin_backfill(self, key):
        with self._lock:
            text = self._text(key)
            if text and (not text.startswith("token") or time.monotonic() < float(text.split()[1])):
                return None
            token = f"token {time.monotonic() + self._fill_seconds!r}"
            self._texts[key] = token
            return token

    def backfill(self, key, token, ids, floor, of=NOTHING):
        with self._lock:
            text = self._text(key)
            if not token or not f"{text} ".startswith(f"{token} "):
                return False
            self._keep(key, floor, {id_: of.get(id_, 0) for id_ in ids} | parsed(text.split()[2:]))
            return True

    def add(self, keys, id, of=0):
        with self._lock:
            for key in keys:
                text = self._text(key)
                if not text:
                    continue
                if text.startswith("token"):
                    self._texts[key] = f"{text} {written(id, of)}"
                else:
                    floor, *words = text.split()
                    self._keep(key, int(floor), parsed(words) | {id: of})

    def remove(self, key, ids, of=NOTHING):
        with self._lock:
            first, *kept = (self._text(key) or "token").split()
            if first != "token":
                gone = {written(id_, of.get(id_, 0)) for id_ in ids}
                self._texts[key] = " ".join([first, *(entry for entry in kept if entry not in gone)])

    def drop(self, keys):
        with self._lock:
            for key in keys:
                self._texts.pop(key, None)

    def truncate(self, before_id):
        with self._lock:
            for key in list(self._texts):
                text = self._text(key)
                if text and not text.startswith("token"):
                    floor, *words = text.split()
                    floor, entries = int(floor), parsed(words)
                    kept = {id_: of for id_, of in entries.items() if id_ >= before_id}
                    self._keep(key, floor if len(kept) == len(entries) else max(floor, before_id), kept)

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

    def _keep(self, key, floor, entries):
        kept = sorted(entries, reverse=True)
        if lost := kept[self._capacity :]:
            floor = max(floor, lost[0] + 1)
        self._texts[key] = " ".join([str(floor), *(written(id_, entries[id_]) for id_ in kept[: self._capacity])])


def parsed(words):
    """{id: the tweet that it refers to, or 0}"""
    return {int(id_): int(of or 0) for id_, _, of in (word.partition("@") for word in words)}


def written(id_, of):
    return f"{id_}@{of}" if of else str(id_)


def includeme(config):
    config.add_timeline_store(
        __name__,
        store=TextTimelineStore(config.get_settings()["tweeter.capacity"]),
        cache=MemoryTweetCache(10_000),
    )
