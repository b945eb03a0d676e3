"""A backfill without a lock: its token is in the store before SQL is read, and does not outlive a failure."""

from collections.abc import Callable
from contextlib import suppress

from sqlalchemy.orm import Session

from tweeter.db.sessions import SessionFactory
from tweeter.errors import BackendUnavailable
from tweeter.interfaces import ITimelineStore
from tweeter.timelines.freshness import Fallback
from tweeter.values import Slice


def backfilled(store: ITimelineStore, key: str, sessions: SessionFactory, read: Callable[[Session], Slice]) -> Slice:
    """Backfills a cold key with what `read` finds in SQL, and returns that. Raises Fallback during another backfill.

    The backfill token is in the store before the query's snapshot begins; a replica has replayed what the primary had
    committed by then. So for every later commit, delivery either appends the id behind the token, or drops the key, and
    then this backfill does nothing. If `read` fails, the key is cold again: with the token SQL would serve the timeline
    until the token expires.
    """
    token = store.begin_backfill(key)
    if token is None:
        raise Fallback("backfill")
    try:
        with sessions() as session:
            filled = read(session)
    except Exception:
        with suppress(BackendUnavailable):
            store.drop([key])
        raise
    store.backfill(key, token, filled.ids, filled.floor, filled.of)
    return filled
