"""Other processes on the site's database. A private store (`memory`) says so: each process has timelines of its own.

On PostgreSQL the session of each relay holds an advisory lock that names its process; not behind a transaction pooler,
where clients share sessions. On SQLite each process of the site holds a lock on a file beside the database.
"""

import fcntl
import logging
import os
import socket
import zlib
from contextlib import suppress
from threading import Thread

from pyramid.registry import Registry
from sqlalchemy import Connection, Engine, text
from sqlalchemy.exc import SQLAlchemyError

from tweeter.interfaces import IMaterializedTimelines, ITimelines

log = logging.getLogger(__name__)

HELD = "other processes"  # the key of the file's descriptor in the registry
CLASS = 0x74776565  # of the advisory locks: "twee"
_JOIN = text("SELECT pg_advisory_lock_shared(:class, :process) WHERE pg_backend_pid() = :told")
_OTHERS = text(
    """
    SELECT count(DISTINCT objid) FROM pg_locks
    WHERE locktype = 'advisory' AND database = (SELECT oid FROM pg_database WHERE datname = current_database())
      AND objsubid = 2 AND classid = :class AND objid <> :process
    """
)


def join(connection: Connection) -> None:
    """Lets this session of PostgreSQL show that the process runs."""
    told = connection.connection.dbapi_connection.info.backend_pid  # type: ignore[union-attr]
    connection.execute(_JOIN, {"class": CLASS, "process": _process(), "told": told})


def look_around(registry: Registry) -> None:
    """Logs a warning, from a thread, if the site's store is private and there seem to be other processes."""
    Thread(target=_look, args=[registry], name="other processes", daemon=True).start()


def leave(registry: Registry) -> None:
    if (file := registry.pop(HELD, None)) is not None:
        os.close(file)


def _look(registry: Registry) -> None:
    reasons, delivery = [], registry.settings["tweeter.delivery"]
    with suppress(SQLAlchemyError, OSError):  # the site starts while the database is down, too
        if _others(registry, registry.database.statements):
            reasons.append("another process uses the database")
    if delivery != "inline":
        reasons.append(f"tweeter.delivery = {delivery} is for stores that processes share")
    timelines = registry.getUtility(ITimelines)
    if reasons and IMaterializedTimelines.providedBy(timelines) and timelines.store.private:
        log.warning(
            "tweeter.timelines = %s is meant for a single process, but %s. Each process keeps all timelines in its own "
            "memory and has rate limits of its own; with redis, memcached or table they share them.",
            timelines.name, ", and ".join(reasons),
        )  # fmt: skip


def _others(registry: Registry, engine: Engine) -> bool:
    if engine.dialect.name == "postgresql":
        with engine.connect() as connection:
            return bool(connection.execute(_OTHERS, {"class": CLASS, "process": _process()}).scalar_one())
    if engine.url.database in (None, "", ":memory:"):
        return False
    registry[HELD] = file = os.open(f"{engine.url.database}-site", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        alone = False
    else:
        alone = True
    fcntl.flock(file, fcntl.LOCK_SH)
    return not alone


def _process() -> int:
    """A number of this process, also after a fork and among hosts."""
    return zlib.crc32(f"{socket.gethostname()} {os.getpid()}".encode()) >> 1
