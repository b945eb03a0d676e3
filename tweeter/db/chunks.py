"""Work on an unbounded number of rows: one chunk per transaction, with rests for other writers in between."""

import time
from collections.abc import Callable, Iterator

from sqlalchemy.orm import Session

from tweeter.db.sessions import SessionFactory, begin_immediate

CHUNK = 500  # rows per transaction, and ids per event
LONGEST_REST = 0.1  # seconds


def in_chunks(
    sessions: SessionFactory, work: Callable[[Session], int], goes_on: Callable[[], bool] = lambda: True
) -> Iterator[int]:
    """Runs `work(session)` in separate transactions until it returns 0; yields each result.

    It rests as long as it works, because SQLite's writers have no queue: without rests it would starve them.
    """
    while goes_on():
        began = time.monotonic()
        with sessions() as session:
            begin_immediate(session)
            done = work(session)
            session.commit()
        if not done:
            return
        yield done
        time.sleep(min(time.monotonic() - began, LONGEST_REST))
