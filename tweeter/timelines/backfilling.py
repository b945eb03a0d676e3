"""The token of a backfill, which does not outlive a failure."""

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

from tweeter.errors import BackendUnavailable
from tweeter.interfaces import ITimelineStore
from tweeter.timelines.freshness import Fallback


@contextmanager
def backfilling(store: ITimelineStore, key: str) -> Iterator[Any]:
    """Puts a token into the cold key, for the block that reads SQL. Raises Fallback while another process does so.

    If the block fails, the key is cold again: with the token SQL would serve the timeline until the token expires.
    """
    token = store.begin_backfill(key)
    if token is None:
        raise Fallback("backfill")
    try:
        yield token
    except Exception:
        with suppress(BackendUnavailable):
            store.drop([key])
        raise
