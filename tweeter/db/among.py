"""Finds rows by many ids, whose number differs from one execution to the next.

SQLAlchemy's IN writes one parameter for each id. So each number of ids is a statement of its own, which the driver
parses and PostgreSQL plans again. On PostgreSQL an array is one parameter: loading 20 tweets takes 1.6 ms instead of
3.8, and finding the reposts among 800 ids 3.8 ms instead of 14.9. SQLite plans IN better than it does json_each.
"""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import BigInteger, Boolean, ColumnElement, FromClause, any_, bindparam
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.sql.visitors import InternalTraversal


class Among(ColumnElement[bool]):
    """The condition that a column has one of the values of the parameter `name`, a list of integers."""

    inherit_cache = True
    type = Boolean()
    _traverse_internals = [("_in", InternalTraversal.dp_clauseelement), ("_any", InternalTraversal.dp_clauseelement)]  # noqa: RUF012

    def __init__(self, column: Any, name: str = "ids") -> None:
        self._in = column.in_(bindparam(name, expanding=True))
        self._any = column == any_(bindparam(name, type_=ARRAY(BigInteger)))

    @property
    def _from_objects(self) -> Sequence[FromClause]:  # type: ignore[override]
        return self._in._from_objects


@compiles(Among)
def _compile(element: Among, compiler: SQLCompiler, **options: Any) -> str:
    part = element._any if compiler.dialect.name == "postgresql" else element._in
    return compiler.process(part, **options)
