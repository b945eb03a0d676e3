"""The database: engines, sessions, and `request.dbsession`, a session in the request's transaction."""

from typing import NamedTuple

import zope.sqlalchemy
from pyramid.config import Configurator
from pyramid.request import Request
from sqlalchemy import Engine, event
from sqlalchemy.orm import Session, sessionmaker
from transaction.interfaces import NoTransaction

from tweeter.db.clock import DatabaseClock
from tweeter.db.drivers import Door
from tweeter.db.options import engine_of, replica_engines
from tweeter.db.positions import Primary
from tweeter.db.reads import Reads
from tweeter.db.replicas import PATIENCE, Replica, Watch
from tweeter.db.sessions import SessionFactory, make_sessions


class Database(NamedTuple):
    """The engines and sessions of a site, as `registry.database`."""

    engine: Engine
    statements: Engine  # in autocommit, which takes half the time for a single statement
    sessions: sessionmaker[Session]  # for short transactions, each with a fresh snapshot
    writing_sessions: sessionmaker[Session]  # begin as writers
    read_sessions: sessionmaker[Session]  # on `statements`: every statement has a snapshot of its own
    clock: DatabaseClock
    # What requests read. With replicas these choose the server, else they are those of the primary.
    page_sessions: SessionFactory  # every statement has a snapshot of its own
    page_transactions: SessionFactory
    fill_sessions: SessionFactory  # contain everything that was committed before they were made
    watch: Watch | None  # of the replicas; None without any

    def engines(self) -> list[Engine]:
        """All engines, for a forked process to abandon their connections."""
        replicas = self.watch.replicas if self.watch else ()
        return [self.statements, self.engine, *(replica.engine for replica in replicas)]


_SAFE_METHODS = frozenset(("GET", "HEAD", "OPTIONS"))


def request_session(request: Request) -> Session:
    """A session in the request's transaction. Requests that may change something begin as writers.

    pyramid_tm begins no transaction for read-only requests, because pages use `read_session`. A read-only request that
    uses this session begins a transaction here, which is rolled back at the end of the request.
    """
    if request.method in _SAFE_METHODS:
        try:
            request.tm.get()
        except NoTransaction:
            request.tm.begin()
            request.add_finished_callback(lambda request: request.tm.abort())
        session: Session = request.registry.database.sessions()
        zope.sqlalchemy.register(session, transaction_manager=request.tm)
    else:
        session = request.registry.database.writing_sessions()
        # "changed", because zope.sqlalchemy would roll back changes that it cannot see (Core statements).
        zope.sqlalchemy.register(session, transaction_manager=request.tm, initial_state="changed")
    return session


def read_session(request: Request) -> Session:
    """A session for pages, for use in a `with` block: every statement has a snapshot of its own.

    It is on a replica if one has what this reader needs. It holds a connection from its first statement to the end of
    the block. So nothing else within the block may use a connection: neither `request.timelines` nor
    `request.identity`.
    """
    session: Session = request.registry.database.page_sessions()
    return session


def includeme(config: Configurator) -> None:
    """Adds `registry.database`, `request.dbsession` for actions and `request.read_session()` for pages."""
    settings = config.get_settings()
    settings["tm.manager_hook"] = "pyramid_tm.explicit_manager"
    settings["tm.activate_hook"] = lambda request: request.method not in _SAFE_METHODS
    config.include("pyramid_tm")
    config.include("pyramid_retry")
    limit = settings["tweeter.sql_timeout_ms"]
    door = Door(limit / 1000) if limit else None
    engine = engine_of(settings, door)
    statements = engine_of(settings, door, isolation_level="AUTOCOMMIT", pool_reset_on_return=None)
    event.listen(engine, "engine_disposed", lambda engine: statements.dispose())
    sessions, read_sessions = make_sessions(engine), make_sessions(statements)
    reads, watch = None, None
    if replicated := replica_engines(settings, PATIENCE):
        primary, lag = Primary(statements), settings["tweeter.replica_lag_ms"] / 1000
        watch = Watch(primary, [Replica(each, primary, lag) for each in replicated])
        reads = Reads(primary, watch.replicas, lag, read_sessions, sessions)
    config.registry.database = Database(
        engine,
        statements,
        sessions=sessions,
        writing_sessions=make_sessions(engine, writing=True),
        read_sessions=read_sessions,
        clock=DatabaseClock(statements),
        page_sessions=reads.page if reads else read_sessions,
        page_transactions=reads.transaction if reads else sessions,
        fill_sessions=reads.fill if reads else read_sessions,
        watch=watch,
    )
    config.add_request_method(request_session, "dbsession", reify=True)
    config.add_request_method(read_session)
