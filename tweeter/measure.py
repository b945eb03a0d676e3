"""Measures the cost of a request: SQL statements, round trips to the stores, and the backend that served it.

The counts belong to the current context (a request, a command), so they need not be passed through every call.
"""

import random
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from time import perf_counter
from typing import Any, NamedTuple


class Statement(NamedTuple):
    """A statement as passed to the database driver."""

    sql: str
    parameters: Any


@dataclass(slots=True)
class Meter:
    """The running costs of one request."""

    started: float = field(default_factory=perf_counter)
    sql: int = 0
    sql_seconds: float = 0.0
    timeline_sql: int = 0
    timeline_seconds: float = 0.0
    round_trips: int = 0
    store_seconds: float = 0.0
    bytes_sent: int = 0  # over the sockets of stores
    bytes_received: int = 0
    served_by: str = ""
    calls: bool = False  # the round trips are calls: the store is in the memory of this process
    request_id: str = field(default_factory=lambda: f"{random.getrandbits(64):016x}")  # no secret
    statements: list[Statement] | None = None  # recorded on request
    _in_timeline: int = 0

    @property
    def seconds(self) -> float:
        return perf_counter() - self.started


_current: ContextVar[Meter | None] = ContextVar("tweeter_meter", default=None)


def current() -> Meter | None:
    return _current.get()


@contextmanager
def measuring(keep_statements: bool = False) -> Iterator[Meter]:
    """Counts everything within the block on a new meter."""
    meter = Meter(statements=[] if keep_statements else None)
    token = _current.set(meter)
    try:
        yield meter
    finally:
        _current.reset(token)


@contextmanager
def timeline_read() -> Iterator[None]:
    """Counts the time and the SQL within the block as a timeline's.

    A request's other SQL is for users, sessions and the outbox.
    """
    meter = _current.get()
    if meter is None:
        yield
        return
    meter._in_timeline += 1
    began = perf_counter()
    try:
        yield
    finally:
        meter._in_timeline -= 1
        if not meter._in_timeline:
            meter.timeline_seconds += perf_counter() - began


def count_sql(seconds: float, sql: str = "", parameters: Any = ()) -> None:
    """Called by the engine after each statement."""
    if (meter := _current.get()) is not None:
        meter.sql += 1
        meter.sql_seconds += seconds
        if meter._in_timeline:
            meter.timeline_sql += 1
        if meter.statements is not None:
            meter.statements.append(Statement(sql, parameters))


@contextmanager
def round_trip() -> Iterator[None]:
    """Counts one exchange with a store; stores and caches wrap each exchange in it."""
    meter = _current.get()
    if meter is None:
        yield
        return
    began = perf_counter()
    try:
        yield
    finally:
        meter.round_trips += 1
        meter.store_seconds += perf_counter() - began


def count_bytes(sent: int = 0, received: int = 0) -> None:
    """Called by stores with the bytes sent and received over their sockets."""
    if (meter := _current.get()) is not None:
        meter.bytes_sent += sent
        meter.bytes_received += received


def served_by(backend: str, calls: bool = False) -> None:
    """Records the backend that served the page; `memory, from SQL` means a fallback."""
    if (meter := _current.get()) is not None:
        meter.served_by, meter.calls = backend, calls
