"""What all tables share: names of constraints, types, the engine."""

from collections.abc import Callable
from datetime import UTC, datetime
from functools import partial
from time import monotonic, perf_counter
from typing import Any

from sqlalchemy import BigInteger, DateTime, Dialect, Engine, Integer, MetaData, create_engine, event, literal
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.engine import ExceptionContext, make_url
from sqlalchemy.exc import DisconnectionError
from sqlalchemy.orm import DeclarativeBase, Session, sessionmaker
from sqlalchemy.types import TypeDecorator

from tweeter import measure

# Alembic needs to name constraints to be able to drop them again.
NAMING_CONVENTION = {
    "ix": "ix_%(table_name)s_%(column_0_N_name)s",
    "uq": "uq_%(table_name)s_%(column_0_N_name)s",
    "ck": "ck_%(table_name)s_%(constraint_name)s",
    "fk": "fk_%(table_name)s_%(column_0_N_name)s_%(referred_table_name)s",
    "pk": "pk_%(table_name)s",
}


class Base(DeclarativeBase):
    metadata = MetaData(naming_convention=NAMING_CONVENTION)


# SQLite makes only an INTEGER primary key the row's own number.
BigId = BigInteger().with_variant(Integer, "sqlite")


class UTCDateTime(TypeDecorator[datetime]):
    """A moment: always aware and in UTC here, `timestamptz` in PostgreSQL, a text that sorts in SQLite."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        return None if value is None else value.astimezone(UTC)

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        if value is None:
            return None
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)


def now() -> datetime:
    """The present, to the millisecond, as ids have it."""
    moment = datetime.now(UTC)
    return moment.replace(microsecond=moment.microsecond // 1000 * 1000)


SessionFactory = Callable[[], Session]

LONG_REST = 1.0  # seconds
WRITING = {"sqlite_begin": "IMMEDIATE"}


def make_engine(url: str, **options: Any) -> Engine:
    """An engine that counts its statements and, on SQLite, loses no update.

    SQLite is set to write-ahead logging, so that readers and the writer don't wait for each other. A transaction
    that will write says so when it begins (`begin_immediate`); one that finds out later could not get the lock
    without breaking its snapshot, and SQLite would refuse it at once.
    """
    parsed = make_url(url)
    if parsed.get_backend_name() == "sqlite":
        options.setdefault("connect_args", {}).setdefault("timeout", 30)  # seconds a writer waits for another
    elif parsed.get_backend_name() == "postgresql":
        # A server that is lost, rather than stopped, is noticed after seconds and not after hours.
        lost = {"connect_timeout": 5, "keepalives_idle": 30, "keepalives_interval": 5, "tcp_user_timeout": 15_000}
        options.setdefault("connect_args", {}).update(lost)
        if "options" not in parsed.query:
            # To compile a statement takes longer than any of ours takes to run.
            options["connect_args"]["options"] = "-c jit=off"
    options.setdefault("pool_size", 20)
    # Parameters are people's messages and the hashes of their passwords: errors and logs must not tell them.
    engine = create_engine(parsed, hide_parameters=True, **options)
    if engine.dialect.name == "sqlite":
        event.listen(engine, "connect", _set_up_sqlite)
        if options.get("isolation_level") != "AUTOCOMMIT":
            event.listen(engine, "begin", _begin_sqlite)
    else:
        event.listen(engine, "handle_error", _hide_row)
        event.listen(engine, "checkin", _note_rest)
        event.listen(engine, "checkout", partial(_check_rested, engine.dialect))
    event.listen(engine, "before_cursor_execute", _note_start)
    event.listen(engine, "after_cursor_execute", _note_end)
    return engine


def make_statement_engine(url: str) -> Engine:
    """An engine for what is asked in one statement, which needs no transaction around it: half the time, or less."""
    return make_engine(url, isolation_level="AUTOCOMMIT", pool_reset_on_return=None)


def make_sessions(engine: Engine, writing: bool = False) -> sessionmaker[Session]:
    """Sessions for short transactions of their own, each with a fresh snapshot; those that will write say so."""
    return sessionmaker(engine.execution_options(**WRITING) if writing else engine, expire_on_commit=False)


def begin_immediate(session: Session) -> None:
    """Begins the session's transaction, now, as one that will write. Must come before its first statement."""
    session.connection(execution_options=WRITING)


def insert_new(session: Session, model: type[Base], **values: Any) -> bool:
    """Inserts a row, unless it is there already. True if it was not, whoever else tries at the same time."""
    insert = postgresql.insert if session.get_bind().dialect.name == "postgresql" else sqlite.insert
    statement = insert(model).values(**values).on_conflict_do_nothing()
    # PostgreSQL's driver tells no number of inserted rows.
    return session.execute(statement.returning(literal(1))).first() is not None


def _hide_row(context: ExceptionContext) -> None:
    """PostgreSQL quotes the row that a constraint refused, with everything in it. Keeps the error's first sentence."""
    error, wrapped = context.original_exception, context.sqlalchemy_exception
    sentence = getattr(getattr(error, "diag", None), "message_primary", None)
    if sentence:
        if wrapped is not None:
            wrapped.args = tuple(str(text).replace(str(error), sentence) for text in wrapped.args)
        error.args = (sentence,)


def _note_rest(connection: Any, record: Any) -> None:
    record.info["rests_since"] = monotonic()


def _check_rested(dialect: Dialect, connection: Any, record: Any, fairy: Any) -> None:
    """A connection that was closed while nobody used it is replaced. One that was used just now is taken to be open:
    to ask each time would be as much work again as many a statement. Where it is not, the request is tried again."""
    if monotonic() - record.info.get("rests_since", monotonic()) > LONG_REST:
        try:
            dialect.do_ping(connection)
        except dialect.loaded_dbapi.Error as error:
            raise DisconnectionError from error


def _set_up_sqlite(connection: Any, record: Any) -> None:
    connection.isolation_level = None  # we begin transactions ourselves, in _begin_sqlite
    cursor = connection.cursor()
    for pragma in ("journal_mode = WAL", "synchronous = NORMAL", "foreign_keys = ON", "cache_size = -65536"):
        cursor.execute(f"PRAGMA {pragma}")
    cursor.close()


def _begin_sqlite(connection: Any) -> None:
    mode = connection.get_execution_options().get("sqlite_begin", "DEFERRED")
    cursor = connection.connection.cursor()
    cursor.execute(f"BEGIN {mode}")
    cursor.close()


def _note_start(connection: Any, cursor: Any, statement: str, parameters: Any, context: Any, many: bool) -> None:
    connection.info["statement_began"] = perf_counter()


def _note_end(connection: Any, cursor: Any, statement: str, parameters: Any, context: Any, many: bool) -> None:
    measure.count_sql(perf_counter() - connection.info["statement_began"], statement, parameters)
