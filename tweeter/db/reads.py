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

from tweeter.db.positions import Position, Primary, Written
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
        return self._page(self._autocommit)

    def transaction(self) -> Session:
        """For a page that needs a transaction."""
        return self._page(self._transactions)

    def fill(self) -> Session:
        """To fill a store: contains everything that was committed before this call."""
        if _reader.get() is None:
            return self._autocommit()
        position = self._primary.position() if any(replica.serves for replica in self._replicas) else None
        if position is None:
            return _counted("fill", "primary", "none", self._autocommit())
        return self._open("fill", 0, position, self._autocommit)

    def _page(self, primary: SessionFactory) -> Session:
        reader = _reader.get()
        if reader is None:
            return primary()
        written = reader()
        fresh = self._primary.fresh(self._limit)
        if fresh is None:
            return _counted("page", "primary", "none", primary())
        need = Position(fresh.timeline, fresh.flushed)
        if written is not None:
            own = self._primary.containing(written)
            if own is None or own.timeline != fresh.timeline:
                return _counted("page", "primary", "timeline", primary())
            need = max(need, own)
        return self._open("page", written.account if written else 0, need, primary)

    def _open(self, kind: str, account: int, need: Position, primary: SessionFactory) -> Session:
        """A session on the first replica that has what is needed. An account begins with the same one each time."""
        reason = "none"
        first = (account or next(self._turns)) % len(self._replicas)
        for replica in (*self._replicas[first:], *self._replicas[:first]):
            if replica.serves and replica.timeline == need.timeline:
                if session := replica.open(need.lsn, transaction=primary is self._transactions):
                    return _counted(kind, "replica", "", session)
                reason = "behind"
        return _counted(kind, "primary", reason, primary())


def _counted(kind: str, server: str, reason: str, session: Session) -> Session:
    child(SQL_READS, kind, server, reason).inc()
    return session
