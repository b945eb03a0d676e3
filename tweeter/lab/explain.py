"""SQL statements and their plans, formatted for people."""

import re
from typing import Any, NamedTuple

from markupsafe import Markup, escape
from sqlalchemy import Engine
from sqlalchemy.exc import SQLAlchemyError

from tweeter import measure
from tweeter.measure import Statement

SHOWN = 5  # values shown of a list
LONGEST = 200  # characters of a parameter
MANY = 1_000  # rows of all loops together

# The plan is escaped.
_COSTLY = re.compile(
    r"\bSCAN (?!CONSTANT)[^\n]+|USE TEMP B-TREE[^\n]*"  # SQLite
    r"|(?:Parallel )?Seq Scan on \w+|\bSort\b(?! (?:Key|Method))|Rows Removed by [\w ]+: \d+"
    r"|rows=(?P<rows>[\d.]+) loops=(?P<loops>\d+)"
)
_LIST = re.compile(r"\bIN \(([^()]+)\)")
_CLAUSE = re.compile(r"\s+(?=(?:FROM|LEFT OUTER JOIN|(?<!OUTER )JOIN|WHERE|ORDER BY|LIMIT|UNION ALL)\b)")


class Explained(NamedTuple):
    """A statement and its plan as text; in the plan, scans, sorts and large numbers of rows are marked."""

    text: str
    parameters: str
    plan: Markup


def explained(engine: Engine, statement: Statement) -> Explained:
    return Explained(_statement_text(statement), _parameters_text(statement), marked(_plan(engine, statement)))


def marked(plan: str) -> Markup:
    """The plan with `<mark>` around what costs."""

    def mark(match: re.Match[str]) -> str:
        rows = match["rows"]
        cheap = rows is not None and float(rows) * int(match["loops"]) < MANY
        return str(match.group() if cheap else Markup("<mark>{}</mark>").format(Markup(match.group())))  # noqa: S704

    return Markup(_COSTLY.sub(mark, str(escape(plan))))  # noqa: S704 (escaped)


def _statement_text(statement: Statement) -> str:
    """The statement, one clause per line, long lists of values shortened."""
    lines, depth = [], 0
    for line in _CLAUSE.split(_LIST.sub(_shortened, " ".join(statement.sql.split()))):
        lines.append("   " * depth + line)
        depth += line.count("(") - line.count(")")
    return "\n".join(lines)


def _parameters_text(statement: Statement) -> str:
    """The parameters in the driver's order, with names if it uses any."""
    parameters = statement.parameters
    if isinstance(parameters, dict):
        values = [f"{name} = {_value(value)}" for name, value in parameters.items()]
    else:
        values = [_value(value) for value in parameters]
    return _some(values) or "none"


def _plan(engine: Engine, statement: Statement) -> str:
    """The plan of the statement. PostgreSQL executes it again (EXPLAIN ANALYZE) for row counts and times."""
    if not statement.sql.lstrip().upper().startswith("SELECT"):
        return ""
    sqlite = engine.dialect.name == "sqlite"
    prefix = "EXPLAIN QUERY PLAN " if sqlite else "EXPLAIN (ANALYZE, COSTS OFF, SUMMARY OFF) "
    try:
        with measure.measuring(), engine.connect() as connection:
            rows = connection.exec_driver_sql(prefix + statement.sql, statement.parameters).all()
    except SQLAlchemyError as error:
        return f"The database returned no plan: {error}".splitlines()[0]
    return _sqlite_tree(rows) if sqlite else "\n".join(row[0] for row in rows)


def _sqlite_tree(rows: Any) -> str:
    """SQLite's plan is a tree: each row has its id and its parent's."""
    depth = {0: -1}
    lines = []
    for number, parent, _, detail in rows:
        depth[number] = depth.get(parent, -1) + 1
        lines.append("   " * depth[number] + detail)
    return "\n".join(lines)


def _shortened(match: re.Match[str]) -> str:
    values = match.group(1).split(",")
    if len(values) <= SHOWN or "SELECT" in match.group(1):
        return match.group()
    return f"IN ({values[0].strip()}, … {len(values) - 1:,} more)"


def _value(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= LONGEST else text[:LONGEST] + "…"


def _some(values: list[str]) -> str:
    most = 2 * SHOWN
    return ", ".join(values[:most]) + (f", … {len(values) - most:,} more" if len(values) > most else "")
