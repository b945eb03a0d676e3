"""How far one shared store was delivered to, and by whom: its row in `consumers`, and what the log has beyond it."""

import hashlib
import secrets
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import datetime, timedelta
from typing import NamedTuple

from sqlalchemy import and_, bindparam, select, update
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.orm import Session

from tweeter.models import Consumer, Site
from tweeter.models.meta import SessionFactory, begin_immediate, insert_new, now
from tweeter.models.outbox import END, Log, LoggedEvent, LogReader

HOLD = timedelta(seconds=10)  # after which a deliverer that gives no sign of life is taken to be dead
LONGEST_NAME = 200  # as the column has it
LONGEST_BACKLOG = 20_000  # more events cost more than to begin cold

_COLUMNS = (Consumer.incarnation, Consumer.position, Consumer.seen, Consumer.date)
# Put together once, as every post waits for it.
_ROW = {
    dialect: select(
        *_COLUMNS,
        end.label("end"),
        select(Site.id).scalar_subquery(),
        select(Site.loading_until).scalar_subquery(),
    ).where(Consumer.name == bindparam("name"))
    for dialect, end in END.items()
}


class LostHold(Exception):
    """Another process delivers now."""


class State(NamedTuple):
    """What the row tells, and what the log has beyond it."""

    row: tuple[str, int, str, datetime]  # incarnation, position, seen, date
    reader: LogReader
    log: Log
    waiting: timedelta  # of the oldest pending event, since something was delivered
    idle: timedelta  # since it is known that nothing was missed
    mark: int  # how far the store was delivered to; see LogReader
    restored: bool  # the database is a backup: the store knows of more, or the log begins anew
    site_id: str  # the database's
    load_died: bool  # a bulk load wrote rows and did not come to its end

    @property
    def incarnation(self) -> str:
        return self.row[0]

    @property
    def pending(self) -> list[LoggedEvent]:
        return self.log.events


class Progress:
    """The row of one store, as one process sees it."""

    def __init__(self, sessions: SessionFactory, identity: str) -> None:
        self._sessions = sessions
        fits = len(identity) <= LONGEST_NAME
        self.name = identity if fits else hashlib.sha256(identity.encode()).hexdigest()
        self._me = secrets.token_hex(8)

    def look(self, delivered: int = 0) -> State | None:
        """The state; None where there is no row yet.

        `delivered` is the mark that the store tells. It has to be asked before: it is told after the row is.
        """
        with self._sessions() as session:
            row = session.execute(_ROW[session.get_bind().dialect.name], {"name": self.name}).one_or_none()
            if row is None:
                return None
            incarnation, position, seen, date, end, site_id, loading_until = row
            reader = LogReader(position, seen)
            log = reader.read(session, LONGEST_BACKLOG)
            idle = now() - date
            waiting = min(idle, now() - log.events[0].date) if log.events else timedelta(0)
            restored = reader.mark < delivered or position > end
            known = (incarnation, position, seen, date)
            load_died = loading_until is not None and loading_until < now()
            return State(known, reader, log, waiting, idle, reader.mark, restored, site_id or "", load_died)

    def enter(self) -> State:
        """Makes the row, if nobody did: from here on nothing is missed, and the store starts cold."""
        moment = now()
        reader = LogReader()
        with self._sessions() as session:
            begin_immediate(session)
            reader.begin(session)
            insert_new(
                session,
                Consumer,
                name=self.name,
                position=reader.position,
                seen=reader.seen,
                incarnation="",
                holder="",
                held_until=moment,
                date=moment,
            )
            session.commit()
        return self.look() or self.enter()

    def hold(self, state: State) -> bool:
        """Becomes the one who delivers, if nobody is, and nobody has delivered since the state was looked at."""
        moment = now()
        free = (Consumer.holder == "") | (Consumer.holder == self._me) | (Consumer.held_until < moment)
        same = and_(*(column == value for column, value in zip(_COLUMNS, state.row, strict=True)))
        with self._sessions() as session:
            begin_immediate(session)
            held = self._update(session, free & same, holder=self._me, held_until=moment + HOLD)
            session.commit()
        return held

    def release(self) -> None:
        with self._sessions() as session:
            begin_immediate(session)
            self._update(session, Consumer.holder == self._me, holder="")
            session.commit()

    @contextmanager
    def kept(self) -> Iterator[None]:
        """Keeps the hold for a block that may take long without a word: to go through all keys of a large server."""
        over = threading.Event()

        def keep() -> None:
            while not over.wait(HOLD.total_seconds() / 4):
                with suppress(SQLAlchemyError), self._sessions() as session:
                    begin_immediate(session)
                    self._update(session, Consumer.holder == self._me, held_until=now() + HOLD)
                    session.commit()

        keeper = threading.Thread(target=keep, name=f"hold of {self.name}", daemon=True)
        keeper.start()
        try:
            yield
        finally:
            over.set()
            keeper.join()

    def note(self, **values: object) -> None:
        """Writes to the store's row while holding it. Raises LostHold."""
        moment = now()
        with self._sessions() as session:
            begin_immediate(session)
            held = self._update(session, Consumer.holder == self._me, held_until=moment + HOLD, date=moment, **values)
            session.commit()
        if not held:
            raise LostHold

    def _update(self, session: Session, condition: object, **values: object) -> bool:
        result = session.execute(
            update(Consumer).where(Consumer.name == self.name, condition).values(**values),  # type: ignore[arg-type]
            execution_options={"synchronize_session": False},
        )
        return bool(result.rowcount)  # type: ignore[attr-defined]
