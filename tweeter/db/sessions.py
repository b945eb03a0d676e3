"""Sessions, with the same behaviour on both databases."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from time import monotonic
from typing import Any

from sqlalchemy import Engine, UpdateBase, literal, text
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.exc import OperationalError
from sqlalchemy.orm import DeclarativeBase, Session, sessionmaker

from tweeter.errors import TookTooLong

SessionFactory = Callable[[], Session]

INSTRUCTIONS_BETWEEN_LOOKS = 10_000  # of SQLite's virtual machine, which runs some ten million per second
QUERY_CANCELED = "57014"  # PostgreSQL's code
WRITING = {"sqlite_begin": "IMMEDIATE"}
UNSYNCHRONIZED = {"synchronize_session": False}  # objects in the session keep their values


def make_sessions(engine: Engine, writing: bool = False) -> sessionmaker[Session]:
    """Sessions for short transactions, each with a fresh snapshot; `writing` makes them begin as writers."""
    return sessionmaker(engine.execution_options(**WRITING) if writing else engine, expire_on_commit=False)


def begin_immediate(session: Session) -> None:
    """Begins the session's transaction as a writer, at once. Must be called before its first statement."""
    session.connection(execution_options=WRITING)


@contextmanager
def time_limit(session: Session, seconds: float) -> Iterator[None]:
    """Limits the time of the session's statements in this block: of each on PostgreSQL, of all together on SQLite.

    Raises TookTooLong; the transaction cannot continue after that.
    """
    sqlite = session.get_bind().dialect.name == "sqlite"
    driver: Any = session.connection().connection.driver_connection
    try:
        if sqlite:
            end = monotonic() + seconds
            driver.set_progress_handler(lambda: monotonic() > end, INSTRUCTIONS_BETWEEN_LOOKS)
        else:
            session.execute(text("SELECT set_config('statement_timeout', :ms, true)"), {"ms": f"{seconds * 1000:.0f}"})
        yield
        if not sqlite:
            session.execute(text("SET LOCAL statement_timeout TO DEFAULT"))
    except OperationalError as error:
        if getattr(error.orig, "sqlstate", None) == QUERY_CANCELED or str(error.orig) == "interrupted":
            raise TookTooLong from error
        raise
    finally:
        if sqlite:
            driver.set_progress_handler(None, 0)


def write(session: Session, statement: UpdateBase) -> int:
    """Executes an UPDATE or DELETE; returns the number of rows. Objects in the session are not synchronized."""
    result = session.execute(statement, execution_options=UNSYNCHRONIZED)
    return int(result.rowcount)  # type: ignore[attr-defined]


def insert_new(session: Session, model: type[DeclarativeBase], **values: Any) -> bool:
    """Inserts a row unless it exists. Returns whether it was inserted; safe under concurrency."""
    insert = postgresql.insert if session.get_bind().dialect.name == "postgresql" else sqlite.insert
    statement = insert(model).values(**values).on_conflict_do_nothing()
    # RETURNING, because PostgreSQL's driver does not report the number of inserted rows.
    return session.execute(statement.returning(literal(1))).first() is not None
