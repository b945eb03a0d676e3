"""Engines that count their statements, detect dead connections and, on SQLite, lose no update."""

from contextlib import closing
from functools import partial
from time import monotonic, perf_counter
from typing import Any

from sqlalchemy import URL, Dialect, Engine, create_engine, event
from sqlalchemy.engine import ExceptionContext, make_url
from sqlalchemy.exc import DisconnectionError
from sqlalchemy.pool import QueuePool

from tweeter import measure
from tweeter.db import drivers

LONG_REST = 1.0  # seconds
POOL_TIMEOUT = 5  # seconds that a thread waits for a connection if the settings limit the pool


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
    # Closed even if it fails. If another thread collected the cursor as garbage while this connection waits for the
    # writer's lock, it would wait for this connection; and it may be the writer.
    with closing(connection.connection.cursor()) as cursor:
        cursor.execute(f"BEGIN {mode}")


def _note_start(connection: Any, cursor: Any, statement: str, parameters: Any, context: Any, many: bool) -> None:
    connection.info["statement_began"] = perf_counter()


def _note_end(connection: Any, cursor: Any, statement: str, parameters: Any, context: Any, many: bool) -> None:
    measure.count_sql(perf_counter() - connection.info["statement_began"], statement, parameters)
