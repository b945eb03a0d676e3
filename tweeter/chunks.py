"""Work on an unbounded number of rows: a chunk in each transaction, and turns for others in between."""

import time
from collections.abc import Callable, Iterator

from sqlalchemy.orm import Session

from tweeter.models.meta import SessionFactory, begin_immediate

CHUNK = 500  # rows in a transaction; and ids in an event
LONGEST_REST = 0.1  # seconds


def in_chunks(
    sessions: SessionFactory, work: Callable[[Session], int], goes_on: Callable[[], bool] = lambda: True
) -> Iterator[int]:
    """Does `work(session)` in transactions of its own until it returns 0; yields what it returned each time.

    It rests as long as it works, because SQLite's writers have no queue: whoever asks again at once would always win.
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
