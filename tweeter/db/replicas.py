"""Replicas: which of them may serve reads, as one thread for each of them sees it.

A replica serves while it follows the primary's log and lags less than `tweeter.replica_lag_ms`. It is left out while it
is dead, promoted, of another server or on another timeline, and taken back by itself. Whether it has replayed what a
reader needs is asked on the connection that reads: an earlier answer, or another replica's, would prove nothing.
"""

import logging
import threading
from collections.abc import Sequence
from time import monotonic, sleep
from typing import Any

from pyramid_retry import mark_error_retryable
from sqlalchemy import BigInteger, Engine, literal_column, select
from sqlalchemy import event as events
from sqlalchemy.engine import ExceptionContext
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.orm import Session

from tweeter.db.positions import EVERY, Primary
from tweeter.db.prepared import Prepared
from tweeter.db.sessions import make_sessions
from tweeter.metrics import REPLICA_BEHIND, REPLICA_LAG, REPLICA_SERVES

log = logging.getLogger("tweeter.replicas")

PATIENCE = 2.0  # seconds for a statement; the primary then has its own time
ANSWER = 0.25  # seconds for the answer to what it has replayed
PROOF = 0.75  # seconds for which a look at a replica counts
WAIT = 0.01  # seconds that a read waits for the replay
PAUSE = 0.001

_REPLAYED = "CASE WHEN pg_is_in_recovery() THEN (pg_last_wal_replay_lsn() - '0/0')::bigint END"
# The timeline of the last restart point lags behind a switch; only some roles see that of the WAL receiver.
_TIMELINE = """greatest((SELECT timeline_id FROM pg_control_checkpoint()),
    (SELECT min_recovery_end_timeline FROM pg_control_recovery()), (SELECT received_tli FROM pg_stat_wal_receiver))"""
_SERVER = "(SELECT system_identifier FROM pg_control_system())"
REPLAYED = select(literal_column(_REPLAYED, BigInteger))
STATE = select(
    literal_column(_REPLAYED, BigInteger),
    literal_column(_SERVER, BigInteger),
    literal_column(f"{_TIMELINE}::bigint", BigInteger),
)


class Replica:
    """One replica. `limit` is the greatest lag in seconds; `engine` is in autocommit."""

    def __init__(self, engine: Engine, primary: Primary, limit: float) -> None:
        self.name = f"{engine.url.host or engine.url.query.get('host', 'localhost')}:{engine.url.port or 5432}"
        self.engine = engine
        self.timeline = 0
        self._primary = primary
        self._limit = limit
        self._sessions = make_sessions(engine)
        self._state = Prepared(engine, STATE)
        self._replayed = Prepared(engine, REPLAYED)
        self._left_out = "it was not seen yet"  # why; empty while it serves
        self._seen = 0.0
        self._stuck = -1  # where a read waited in vain
        REPLICA_SERVES.labels(self.name).set(0)
        events.listen(engine, "handle_error", self._statement_failed)

    @property
    def serves(self) -> bool:
        return not self._left_out and monotonic() - self._seen < PROOF

    def look(self) -> None:
        """Decides whether the replica may serve. Never raises."""
        try:
            self._primary.look()
        except SQLAlchemyError as error:
            self._leave_out(f"the primary does not answer: {_sentence(error)}", logging.INFO)
            return
        try:
            row = self._state.one_or_none()
        except SQLAlchemyError as error:
            self._leave_out(_sentence(error))
            return
        self._seen = monotonic()
        if why := self._objection(*(row or (None, 0, 0))):
            self._leave_out(why)
        elif self._left_out:
            log.info("replica %s serves reads", self.name)
            self._left_out = ""
            REPLICA_SERVES.labels(self.name).set(1)

    def _objection(self, replayed: int | None, server: int, timeline: int) -> str:
        """Why it must not serve; empty if it may."""
        newest, fresh = self._primary.newest, self._primary.fresh(self._limit)
        self.timeline = timeline
        if newest is None or fresh is None:
            return "the primary is in recovery"
        if replayed is None:
            return "it is not in recovery: it was promoted, or is no replica"
        if server != newest.server:
            return "it has another system identifier than the primary"
        if timeline != newest.timeline:
            return f"it is on timeline {timeline}, the primary on {newest.timeline}"
        REPLICA_BEHIND.labels(self.name).set(max(newest.flushed - replayed, 0))
        REPLICA_LAG.labels(self.name).set(self._primary.lag(replayed))
        return f"it lags by more than {self._limit:g} s" if replayed < fresh.flushed else ""

    def open(self, lsn: int, transaction: bool = False) -> Session | None:
        """A session once the replica has replayed `lsn`; None if that takes too long, or the replica fails.

        It holds its connection from the start. `transaction` is for statements in one transaction.
        """
        session = self._sessions()
        try:
            options = {"isolation_level": "READ COMMITTED"} if transaction else {}
            connection = session.connection(execution_options=options).connection
            if self._reaches(connection, lsn):
                return session
        except (SQLAlchemyError, self.engine.dialect.loaded_dbapi.Error) as error:
            self._leave_out(_sentence(error))
            session.invalidate()
        session.close()
        return None

    def _reaches(self, connection: Any, lsn: int) -> bool:
        end = 0.0
        while True:
            [replayed] = self._replayed.on(connection, timeout=ANSWER) or [None]
            if replayed is None:
                self._leave_out("it was promoted")
                return False
            if replayed >= lsn:
                return True
            end = end or monotonic() + WAIT
            if replayed == self._stuck:
                return False
            if monotonic() > end:
                self._stuck = replayed  # the next read waits only if the replay has gone on
                return False
            sleep(PAUSE)

    def _leave_out(self, why: str, level: int = logging.WARNING) -> None:
        if why != self._left_out:
            log.log(level, "replica %s is left out: %s", self.name, why)
        self._left_out = why
        REPLICA_SERVES.labels(self.name).set(0)

    def _statement_failed(self, context: ExceptionContext) -> None:
        """A statement of a page failed: the request is repeated, on the primary."""
        error = context.sqlalchemy_exception
        if error is None:
            return
        mark_error_retryable(error)
        if context.is_disconnect:
            self._leave_out(_sentence(error))
        else:
            log.info("replica %s: a statement failed, the primary repeats it: %s", self.name, _sentence(error))


class Watch:
    """The threads that look at the replicas."""

    def __init__(self, primary: Primary, replicas: Sequence[Replica]) -> None:
        self.primary = primary
        self.replicas = replicas
        self._reset()

    def _reset(self) -> None:
        self._stopped = threading.Event()
        self._threads: list[threading.Thread] = []

    def start(self) -> None:
        """Starts the threads, unless they are running. Until their first look the primary serves all reads."""
        if not self._threads:
            self._threads = [
                threading.Thread(target=self._run, args=(replica,), name=f"replica {replica.name}", daemon=True)
                for replica in self.replicas
            ]
            for thread in self._threads:
                thread.start()

    def restart(self) -> None:
        """Called in a forked process, which does not have its parent's threads."""
        self.primary.abandon()
        self._reset()
        self.start()

    def stop(self) -> None:
        self._stopped.set()
        for thread in self._threads:
            thread.join()
        for replica in self.replicas:
            replica.engine.dispose()
        self._reset()

    def _run(self, replica: Replica) -> None:
        while not self._stopped.is_set():
            try:
                replica.look()
            except Exception:
                log.exception("looking at replica %s failed", replica.name)
            self._stopped.wait(EVERY)


def _sentence(error: Exception) -> str:
    return str(getattr(error, "orig", None) or error).partition("\n")[0]
