"""Followers by the hundred, whose timelines the workers write: a process of its own reads and checks them."""

import random
import threading
import time
from collections.abc import Mapping
from typing import Any

from sqlalchemy.exc import SQLAlchemyError

from tweeter import measure
from tweeter.bench.chaos.history import History, Shown
from tweeter.bench.chaos.visitor import LIMIT, PRIMARY
from tweeter.bench.machinery import machinery
from tweeter.interfaces import IDelivery, ITimelines
from tweeter.values import Cursor, Timeline

REST = 0.01  # seconds between two pages


class Fans:
    """Reads home pages as a third site process would, without HTTP. It delivers nothing."""

    def __init__(self, settings: Mapping[str, Any], fans: Mapping[int, set[int]], history: History) -> None:
        self._settings = {**settings, "tweeter.delivery": "relay"}
        self._fans = fans
        self._history = history
        self._ready = threading.Event()

    def live(self) -> None:
        """Until the history is over. Each fan's turn comes in a round, in random order."""
        fans = list(self._fans)
        with machinery(self._settings) as registry:
            registry.getUtility(IDelivery).start()
            timelines = registry.getUtility(ITimelines)
            while not self._history.over.is_set():
                random.shuffle(fans)
                for fan in fans:
                    self._look(timelines, fan)
                    if self._history.over.wait(REST):
                        break

    def _look(self, timelines: Any, fan: int) -> None:
        history = self._history
        began = time.monotonic()
        try:
            with measure.measuring() as meter:
                page = timelines.page(Timeline("home", fan), Cursor(limit=LIMIT))
        except SQLAlchemyError as error:
            history.tally.pages["none"] += 1
            if not history.outages.during(PRIMARY, began, time.monotonic()):
                history.complain(f"a fan's page failed, and the primary runs: {error!r}")
            return
        history.tally.pages[meter.served_by] += 1
        shown = Shown({tweet.id: tweet.user_id for tweet in page.tweets}, meter.served_by, page.older is not None)
        history.check(fan, self._fans[fan], shown, began, time.monotonic())
