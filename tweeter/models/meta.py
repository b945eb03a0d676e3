"""Shared by all tables: names of constraints, types, the engine."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from functools import partial
from time import monotonic, perf_counter
from typing import Any

from sqlalchemy import (
    URL,
    BigInteger,
    DateTime,
    Dialect,
    Engine,
    Integer,
    MetaData,
    create_engine,
    event,
    literal,
    text,
)
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.engine import ExceptionContext, make_url
from sqlalchemy.engine.default import DefaultExecutionContext
from sqlalchemy.exc import DisconnectionError, OperationalError
from sqlalchemy.orm import DeclarativeBase, Session, sessionmaker
from sqlalchemy.pool import QueuePool
from sqlalchemy.types import TypeDecorator

from tweeter import measure
from tweeter.errors import TookTooLong
from tweeter.db import drivers
from tweeter.text import fold

# Alembic can only drop constraints that have names.
NAMING_CONVENTION = {
    "ix": "ix_%(table_name)s_%(column_0_N_name)s",
    "uq": "uq_%(table_name)s_%(column_0_N_name)s",
    "ck": "ck_%(table_name)s_%(constraint_name)s",
    "fk": "fk_%(table_name)s_%(column_0_N_name)s_%(referred_table_name)s",
    "pk": "pk_%(table_name)s",
}


class Base(DeclarativeBase):
    metadata = MetaData(naming_convention=NAMING_CONVENTION)


# In SQLite only an INTEGER primary key is the rowid.
BigId = BigInteger().with_variant(Integer, "sqlite")


class UTCDateTime(TypeDecorator[datetime]):
    """A timezone-aware datetime in UTC: `timestamptz` in PostgreSQL, a sortable text in SQLite."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        return None if value is None else value.astimezone(UTC)

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        if value is None:
            return None
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)


def now() -> datetime:
    """The current time in UTC, to the millisecond, the resolution of ids."""
    moment = datetime.now(UTC)
    return moment.replace(microsecond=moment.microsecond // 1000 * 1000)


def folded(column: str) -> Callable[[DefaultExecutionContext], str]:
    """The default of a column that contains another column folded."""
    return lambda context: fold(context.get_current_parameters()[column] or "")  # constraints reject a missing value


SessionFactory = Callable[[], Session]

LONG_REST = 1.0  # seconds
INSTRUCTIONS_BETWEEN_LOOKS = 10_000  # of SQLite's virtual machine, which runs some ten million per second
QUERY_CANCELED = "57014"  # PostgreSQL's code
POOL_TIMEOUT = 5  # seconds that a thread waits for a connection if the settings limit the pool
WRITING = {"sqlite_begin": "IMMEDIATE"}


def make_engine(url: str | URL, door: drivers.Door | None = None, **options: Any) -> Engine:
    """An engine that counts its statements and, on SQLite, loses no update.

    SQLite uses write-ahead logging, so readers and the writer do not wait for each other. A writing transaction must
    begin as a writer (`begin_immediate`): SQLite cannot upgrade a reader to a writer without breaking its snapshot,
    and refuses at once.

    With a door PostgreSQL cancels statements that take longer than its `patience`; if the server does not respond even
    then, the connection is closed (`drivers.SQLHangs`). `options` are those of SQLAlchemy's create_engine.
    """
    parsed = make_url(url)
    arguments: dict[str, Any] = {}
    if parsed.get_backend_name() == "sqlite":
        arguments = {"timeout": 30, "factory": drivers.SQLiteConnection}  # seconds a writer waits for another
    elif parsed.get_backend_name() == "postgresql":
        # A server that disappears without closing its connections is detected after seconds, not hours.
        arguments = {"connect_timeout": 5, "keepalives_idle": 30, "keepalives_interval": 5, "tcp_user_timeout": 15_000}
        # JIT compilation takes longer than any statement here takes to run.
        arguments["options"] = "-c jit=off"
        arguments["cursor_factory"] = drivers.PostgreSQLCursor
        if door:
            arguments["connect_timeout"] = 3
            arguments["options"] += f" -c statement_timeout={door.patience * 1000:.0f}"
    arguments = {name: value for name, value in arguments.items() if name not in parsed.query}
    options["connect_args"] = arguments | options.get("connect_args", {})
    dialect: Any = parsed.get_dialect()
    pooled = issubclass(options.get("poolclass") or dialect.get_pool_class(parsed), QueuePool)
    if pooled and not {"pool_size", "max_overflow"} & options.keys():
        options["pool_size"] = 0  # unlimited: no thread uses more than one connection at a time
    if pooled:
        # LIFO keeps connections busy, so that few of them rest long enough to need a check.
        options = {"pool_timeout": POOL_TIMEOUT, "pool_use_lifo": True} | options
    # Parameters contain messages and password hashes: errors and logs must not show them.
    engine = create_engine(parsed, **{"hide_parameters": True} | options)
    if engine.dialect.name == "sqlite":
        event.listen(engine, "connect", _set_up_sqlite)
        if options.get("isolation_level") != "AUTOCOMMIT":
            event.listen(engine, "begin", _begin_sqlite)
    else:
        event.listen(engine, "handle_error", _hide_row)
        event.listen(engine, "checkin", _note_rest)
        event.listen(engine, "checkout", partial(_check_rested, engine.dialect))
        if door and engine.dialect.driver == "psycopg":
            event.listen(engine, "do_connect", door.connect)
    event.listen(engine, "before_cursor_execute", _note_start)
    event.listen(engine, "after_cursor_execute", _note_end)
    return engine


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


def insert_new(session: Session, model: type[Base], **values: Any) -> bool:
    """Inserts a row unless it exists. Returns whether it was inserted; safe under concurrency."""
    insert = postgresql.insert if session.get_bind().dialect.name == "postgresql" else sqlite.insert
    statement = insert(model).values(**values).on_conflict_do_nothing()
    # RETURNING, because PostgreSQL's driver does not report the number of inserted rows.
    return session.execute(statement.returning(literal(1))).first() is not None


def _hide_row(context: ExceptionContext) -> None:
    """Keeps only an error's first sentence: PostgreSQL quotes the whole row that a constraint refused."""
    error, wrapped = context.original_exception, context.sqlalchemy_exception
    sentence = getattr(getattr(error, "diag", None), "message_primary", None)
    if sentence:
        if wrapped is not None:
            wrapped.args = tuple(str(text).replace(str(error), sentence) for text in wrapped.args)
        error.args = (sentence,)


def _note_rest(connection: Any, record: Any) -> None:
    record.info["rests_since"] = monotonic()


def _check_rested(dialect: Dialect, connection: Any, record: Any, fairy: Any) -> None:
    """Replaces a connection that was closed while idle. A recently used one is assumed to be open: checking each time
    would cost as much as many a statement. If it is closed after all, the request is retried."""
    if monotonic() - record.info.get("rests_since", monotonic()) > LONG_REST:
        try:
            dialect.do_ping(connection)
        except dialect.loaded_dbapi.Error as error:
            raise DisconnectionError from error


def _set_up_sqlite(connection: Any, record: Any) -> None:
    connection.isolation_level = None  # _begin_sqlite begins the transactions
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
