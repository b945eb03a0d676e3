"""A scratch site to measure on: a private database and servers, removed at the end."""

import logging
import os
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, ExitStack, contextmanager
from functools import cached_property
from pathlib import Path
from typing import Any, Self, TypeVar

from pyramid.registry import Registry
from sqlalchemy import inspect
from sqlalchemy.engine import make_url

from tweeter.bench.given import clean_memcached, clean_redis, memcached_client, redis_client
from tweeter.bench.machinery import MEMCACHED, REDIS, engine_at, machinery
from tweeter.console.commands import CommandError
from tweeter.console.migrations import migrate, unmigrate
from tweeter.console.progress import Progress
from tweeter.db.sessions import make_sessions
from tweeter.devtools.servers import Memcached, NotInstalled, PostgreSQL, Redis, Server
from tweeter.devtools.servers.cluster import RedisCluster
from tweeter.models import Base
from tweeter.outbox.site import renew_site_id
from tweeter.plugins import dotted
from tweeter.settings import KNOWN, variable
from tweeter.timelines import BACKENDS
from tweeter.web.ratelimits import UNLIMITED

AnyServer = TypeVar("AnyServer", bound=Server)

DATABASES = ("postgresql", "sqlite")
SEVERAL_DATABASES = "This needs more than one database: give no --database, or `sqlite` or `postgresql`."
FOR_MEASURING = {
    "shared_buffers": "512MB", "work_mem": "64MB", "maintenance_work_mem": "256MB", "max_wal_size": "4GB",
    "jit": "off",
}  # fmt: skip
CLUSTER_TIMEOUT = 30_000  # ms: a busy master is not dead
MEMCACHED_MEGABYTES = 4096  # limit; it allocates memory on demand

# Settings that the scratch site sets itself; environment variables must not override them.
STORES = ("tweeter.redis.url", "tweeter.redis.prefix", "tweeter.memcached.servers", "tweeter.memcached.prefix")

# Settings that would distort measurements: the debug toolbar, reloading of templates.
DEBUGGING = ("pyramid.includes", "pyramid.reload_templates", "pyramid.debug_all", "pyramid.reload_all", "tweeter.lab")


class Scratch(ExitStack):
    """Databases and servers, created on first use and removed at the end of the `with` block.

    User-provided ones are used instead: servers under a separate prefix, a database only if it is empty. The site's own
    database and stores are never touched, whatever its ini file or the environment say.
    """

    def __init__(
        self,
        settings: Mapping[str, Any],
        progress: Progress,
        database: str | None = None,
        redis_url: str | None = None,
        memcached_servers: str | None = None,
    ) -> None:
        super().__init__()
        self.progress = progress
        self._site = dict(settings)
        self._database = database
        self._redis = redis_url
        self._memcached = memcached_servers
        self._databases = 0
        self.postgresql_options = dict(FOR_MEASURING)  # of a private server that is not started yet
        self.masters = 0  # of a private Redis Cluster; 0 for a single server
        self.servers: list[Server] = []  # private servers that run

    def __enter__(self) -> Self:
        self.folder = Path(tempfile.mkdtemp(prefix="tweeter-bench-"))
        self.callback(shutil.rmtree, self.folder, ignore_errors=True)
        self.prefix = f"{self.folder.name}:"
        self.enter_context(_without_variables())
        self.callback(logging.disable, logging.root.manager.disable)
        logging.disable(logging.INFO)  # migrations and cold starts of stores are expected here
        return self

    @cached_property
    def redis(self) -> str:
        """The URL of a Redis server, or of a cluster of so many `masters`, without replicas."""
        if self.masters:
            if self._redis:
                raise CommandError("--masters starts a private cluster: give no --redis.")
            cluster = RedisCluster(self.masters, replicas=False, timeout=CLUSTER_TIMEOUT)
            self.callback(cluster.close)
            cluster.start()
            return cluster.url
        if self._redis:
            with redis_client(self._redis):
                self.callback(clean_redis, self._redis, self.prefix)
            return self._redis
        return self.start(Redis()).url

    @cached_property
    def memcached(self) -> str:
        """The addresses of memcached servers, in the format of `tweeter.memcached.servers`."""
        if self._memcached:
            for server in self._memcached.replace(",", " ").split():
                with memcached_client(server):
                    self.callback(clean_memcached, server, self.prefix)
            return self._memcached
        return self.start(Memcached(MEMCACHED_MEGABYTES)).address

    @cached_property
    def database(self) -> str:
        """The URL of a migrated database."""
        return self.new_database()

    @property
    def given_database(self) -> bool:
        """Whether there can be only one database, because a URL was given."""
        return bool(self._database) and self._database not in DATABASES

    def new_database(self) -> str:
        """The URL of another migrated database. If a URL was given, there can be only one."""
        kind = self._database
        if kind and kind not in DATABASES:
            return self._given_database(kind)
        self._databases += 1
        if kind == "sqlite" or self._postgresql is None:
            url = f"sqlite:///{self.folder / f'{self._databases}.sqlite'}"
        else:
            name = f"bench_{self._databases}"
            self._postgresql.execute(f"CREATE DATABASE {name}")
            url = self._postgresql.url(name)
        migrate(url)
        return url

    @property
    def primary(self) -> PostgreSQL:
        """The private PostgreSQL. Raises NotInstalled."""
        if self._postgresql is None:
            raise NotInstalled("postgres", "postgresql")
        return self._postgresql

    @cached_property
    def _postgresql(self) -> PostgreSQL | None:
        try:
            return self.start(PostgreSQL(**self.postgresql_options))
        except NotInstalled:
            if self._database == "postgresql":
                raise
            self.progress.say("PostgreSQL is not installed (Debian's package postgresql): measuring on SQLite.")
            return None

    def _given_database(self, url: str) -> str:
        if self._databases:
            raise CommandError(SEVERAL_DATABASES)
        if make_url(url) == make_url(self._site["sqlalchemy.url"]):
            raise CommandError("--database must not be the site's own database.")
        with engine_at(url) as engine:
            if set(Base.metadata.tables) & set(inspect(engine).get_table_names()):
                raise CommandError("--database must be an empty database: this one has tables of a site.")
        self._databases += 1
        self.callback(unmigrate, url)
        migrate(url)
        return url

    @contextmanager
    def copy(self, url: str) -> Iterator[str]:
        """The URL of a copy of a database without open connections. The copy is removed after the block."""
        self._databases += 1
        parsed = make_url(url)
        if parsed.get_backend_name() == "sqlite":
            copied = f"sqlite:///{self.folder / f'{self._databases}.sqlite'}"
            shutil.copyfile(str(parsed.database), str(make_url(copied).database))
        elif self._postgresql and parsed.port == self._postgresql.port:
            name = f"bench_{self._databases}"
            self._postgresql.execute(f"CREATE DATABASE {name} TEMPLATE {parsed.database} STRATEGY file_copy")
            copied = self._postgresql.url(name)
        else:
            raise CommandError(SEVERAL_DATABASES)
        with engine_at(copied) as engine:
            renew_site_id(make_sessions(engine))  # both may share one store
        try:
            yield copied
        finally:
            self.drop(copied)

    def drop(self, url: str) -> None:
        """Removes a database that was created here."""
        parsed = make_url(url)
        if parsed.get_backend_name() == "sqlite":
            for end in ("", "-wal", "-shm"):
                Path(f"{parsed.database}{end}").unlink(missing_ok=True)
        elif self._postgresql:
            self._postgresql.execute(f"DROP DATABASE {parsed.database} WITH (FORCE)")

    def versions(self) -> dict[str, str]:
        """The versions of the servers that were used."""
        found = {}
        if "database" in self.__dict__ or self._databases:
            with engine_at(self.database) as engine, engine.connect() as connection:
                found[engine.dialect.name] = ".".join(map(str, connection.dialect.server_version_info or ()))
        if "redis" in self.__dict__:
            with redis_client(self.redis) as client:
                found["redis"] = client.info("server")["redis_version"]
        if "memcached" in self.__dict__:
            with memcached_client(self.memcached) as client:
                found["memcached"] = client.version().decode()
        return found

    def start(self, server: AnyServer) -> AnyServer:
        """Starts a private server, which is stopped and removed at the end."""
        self.callback(server.close)
        server.start()
        self.servers.append(server)
        return server

    def settings(self, backend: str, **more: Any) -> dict[str, Any]:
        """The ini file's settings for the scratch database and servers, with `more` added."""
        chosen = {key: value for key, value in self._site.items() if key not in DEBUGGING}
        chosen |= {
            "sqlalchemy.url": self.database,
            "tweeter.timelines": backend,
            "tweeter.timelines.shadow": "",
            "tweeter.delivery": "inline",
            "tweeter.production": False,
            "tweeter.allowed_hosts": "",
            **UNLIMITED,
            "tweeter.sql_timeout_ms": 0,
        }
        # A backend has a short and a dotted name; neither may lead to the site's store.
        module = dotted(BACKENDS, backend)
        if module == REDIS:
            chosen |= {"tweeter.redis.url": self.redis, "tweeter.redis.prefix": self.prefix}
        if module == MEMCACHED:
            chosen |= {"tweeter.memcached.servers": self.memcached, "tweeter.memcached.prefix": self.prefix}
        return chosen | more

    def machinery(self, backend: str, **more: Any) -> AbstractContextManager[Registry]:
        """The site of `settings` without its web application; see `machinery`."""
        return machinery(self.settings(backend, **more))


@contextmanager
def _without_variables() -> Iterator[None]:
    """Environment variables override settings. They were read with the ini file, and would lead back to the site."""
    names = [variable(key) for key in (*KNOWN, *STORES)]
    taken = {name: os.environ.pop(name) for name in (*names, *(f"{n}_FILE" for n in names)) if name in os.environ}
    try:
        yield
    finally:
        os.environ.update(taken)
