"""Statements about a thousand listeners at once: their ids are one parameter.

With a parameter for each id, SQLAlchemy and the driver would take 30 ms of CPU time for every event.
"""

import json
from collections.abc import Callable, Collection, Sequence
from typing import Any

from sqlalchemy import ARRAY, BigInteger, ColumnElement, String, any_, bindparam, func, select
from sqlalchemy.orm import Session

In = Callable[[Any, str], ColumnElement[bool]]


class Among:
    """A statement for both databases. `make` gets a function: `within(column, "ids")` is the condition."""

    def __init__(self, make: Callable[[In], Any]) -> None:
        self._statements = {"postgresql": make(_in_array), "sqlite": make(_in_json)}

    def rows(self, session: Session, **ids: Collection[int]) -> Sequence[Any]:
        """The rows for these ids."""
        dialect = session.get_bind().dialect.name
        values = {name: list(some) if dialect == "postgresql" else json.dumps(list(some)) for name, some in ids.items()}
        return session.execute(self._statements[dialect], values).all()


def _in_array(column: Any, name: str) -> ColumnElement[bool]:
    condition: ColumnElement[bool] = column == any_(bindparam(name, type_=ARRAY(BigInteger)))
    return condition


def _in_json(column: Any, name: str) -> ColumnElement[bool]:
    values = func.json_each(bindparam(name, type_=String)).table_valued("value")
    condition: ColumnElement[bool] = column.in_(select(values.c.value))
    return condition
