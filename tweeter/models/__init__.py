"""The tables, and `request.dbsession`, whose transaction ends with the request's."""

from collections.abc import Mapping
from typing import Any

import zope.sqlalchemy
from pyramid.config import Configurator
from pyramid.request import Request
from sqlalchemy import Engine, event
from sqlalchemy.exc import ArgumentError
from sqlalchemy.orm import Session, configure_mappers

from tweeter.errors import SettingError
from tweeter.models.consumer import Consumer
from tweeter.models.imported import Imported, Unlinked
from tweeter.models.meta import Base, make_engine, make_sessions, make_statement_engine
from tweeter.models.outbox import OutboxEvent
from tweeter.models.tweet import Mention, Tweet
from tweeter.models.user import Relationship, User

__all__ = ["Base", "Consumer", "Imported", "Mention", "OutboxEvent", "Relationship", "Tweet", "Unlinked", "User"]

configure_mappers()

_SAFE_METHODS = frozenset(("GET", "HEAD", "OPTIONS"))


def request_session(request: Request) -> Session:
    """A session that pyramid_tm commits or rolls back. Requests that may change something begin as writers."""
    if request.method in _SAFE_METHODS:
        session: Session = request.registry["sessions"]()
        zope.sqlalchemy.register(session, transaction_manager=request.tm)
    else:
        session = request.registry["writing_sessions"]()
        # "changed", because zope.sqlalchemy would roll back what it can't see changing (Core statements).
        zope.sqlalchemy.register(session, transaction_manager=request.tm, initial_state="changed")
    return session


def engine_of(settings: Mapping[str, Any]) -> Engine:
    """The engine of the settings. Raises SettingError for a URL that is none, or whose driver is not there."""
    try:
        return make_engine(settings["sqlalchemy.url"])
    except (ArgumentError, ImportError) as error:  # of which NoSuchModuleError is one
        raise SettingError(
            f"sqlalchemy.url is not right: {error}; it is such as sqlite:///tweeter.sqlite "
            "or postgresql+psycopg://user:password@host/database"
        ) from error


def includeme(config: Configurator) -> None:
    """Adds `request.dbsession`, and to the registry "engine", "sessions" (short) and "statements" (single ones)."""
    settings = config.get_settings()
    settings["tm.manager_hook"] = "pyramid_tm.explicit_manager"
    config.include("pyramid_tm")
    config.include("pyramid_retry")
    engine = engine_of(settings)
    config.registry["engine"] = engine
    statements = config.registry["statements"] = make_statement_engine(settings["sqlalchemy.url"])
    event.listen(engine, "engine_disposed", lambda engine: statements.dispose())
    config.registry["sessions"] = make_sessions(engine)
    config.registry["writing_sessions"] = make_sessions(engine, writing=True)
    config.add_request_method(request_session, "dbsession", reify=True)
