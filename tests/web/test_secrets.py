"""Password hashes and user texts never reach the log, whatever database error occurs."""

import logging
import traceback
from collections.abc import Iterator
from contextlib import closing
from typing import Any

import pytest
from sqlalchemy import event, insert, text
from sqlalchemy.engine import make_url
from sqlalchemy.exc import DBAPIError

from tests.conftest import engine_on, running, settings_of
from tests.support.people import Browser, Person
from tweeter.db.engines import make_engine
from tweeter.devtools.proxy import Proxy
from tweeter.models import LoginSession, Tweet, User

SECRET = "the secret of Eve"
HASH = "$argon2id$v=19$m=8,t=1,p=1$c2FsdHNhbHQ$aGFzaGhhc2g"


@pytest.fixture
def proxied_url(postgresql_url: str) -> Iterator[tuple[str, Proxy]]:
    """A PostgreSQL whose connections can be lost."""
    url = make_url(postgresql_url)
    with closing(Proxy(str(url.host), int(url.port or 5432))) as proxy:
        changed = url.set(host=proxy.host, port=proxy.port)
        yield changed.render_as_string(hide_password=False), proxy


def test_lost_connection_logs_no_form_content(proxied_url: tuple[str, Proxy], caplog: pytest.LogCaptureFixture) -> None:
    url, proxy = proxied_url
    caplog.set_level(logging.INFO)
    with running(settings_of(url)) as app:
        eve = Person(Browser(app), "eve")
        stranger = Person(Browser(app))
        token, other_token = eve.token(), stranger.token("/signup")

        def cut(connection: Any, cursor: Any, statement: str, *rest: Any) -> None:
            if statement.startswith("INSERT INTO"):
                proxy.become("cut")

        event.listen(app.registry.database.engine, "before_cursor_execute", cut)
        event.listen(app.registry.database.engine, "handle_error", lambda context: proxy.become("pass"))
        page = eve.browser.post("/tweets", {"csrf_token": token, "message": SECRET}, status=503)
        assert SECRET in page.text  # for the author to copy
        fields = {"csrf_token": other_token, "username": "eva", "display_name": SECRET, "password": "eve's password"}
        stranger.browser.post("/signup", fields, status=503)
    assert "INSERT INTO tweets" in caplog.text
    assert "INSERT INTO users" in caplog.text
    for secret in (SECRET, "$argon2", "eve's password"):
        assert secret not in caplog.text


WRONG = {
    "taken": insert(User).values(username="Eve", username_key="eve", display_name=SECRET, password_hash=HASH),
    "below 0": insert(User).values(
        username="x", username_key="x", display_name=SECRET, password_hash=HASH, tweets_count=-1
    ),
    "missing": insert(User).values(username="y", username_key="y", display_name=SECRET, bio=None, password_hash=HASH),
    "too long": insert(User).values(username="z", username_key="z" * 300, display_name=SECRET, password_hash=HASH),
    "nobody's": insert(Tweet).values(id=1, user_id=99, message=SECRET),
    "no session": insert(LoginSession).values(token_hash=SECRET.encode(), user_id=99, auth_version=0, expires=None),
}


@pytest.mark.parametrize("wrong", WRONG)
def test_constraint_violation_logs_no_form_content(database_url: str, wrong: str) -> None:
    with engine_on(database_url) as engine, engine.begin() as connection:
        connection.execute(insert(User).values(username="eve", username_key="eve", display_name="Eve"))
    with engine_on(database_url) as engine, engine.connect() as connection:
        if (wrong, engine.dialect.name) == ("too long", "sqlite"):  # which does not limit texts
            return
        with pytest.raises(DBAPIError) as caught:
            connection.execute(WRONG[wrong])
    assert "INSERT INTO" in str(caught.value)
    assert str(caught.value.orig)
    shown = "".join(traceback.format_exception(caught.value)) + repr(caught.value) + repr(caught.value.orig)
    for secret in (SECRET, "argon2", "c2FsdHNhbHQ", "(eve)", "zzz"):
        assert secret not in shown


def test_every_engine_hides_its_parameters(database_url: str, caplog: pytest.LogCaptureFixture) -> None:
    for engine in (make_engine(database_url), make_engine(database_url, isolation_level="AUTOCOMMIT")):
        caplog.set_level(logging.INFO, "sqlalchemy.engine")
        with engine.connect() as connection:
            connection.execute(text("SELECT :secret"), {"secret": SECRET})
        engine.dispose()
    assert "SELECT" in caplog.text
    assert SECRET not in caplog.text
