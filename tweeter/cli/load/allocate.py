"""Allocates unused ids for tweets of the past, from their time."""

# ruff: noqa: S608 (nothing but our own words and numbers is put into the SQL)

from tweeter import ids
from tweeter.bulk.database import BulkDatabase
from tweeter.errors import TweeterError

_LAST_IN_BLOCK = (1 << ids.SEQUENCE_BITS) - 1


class Allocator:
    """Ids for one batch of load_order, allocated in the order of time.

    In a millisecond they continue after the highest existing id. If all 4096 are used, they spill over into the
    following milliseconds. A block is an id without its low bits: the ids of one millisecond.
    """

    def __init__(self, database: BulkDatabase, after: int, last: int) -> None:
        self._database = database
        # By primary key: SQLite would scan a whole index if the table was small when it was analyzed.
        self._tweets = tweets = "tweets" if database.postgresql else "tweets NOT INDEXED"
        self._last = 0  # ids start at 1: the first page begins after 0
        rows = database.execute(
            f"""
            SELECT DISTINCT ms, (
                SELECT max(id) FROM {tweets}
                WHERE id >= (o.ms - {ids.EPOCH_MS}) << {ids.SEQUENCE_BITS}
                AND id < (o.ms - {ids.EPOCH_MS} + 1) << {ids.SEQUENCE_BITS}
            ) FROM load_order AS o WHERE n > :after AND n <= :last
            """,
            after=after,
            last=last,
        )
        self._greatest: dict[int, int | None] = {block_of(ms): greatest for ms, greatest in rows}

    def next(self, epoch_ms: int) -> int:
        """The next id of this millisecond; greater than all ids allocated before."""
        id_ = max(ids.first_id_of_ms(epoch_ms), self._last + 1)
        while (greatest := self._greatest_of(id_ >> ids.SEQUENCE_BITS)) is not None and greatest >= id_:
            id_ = greatest + 1
        if id_ > ids.MAX_ID:
            raise TweeterError("More tweets have the last date of all than there are ids.")
        self._last = id_
        return id_

    def taken(self, epoch_ms: int) -> bool:
        """Whether the millisecond already has tweets."""
        return self._greatest_of(block_of(epoch_ms)) is not None

    def longest_spill(self) -> int:
        """The maximal number of blocks that the tweets of one millisecond may be spread over; 1 without a spill."""
        return max(map(self._spread, list(self._greatest)), default=1)

    def _spread(self, block: int) -> int:
        end = block
        while (greatest := self._greatest_of(end)) is not None and greatest & _LAST_IN_BLOCK == _LAST_IN_BLOCK:
            end += 1
        return end - block + 1

    def _greatest_of(self, block: int) -> int | None:
        """The highest id of the block before this batch."""
        if block not in self._greatest:
            self._greatest[block] = self._database.execute(
                f"SELECT max(id) FROM {self._tweets} WHERE id >= :first AND id < :end",
                first=block << ids.SEQUENCE_BITS,
                end=(block + 1) << ids.SEQUENCE_BITS,
            ).scalar()
        return self._greatest[block]


def block_of(epoch_ms: int) -> int:
    return ids.first_id_of_ms(epoch_ms) >> ids.SEQUENCE_BITS
