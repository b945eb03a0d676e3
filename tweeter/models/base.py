"""Shared by all tables: the names of constraints, and column types."""

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Annotated

from sqlalchemy import BigInteger, Boolean, DateTime, Dialect, Integer, MetaData
from sqlalchemy.engine.default import DefaultExecutionContext
from sqlalchemy.orm import DeclarativeBase, mapped_column
from sqlalchemy.types import TypeDecorator

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


# True if no counter contains the row, because an account is suspended: see `tweeter.services.recounting`. Otherwise
# NULL, which takes no room in PostgreSQL's rows; false would make a row of follows 8 bytes longer.
Uncounted = Annotated[bool | None, mapped_column(Boolean, sort_order=1)]


def now() -> datetime:
    """The current time in UTC, to the millisecond, the resolution of ids."""
    moment = datetime.now(UTC)
    return moment.replace(microsecond=moment.microsecond // 1000 * 1000)


def folded(column: str) -> Callable[[DefaultExecutionContext], str]:
    """The default of a column that contains another column folded."""
    return lambda context: fold(context.get_current_parameters()[column] or "")  # constraints reject a missing value


def in_models(name: str | None, kind: str, parents: object) -> bool:
    """Alembic's `include_name`: the models do not have the indexes of search, which migration 0020 creates by SQL."""
    return "_search" not in (name or "")
