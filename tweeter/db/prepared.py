"""Runs a SELECT of one row, needed by every page, without the overhead of SQLAlchemy and the driver.

Loading the current user takes 245 µs by Connection.execute, 95 µs by the driver's cursor, and 52 µs by protocol
messages, 33 µs of which are the server's.
"""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from itertools import count
from time import perf_counter
from typing import Any, NamedTuple

import psycopg
from psycopg.generators import execute
from psycopg.pq import ExecStatus, Format
from psycopg.pq.abc import PGresult
from sqlalchemy import DateTime, Engine, Integer, LargeBinary, Select, String
from sqlalchemy.dialects import postgresql
from sqlalchemy.exc import DBAPIError
from sqlalchemy.types import TypeDecorator, TypeEngine

from tweeter import measure


class Prepared:
    """A statement that is compiled once, and run by the driver on a connection of the engine's pool.

    The engine must be in autocommit. Its events do not see the statement; `measure` counts it.
    """

    def __init__(self, engine: Engine, statement: "Select[*tuple[Any, ...]]") -> None:
        self._engine = engine
        self._run = _OverProtocol(statement) if engine.dialect.driver == "psycopg" else _ByCursor(engine, statement)

    def one_or_none(self, **parameters: Any) -> list[Any] | None:
        """The values of the first row; None if there is none. Raises SQLAlchemy's errors."""
        engine, connection = self._engine, None
        try:
            connection = engine.raw_connection()
            began = perf_counter()
            row = self._run(connection, parameters)
            measure.count_sql(perf_counter() - began, self._run.sql, parameters)
            return row
        except engine.dialect.loaded_dbapi.Error as error:
            lost = False
            if connection is not None:
                lost = engine.dialect.is_disconnect(error, connection.dbapi_connection, None)
                connection.invalidate(error)  # even if it is not lost: its plan may belong to an older schema
            raise DBAPIError.instance(
                self._run.sql if connection else None, parameters, error, engine.dialect.loaded_dbapi.Error,
                hide_parameters=True, connection_invalidated=lost, dialect=engine.dialect,
            ) from error  # fmt: skip
        finally:
            if connection is not None:
                connection.close()

    def on(self, connection: Any, timeout: float | None = None, **parameters: Any) -> list[Any] | None:
        """Like `one_or_none`, on a connection that was checked out of the pool.

        Raises the driver's errors: also if psycopg has no answer within `timeout` seconds. The connection is then void.
        """
        began = perf_counter()
        row = self._run(connection, parameters, timeout)
        measure.count_sql(perf_counter() - began, self._run.sql, parameters)
        return row


class _ByCursor:
    """Runs the statement with a cursor of the driver."""

    def __init__(self, engine: Engine, statement: "Select[*tuple[Any, ...]]") -> None:
        dialect = engine.dialect
        compiled: Any = statement.compile(dialect=dialect)
        self.sql = str(compiled)
        self._order = compiled.positiontup
        self._constants = _constants(compiled)
        binds = {name: bind.type.dialect_impl(dialect).bind_processor(dialect) for name, bind in compiled.binds.items()}
        self._binds = {name: process for name, process in binds.items() if process}
        types = [column.type.dialect_impl(dialect) for column in statement.selected_columns]
        results = [type_.result_processor(dialect, None) for type_ in types]
        self._results = [(place, process) for place, process in enumerate(results) if process]

    def __call__(self, connection: Any, parameters: dict[str, Any], timeout: float | None = None) -> list[Any] | None:
        given = self._constants | parameters
        given |= {name: process(given[name]) for name, process in self._binds.items()}
        cursor = connection.cursor()
        cursor.execute(self.sql, [given[name] for name in self._order] if self._order else given)
        row = cursor.fetchone()
        if row is None:
            return None
        values = list(row)
        for place, process in self._results:
            values[place] = process(values[place])
        return values


class _OverProtocol:
    """Runs the statement with psycopg's libpq, in binary: parse once per connection, then bind and execute."""

    _numbers = count()

    def __init__(self, statement: "Select[*tuple[Any, ...]]") -> None:
        compiled: Any = statement.compile(dialect=postgresql.dialect(paramstyle="numeric_dollar"))
        self.sql = str(compiled)
        self._name = f"tweeter_{next(self._numbers)}".encode()
        self._order = compiled.positiontup
        self._constants = _constants(compiled)
        self._codecs = [_codec(compiled.binds[name].type) for name in self._order]
        self._results = [_codec(column.type).load for column in statement.selected_columns]

    def __call__(self, connection: Any, parameters: dict[str, Any], timeout: float | None = None) -> list[Any] | None:
        driver: psycopg.Connection[Any] = connection.driver_connection
        protocol = driver.pgconn
        if self._name not in connection.info:
            if protocol.parameter_status(b"client_encoding") != b"UTF8":
                driver.execute("SET client_encoding TO 'UTF8'")
            protocol.send_prepare(self._name, self.sql.encode(), [codec.oid for codec in self._codecs])
            _checked(driver, ExecStatus.COMMAND_OK, timeout)
            connection.info[self._name] = True
        values = self._constants | parameters
        given = [codec.dump(values[name]) for codec, name in zip(self._codecs, self._order, strict=True)]
        protocol.send_query_prepared(self._name, given, [Format.BINARY] * len(given), Format.BINARY)
        result = _checked(driver, ExecStatus.TUPLES_OK, timeout)
        if not result.ntuples:
            return None
        row = [result.get_value(0, place) for place in range(result.nfields)]
        return [None if value is None else load(value) for load, value in zip(self._results, row, strict=True)]


def _constants(compiled: Any) -> dict[str, Any]:
    """The parameters whose values are a part of the statement."""
    return {name: bind.value for name, bind in compiled.binds.items() if not bind.required}


def _checked(driver: "psycopg.Connection[Any]", expected: ExecStatus, timeout: float | None) -> PGresult:
    """The result of the message sent. Raises psycopg's errors. Waits as the connection does for any statement."""
    [result] = driver.wait(execute(driver.pgconn), timeout=timeout)
    if result.status != expected:
        raise psycopg.errors.error_from_result(result)
    return result


class _Codec(NamedTuple):
    """PostgreSQL's binary format of a type."""

    oid: int
    dump: Callable[[Any], bytes]
    load: Callable[[bytes], Any]


_EPOCH = datetime(2000, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)


def _number(data: bytes) -> int:
    return int.from_bytes(data, signed=True)


_CODECS: dict[type[TypeEngine[Any]], _Codec] = {
    Integer: _Codec(20, lambda value: value.to_bytes(8, signed=True), _number),
    String: _Codec(25, str.encode, bytes.decode),
    LargeBinary: _Codec(17, bytes, bytes),
    DateTime: _Codec(
        1184,
        lambda value: ((value - _EPOCH) // _MICROSECOND).to_bytes(8, signed=True),
        lambda data: _EPOCH + timedelta(microseconds=_number(data)),
    ),
}


def _codec(type_: TypeEngine[Any]) -> _Codec:
    """The codec of a type. Raises TypeError for types without one."""
    plain = type_.impl if isinstance(type_, TypeDecorator) else type_
    for known, codec in _CODECS.items():
        if isinstance(plain, known):
            return codec
    raise TypeError(f"no codec for {type_!r}")
