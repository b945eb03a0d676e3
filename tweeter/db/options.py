"""The engines of a site, from its settings: `sqlalchemy.url` and every other option of SQLAlchemy's create_engine.

sqlalchemy.url = postgresql+psycopg://tweeter@localhost/tweeter
sqlalchemy.pool_size = 8
sqlalchemy.connect_args = {"application_name": "tweeter"}
"""

import json
from collections.abc import Mapping
from typing import Any

from pyramid.util import DottedNameResolver
from sqlalchemy import Engine
from sqlalchemy.engine import make_url
from sqlalchemy.exc import ArgumentError
from sqlalchemy.pool import NullPool, Pool

from tweeter.db import drivers
from tweeter.db.engines import make_engine
from tweeter.declarations import setting
from tweeter.errors import SettingError
from tweeter.masking import mask

PREFIX = "sqlalchemy."
URL_SETTING, REPLICA_URLS = "sqlalchemy.url", "sqlalchemy.replica_urls"
EXAMPLES = "Examples: sqlite:///tweeter.sqlite, postgresql+psycopg://user:password@host/database"
# Options that are not strings. These have environment variables, too: SQLALCHEMY_POOL_SIZE.
KINDS = {
    "connect_args": dict, "echo": bool, "echo_pool": bool, "execution_options": dict, "hide_parameters": bool,
    "insertmanyvalues_page_size": int, "label_length": int, "max_identifier_length": int, "max_overflow": int,
    "pool_pre_ping": bool, "pool_recycle": int, "pool_size": int, "pool_timeout": int, "pool_use_lifo": bool,
    "poolclass": type, "query_cache_size": int, "use_insertmanyvalues": bool,
}  # fmt: skip

POOLED = {"max_overflow", "pool_size", "pool_timeout", "pool_use_lifo"}  # options that are invalid without a pool


def engine_of(
    settings: Mapping[str, Any], door: drivers.Door | None = None, replica: str = "", **options: Any
) -> Engine:
    """The engine that the settings describe; `options` override them, and `door` is that of `make_engine`.

    `replica` is the URL of a replica, for its engine. Raises SettingError for an invalid URL or option.
    """
    named, address = (REPLICA_URLS, replica) if replica else (URL_SETTING, settings[URL_SETTING])
    options_given = settings.keys() - {URL_SETTING, REPLICA_URLS}
    names = {key.removeprefix(PREFIX) for key in options_given if key.startswith(PREFIX)}
    given = {name: _option(settings, name) for name in names | KINDS.keys()}
    given = {name: value for name, value in given.items() if value not in (None, "")} | options
    if options.get("poolclass") is NullPool:
        given = {name: value for name, value in given.items() if name not in POOLED}
    try:
        url = make_url(address)
        url.get_dialect().import_dbapi()
    except (ArgumentError, ImportError) as error:  # NoSuchModuleError is an ArgumentError
        raise SettingError(f"Invalid {named}: {mask(str(error))}. {EXAMPLES}") from error
    try:
        drivers.check_connect_args(url.get_driver_name(), given.get("connect_args", {}))
    except Exception as error:  # drivers raise errors of their own
        raise SettingError(f"Invalid sqlalchemy.connect_args: {error}") from error
    try:
        engine = make_engine(url, door, **given)
        level, dialect = str(given.get("isolation_level", "AUTOCOMMIT")), engine.dialect
        if level.upper().replace("_", " ") not in dialect.get_isolation_level_values(None):  # type: ignore[arg-type]
            raise ValueError(f"there is no isolation_level {level}")
        return engine
    except (ArgumentError, ImportError, TypeError, ValueError) as error:
        raise SettingError(f"Invalid option of sqlalchemy: {error}".splitlines()[0]) from error


def replica_engines(settings: Mapping[str, Any], patience: float) -> list[Engine]:
    """The engines of the replicas, in autocommit. Each has a door of its own: a statement may take `patience` seconds.

    Raises SettingError.
    """
    urls = settings[REPLICA_URLS].split()
    if urls and make_url(settings[URL_SETTING]).get_backend_name() != "postgresql":
        raise SettingError(f"{REPLICA_URLS} needs PostgreSQL as sqlalchemy.url: SQLite has no replicas")
    engines = []
    for url in urls:
        door = drivers.Door(patience)
        engine = engine_of(settings, door, url, isolation_level="AUTOCOMMIT", pool_reset_on_return=None)
        engines.append(engine)
        hosts = engine.url.query.get("host", "")
        if engine.dialect.name != "postgresql":
            raise SettingError(f"Invalid {REPLICA_URLS}: {mask(url)} is no database of PostgreSQL")
        if not isinstance(hosts, str) or "," in f"{engine.url.host}{hosts}":
            raise SettingError(f"Invalid {REPLICA_URLS}: {mask(url)} names several servers; each needs its own URL")
    if len(set(urls)) < len(urls):
        raise SettingError(f"Invalid {REPLICA_URLS}: it names a replica twice")
    return engines


def _option(settings: Mapping[str, Any], name: str) -> Any:
    """The value of an option, of the type that create_engine expects; empty if it is not set."""
    key, kind = PREFIX + name, KINDS.get(name, str)
    if not isinstance(settings.get(key, ""), str):
        return settings[key]  # set by a program, not by an ini file
    if kind in (int, bool):
        debug = name.startswith("echo") and settings.get(key) == "debug"
        return "debug" if debug else setting(settings, key, kind, "", least=-1)
    value = setting(settings, key, str, "")
    try:
        if value and kind is dict:
            return dict(json.loads(value))
        if value and kind is type:
            found = DottedNameResolver().resolve(value if "." in value else f"sqlalchemy.pool.{value}")
            if not issubclass(found, Pool):
                raise TypeError("no pool")
            return found
    except (ValueError, TypeError, ImportError) as error:
        expected = 'a JSON object such as {"name": "value"}' if kind is dict else "a pool class such as NullPool"
        raise SettingError(f"{key} must be {expected}, not {mask(value)!r}: {error}") from error
    return value
