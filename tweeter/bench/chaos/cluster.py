"""A whole cluster of private servers: two site processes, a relay, workers, and all that they need."""

from collections.abc import Mapping
from typing import Any, Protocol

from sqlalchemy.engine import make_url

from tweeter.bench.chaos.visitor import PRIMARY
from tweeter.bench.scratch import Scratch
from tweeter.bench.web import server_settings
from tweeter.bulk.rows import bulk_rows
from tweeter.devtools.servers import PostgreSQLReplica, RabbitMQ, Redis, Server
from tweeter.devtools.servers.processes import RelayProcess, SiteProcess, write_ini
from tweeter.devtools.servers.workers import CeleryWorker

BROKERS: dict[str, type[Redis | RabbitMQ]] = {"redis": Redis, "rabbitmq": RabbitMQ}
SITES = ("site 1", "site 2")
PEOPLE = 8
FANS = {0: 600, 1: 510}  # so many more followers of the person with this number: two chunks, and one
CHUNK = 550
PASSWORD = "for a benchmark"  # noqa: S105
# Acknowledged commits survive a kill, and a replica that was killed finds what it missed.
DURABLE = {"fsync": "on", "full_page_writes": "on", "synchronous_commit": "on", "wal_keep_size": "1GB"}
CHEAP = {"tweeter.argon2.time_cost": 1, "tweeter.argon2.memory_kib": 8}
SETTINGS = CHEAP | {
    "tweeter.celery.chunk": CHUNK,
    "tweeter.celery.patience": 2,
    "tweeter.delivery": "celery",
    "tweeter.metrics": "127.0.0.1",
    "tweeter.secure_cookies": False,
}


class Part(Protocol):
    """What can be killed and started. `wait` waits until what was spawned responds."""

    def kill(self) -> None: ...

    def spawn(self) -> None: ...

    def wait(self) -> None: ...


class Cluster:
    """Starts everything. `people` and `fans` are {id: name} and {id: followees}."""

    def __init__(self, scratch: Scratch, ini: str, broker: str) -> None:
        scratch.postgresql_options |= DURABLE
        settings = scratch.settings("redis", **SETTINGS)
        self.store = next(server for server in scratch.servers if isinstance(server, Redis))
        self.primary = scratch.primary
        self.broker = scratch.start(BROKERS[broker]())
        settings["tweeter.celery.broker"] = self.broker.url
        self.people, self.fans = _fill(scratch, settings)
        self.replica = scratch.start(PostgreSQLReplica(self.primary))
        settings["sqlalchemy.replica_urls"] = self.replica.url(str(make_url(scratch.database).database))
        self.settings: Mapping[str, Any] = settings
        self.ini = scratch.folder / "site.ini"
        write_ini(self.ini, settings, server_settings(ini))
        self.relay = RelayProcess(self.ini)
        self.sites = {part: SiteProcess(self.ini) for part in SITES}
        for process in (self.relay, *self.sites.values()):
            scratch.callback(process.close)
            scratch.callback(process.kill)  # before that: it is the quicker end
        self.workers = [self._worker(scratch, number) for number in (1, 2)]
        parts: list[Part] = [self.relay, *self.sites.values(), *self.workers]
        for part in parts:
            part.spawn()
        for part in parts:
            part.wait()

    def _worker(self, scratch: Scratch, number: int) -> CeleryWorker:
        folder = scratch.folder / f"worker{number}"
        folder.mkdir()
        worker = CeleryWorker(self.settings, folder, 1)
        scratch.callback(worker.kill)
        return worker

    def logs(self) -> dict[str, str]:
        """The logs of its parts, by their names."""
        servers: dict[str, Server] = {
            "store": self.store, "broker": self.broker, PRIMARY: self.primary, "replica": self.replica,
            "relay": self.relay, **self.sites,
        }  # fmt: skip
        found = {name: server.log for name, server in servers.items()}
        return found | {f"worker {number}": worker.log for number, worker in enumerate(self.workers, 1)}


def _fill(scratch: Scratch, settings: Mapping[str, Any]) -> tuple[dict[int, str], dict[int, set[int]]]:
    with scratch.machinery("sql", **CHEAP) as registry:
        password = registry["passwords"].hash(PASSWORD)
        with bulk_rows(registry.database.engine, scratch.progress) as rows:
            people = rows.people(PEOPLE, "person", password)
            audience = rows.people(max(FANS.values()), "fan")
            fans = {fan: {people[n] for n, size in FANS.items() if fan - audience[0] < size} for fan in audience}
            pairs = [(fan, star) for fan, stars in fans.items() for star in stars]
            # The last person only reads.
            pairs += [(people[-1], other) for other in people[:-1]]
            rows.follows(pairs, len(pairs))
    return {id_: f"person{number}" for number, id_ in enumerate(people, 1)}, fans
