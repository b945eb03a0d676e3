"""Prepared statements without SQLAlchemy's execution: the same values and errors."""

from datetime import UTC

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import bindparam, insert, select, text
from sqlalchemy.exc import OperationalError, ProgrammingError
from sqlalchemy.pool import QueuePool

from tweeter.db.engines import make_engine
from tweeter.db.prepared import Prepared
from tweeter.measure import measuring
from tweeter.models import Tweet, User
from tweeter.models.base import UTCDateTime

SAVED = (
    select(Tweet.id, Tweet.message, Tweet.date, Tweet.parent_id, User.username, User.tweets_count, User.last_write)
    .join(User)
    .where(Tweet.id == bindparam("id", type_=Tweet.id.type), Tweet.date <= bindparam("now", type_=UTCDateTime))
)

moments = st.datetimes(timezones=st.just(UTC))
texts = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=50)


@pytest.fixture
def engine(database_url):
    engine = make_engine(database_url, isolation_level="AUTOCOMMIT", pool_reset_on_return=None, poolclass=QueuePool)
    yield engine
    engine.dispose()


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(texts, moments, st.none() | st.integers(-(2**62), 2**62), st.integers(0, 2**31 - 1), st.integers(0, 2**62))
def test_values_equal_those_of_sqlalchemy(engine, message, date, parent_id, count, last_write):
    statement = Prepared(engine, SAVED)
    with engine.connect() as connection:
        connection.execute(text("DELETE FROM tweets"))
        connection.execute(text("DELETE FROM users"))
        connection.execute(
            insert(User).values(
                id=7, username="u", username_key="u", display_name="x", tweets_count=count, last_write=last_write
            )
        )
        values = {"id": 5, "user_id": 7, "message": message, "date": date, "parent_id": parent_id}
        connection.execute(insert(Tweet).values(values))
        for given_ in ({"id": 5, "now": date}, {"id": 6, "now": date}):
            row = connection.execute(SAVED, given_).one_or_none()
            with measuring() as meter:
                assert statement.one_or_none(**given_) == (list(row) if row else None)
            assert meter.sql == 1
            assert meter.sql_seconds > 0


def test_a_lost_connection_is_replaced(postgresql_url):
    engine = make_engine(postgresql_url, isolation_level="AUTOCOMMIT", pool_reset_on_return=None)
    statement = Prepared(engine, select(User.id).where(User.id == bindparam("id", type_=User.id.type)))
    assert statement.one_or_none(id=1) is None
    killer = make_engine(postgresql_url)
    with killer.begin() as connection:
        connection.execute(text("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid <> pg_backend_pid()"
                                " AND datname = current_database()"))  # fmt: skip
    with pytest.raises(OperationalError) as raised:
        statement.one_or_none(id=1)
    assert raised.value.connection_invalidated  # so the request is retried
    assert statement.one_or_none(id=1) is None
    killer.dispose()
    engine.dispose()


def test_changed_tables_raise_an_error_and_statements_recover(engine):
    statement = Prepared(engine, select(User.bio).where(User.id == bindparam("id", type_=User.id.type)))
    assert statement.one_or_none(id=1) is None
    with engine.connect() as connection:
        connection.execute(text("ALTER TABLE users RENAME COLUMN bio TO words"))
    with pytest.raises((OperationalError, ProgrammingError)):
        statement.one_or_none(id=1)
    with engine.connect() as connection:
        connection.execute(text("ALTER TABLE users RENAME COLUMN words TO bio"))
    assert statement.one_or_none(id=1) is None
    assert engine.pool.checkedout() == 0


def test_database_with_another_encoding(postgresql_url):
    engine = make_engine(
        postgresql_url, isolation_level="AUTOCOMMIT", pool_reset_on_return=None,
        connect_args={"client_encoding": "latin1"},
    )  # fmt: skip
    with engine.connect() as connection:
        values = {"id": 7, "username": "u", "username_key": "u", "display_name": "é", "password_hash": ""}
        connection.execute(insert(User).values(values))
    statement = Prepared(engine, select(User.display_name).where(User.id == bindparam("id", type_=User.id.type)))
    assert statement.one_or_none(id=7) == ["é"]
    engine.dispose()


def test_unreachable_server_raises_the_error_of_sqlalchemy():
    engine = make_engine("postgresql+psycopg://x@127.0.0.1:1/x", isolation_level="AUTOCOMMIT")
    statement = Prepared(engine, select(User.id).where(User.id == bindparam("id", type_=User.id.type)))
    with pytest.raises(OperationalError) as raised:
        statement.one_or_none(id=1)
    assert raised.value.statement is None  # as in SQLAlchemy's connection errors
