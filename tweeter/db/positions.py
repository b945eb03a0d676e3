"""Positions in PostgreSQL's write-ahead log, and which position of the primary contains a write.

The position of a commit is known only after the commit; storing it would take a second write. So it is derived from the
transaction id, which PostgreSQL keeps in the row (`xmin`). The primary is sampled several times a second: in one
statement the oldest transaction id that is still open, and after that the end of the log. All transactions with lower
ids had ended by then, so their commits are below this position.
"""

from threading import Lock
from time import monotonic
from typing import NamedTuple

from sqlalchemy import BigInteger, ColumnElement, Engine, literal_column, select

from tweeter.db.prepared import Prepared

EVERY = 0.2  # seconds between two samples
KEPT = 64  # samples

# The end of the log on disk, which is what replicas receive.
_FLUSHED = "(pg_current_wal_flush_lsn() - '0/0')::bigint"
# The end of all commits that are visible. They are on disk, except with synchronous_commit = off. The log may go on in
# memory for a while: delivery notes what can be lost without it.
_COMMITTED = f"""CASE current_setting('synchronous_commit') WHEN 'off'
    THEN (pg_current_wal_insert_lsn() - '0/0')::bigint ELSE {_FLUSHED} END"""
_TIMELINE = "('x' || left(pg_walfile_name(pg_current_wal_insert_lsn()), 8))::bit(32)::bigint"
_OLDEST = "pg_snapshot_xmin(pg_current_snapshot())::text::bigint"
_SERVER = "(SELECT system_identifier FROM pg_control_system())"


class Position(NamedTuple):
    """A place in the primary's log. A new timeline begins when a replica is promoted."""

    timeline: int
    lsn: int


class Written(NamedTuple):
    """What the pages of an account must contain, as of the statement that loaded the account from the primary."""

    account: int
    xid: int  # the transaction that wrote the account's row last, in 32 bits
    position: Position | None  # the end of the log after that; None if the server is in recovery


class Sample(NamedTuple):
    """The primary at one moment."""

    time: float  # of this process's monotonic clock, before the statement
    server: int
    timeline: int
    oldest: int  # the oldest open transaction
    committed: int  # the end of the commits that are visible
    flushed: int  # the end of the log on disk


def _on_primary(expression: str) -> ColumnElement[int]:
    """NULL in recovery, where the functions of the log would raise an error."""
    return literal_column(f"CASE WHEN NOT pg_is_in_recovery() THEN {expression} END", BigInteger)


# For a statement that selects from `users`: the fields of Written after the first.
WRITTEN = (
    literal_column("users.xmin::text::bigint", BigInteger),
    _on_primary(_TIMELINE),
    _on_primary(_COMMITTED),
)


def written_of(account: int, xid: int, timeline: int | None, lsn: int | None) -> Written:
    return Written(account, xid, None if timeline is None or lsn is None else Position(timeline, lsn))


def ended_before(xid: int, oldest: int) -> bool:
    """Whether a transaction id of 32 bits is below a full one. Ids that are too old to tell count as new."""
    return xid < 3 or 0 < (oldest - xid) % 2**32 < 2**31  # ids below 3 are those of rows frozen long ago


class Primary:
    """The primary's log as this process knows it. `engine` is in autocommit."""

    def __init__(self, engine: Engine) -> None:
        columns = (_on_primary(part) for part in (_SERVER, _TIMELINE, _OLDEST, _COMMITTED, _FLUSHED))
        self._sample = Prepared(engine, select(*columns))
        self._position = Prepared(engine, select(_on_primary(_TIMELINE), _on_primary(_COMMITTED)))
        self._sampling = Lock()
        self._samples: tuple[Sample, ...] = ()

    def look(self) -> None:
        """Takes a sample, unless one was just taken. Raises SQLAlchemy's errors."""
        with self._sampling:
            began = monotonic()
            if self._samples and began - self._samples[-1].time < EVERY / 2:
                return
            row = self._sample.one_or_none()
            if row is None or None in row:  # the server is in recovery
                self._samples = ()
                return
            sample = Sample(began, *row)
            same = self._samples and self._samples[-1][1:3] == sample[1:3]
            self._samples = (*self._samples[1 - KEPT :], sample) if same else (sample,)

    def abandon(self) -> None:
        """Called in a forked process: replaces the lock, which a thread of the parent may have held."""
        self._sampling = Lock()

    def position(self) -> Position | None:
        """The end of the log now, which is above all commits that are visible. Raises SQLAlchemy's errors."""
        row = self._position.one_or_none()
        return None if row is None or None in row else Position(*row)

    @property
    def newest(self) -> Sample | None:
        samples = self._samples
        return samples[-1] if samples else None

    def fresh(self, seconds: float) -> Sample | None:
        """The first sample that was taken within the last `seconds`."""
        since = monotonic() - seconds
        return next((sample for sample in self._samples if sample.time >= since), None)

    def lag(self, replayed: int) -> float:
        """Seconds by which a server that has replayed the log up to there is behind: at least so many."""
        samples = self._samples
        had = [sample.time for sample in samples if sample.flushed <= replayed]
        if had and had[-1] == samples[-1].time:
            return 0.0
        return monotonic() - (had[-1] if had else samples[0].time) if samples else 0.0

    def containing(self, written: Written) -> Position | None:
        """A position at or above the commit of the account's last write; the lowest that is known."""
        for sample in self._samples:
            if ended_before(written.xid, sample.oldest):
                return Position(sample.timeline, sample.committed)
        return written.position
