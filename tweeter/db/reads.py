"""Chooses the server for each read of a request: a replica that has replayed what the reader needs, or the primary.

A page needs the last write of its reader, and everything that is older than `tweeter.replica_lag_ms`. A backfill needs
everything that was committed before its token was set: delivery adds the rest. Reads outside of requests, writes, and
what delivery reads go to the primary.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from itertools import count

from sqlalchemy.orm import Session

from tweeter.db.positions import Primary, Written
from tweeter.db.replicas import Replica
from tweeter.db.sessions import SessionFactory
from tweeter.metrics import SQL_READS, child

_reader: ContextVar[Callable[[], Written | None] | None] = ContextVar("tweeter_reader", default=None)


@contextmanager
def reading(written: Callable[[], Written | None]) -> Iterator[None]:
    """Reads within the block may go to replicas. `written()` is the reader's last write; None without an account."""
    token = _reader.set(written)
    try:
        yield
    finally:
        _reader.reset(token)


class Reads:
    """Session factories that choose the server. Each session holds its connection until it is closed."""

    def __init__(
        self,
        primary: Primary,
        replicas: Sequence[Replica],
        limit: float,
        autocommit: SessionFactory,
        transactions: SessionFactory,
    ) -> None:
        """The factories are those of the primary; `limit` is the greatest lag in seconds."""
        self._primary = primary
        self._replicas = replicas
        self._limit = limit
        self._autocommit = autocommit
        self._transactions = transactions
        self._turns = count()

    def page(self) -> Session:
        """For a page: each statement has a snapshot of its own."""
        return self._page() or self._autocommit()

    def transaction(self) -> Session:
        """For a page that needs a transaction."""
        return self._page(transaction=True) or self._transactions()

    def fill(self) -> Session:
        """To fill a store: contains everything that was committed before this call."""
        if _reader.get() is None:
            return self._autocommit()
        position = self._primary.position() if any(replica.serves for replica in self._replicas) else None
        if position is None:
            return _on_primary("fill", "none") or self._autocommit()
        return self._open("fill", 0, *position) or self._autocommit()

    def _page(self, transaction: bool = False) -> Session | None:
        reader = _reader.get()
        if reader is None:
            return None
        written = reader()
        fresh = self._primary.fresh(self._limit)
        if fresh is None:
            return _on_primary("page", "none")
        lsn = fresh.flushed
        if written is not None:
            own = self._primary.containing(written)
            if own is None or own.timeline != fresh.timeline:
                return _on_primary("page", "timeline")
            lsn = max(lsn, own.lsn)
        return self._open("page", written.account if written else 0, fresh.timeline, lsn, transaction)

    def _open(self, kind: str, account: int, timeline: int, lsn: int, transaction: bool = False) -> Session | None:
        """A session on the first replica that has replayed `lsn`. An account begins with the same one each time."""
        reason = "none"
        first = (account or next(self._turns)) % len(self._replicas)
        for replica in (*self._replicas[first:], *self._replicas[:first]):
            if replica.serves and replica.timeline == timeline:
                if session := replica.open(lsn, transaction):
                    child(SQL_READS, kind, "replica", "").inc()
                    return session
                reason = "behind"
        return _on_primary(kind, reason)


def _on_primary(kind: str, reason: str) -> None:
    child(SQL_READS, kind, "primary", reason).inc()
