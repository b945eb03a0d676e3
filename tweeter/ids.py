"""Tweet ids: 53-bit integers that contain their time, so that id order is time order.

    id = milliseconds since 2006-01-01T00:00:00Z (41 bits) << 12 | 12 bits unique within the millisecond

The format is Twitter's Snowflake, shortened to the 53 bits that a sorted-set score (an IEEE double) and a number in
JavaScript represent exactly. The epoch is before the first tweet, so that archives fit; it ends in 2075.
"""

import secrets
import threading
import time
from datetime import UTC, datetime, timedelta

EPOCH = datetime(2006, 1, 1, tzinfo=UTC)
EPOCH_MS = int(EPOCH.timestamp() * 1000)
SEQUENCE_BITS = 12
MAX_ID = 2**53 - 1
# A reply gets an id above its parent's if the parent's clock is ahead by at most this; not if it is dated years ahead.
GREATEST_DRIFT_MS = 60_000
_MS = timedelta(milliseconds=1)


def first_id(date: datetime) -> int:
    """The smallest id of a tweet of that moment: 'older than date' is `id < first_id(date)`.

    Raises ValueError for a moment that no id can represent (before 2006 or after 2075).
    """
    return first_id_of_ms((date - EPOCH) // _MS + EPOCH_MS)


def first_id_of_ms(epoch_ms: int) -> int:
    """Like `first_id`, for milliseconds since 1970."""
    id_ = (epoch_ms - EPOCH_MS) << SEQUENCE_BITS
    if not 0 <= id_ <= MAX_ID:
        raise ValueError("the date must lie between 2006-01-01 and 2075-09-07")
    return id_


def date_of(id_: int) -> datetime:
    """The time that an id contains, to the millisecond."""
    return EPOCH + (id_ >> SEQUENCE_BITS) * _MS


class IdGenerator:
    """Makes ids that only grow within this process, even if the clock is set back.

    The low bits start at random, so two processes that post within one millisecond collide once in 4096 times. Then the
    insert violates the primary key, and is repeated with another id.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._last = 0

    def next(self, parent_id: int = 0) -> int:
        """A new id. A reply's is greater than its parent's, even if the parent's clock is up to a minute ahead."""
        now, after = _epoch_ms(), (parent_id >> SEQUENCE_BITS) + EPOCH_MS + 1
        if now < after <= now + GREATEST_DRIFT_MS:
            now = after
        id_ = first_id_of_ms(now) | secrets.randbits(SEQUENCE_BITS)
        with self._lock:
            self._last = max(id_, self._last + 1)
            return self._last

    def latest(self) -> int:
        """The greatest id of the current time. It is ahead of the clock only if this process made ids that are."""
        return max(first_id_of_ms(_epoch_ms() + 1) - 1, self._last)


def _epoch_ms() -> int:
    return time.time_ns() // 1_000_000


_generator = IdGenerator()
generate_id, latest_id = _generator.next, _generator.latest
