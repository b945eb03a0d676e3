"""Faults of real Redis and memcached servers that a store must survive."""

import random
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager, suppress
from typing import NamedTuple

from pymemcache import Client as MemcachedClient
from pymemcache.exceptions import MemcacheServerError
from redis import Redis as RedisClient

from tests.support import damages
from tweeter.bench.given import memcached_names
from tweeter.devtools.proxy import Proxy
from tweeter.devtools.servers import Memcached, Redis, Server
from tweeter.testing import Fault

JUNK = b"x" * 1000
chance = random.Random(1)
KINDS = (
    "killed and started again",
    "killed",
    "stopped, and later it executes the pending commands",
    "bytes are swallowed",
    "connections are refused",
    "answers are cut off",
    "all connections are closed",
    "flushed",
    "keys are evicted",
    "out of memory",
    "memory is short, and what was used longest ago is evicted",
    "values are damaged",
)


class Breakable(NamedTuple):
    """Servers of one store, their settings, and a fault of each of the KINDS."""

    settings: dict[str, str]
    faults: list[Fault]


@contextmanager
def breakable(backend: str) -> Iterator[Breakable]:
    with ExitStack() as stack:
        if backend == "redis":
            redis = Redis()
            stack.enter_context(closing(redis)).start()
            proxy = stack.enter_context(closing(Proxy(redis.host, redis.port)))
            yield Breakable({"tweeter.redis.url": f"redis://{proxy.address}"}, of_redis(redis, proxy))
        else:
            servers = [Memcached(), Evicting(), Refusing()]
            for server in servers:
                stack.enter_context(closing(server)).start()
            proxy = stack.enter_context(closing(Proxy(servers[0].host, servers[0].port)))
            addresses = [proxy.address, *(server.address for server in servers[1:])]
            yield Breakable({"tweeter.memcached.servers": " ".join(addresses)}, of_memcached(servers, proxy))


def of_any_server(server: Server, proxy: Proxy) -> list[Fault]:
    """Faults of any server behind a proxy."""

    def restart():
        server.kill()
        server.start()

    return [
        Fault("killed and started again", restart),
        Fault("killed", server.kill, server.start),
        Fault("stopped, and later it executes the pending commands", server.pause, server.resume),
        Fault("bytes are swallowed", lambda: proxy.become("swallow"), lambda: proxy.become("pass")),
        Fault("connections are refused", lambda: proxy.become("refuse"), lambda: proxy.become("pass")),
        Fault("answers are cut off", lambda: proxy.become("cut"), lambda: proxy.become("pass")),
        Fault("all connections are closed", lambda: (proxy.become("refuse"), proxy.become("pass"))),
    ]


def of_redis(server: Redis, proxy: Proxy) -> list[Fault]:
    client = RedisClient(server.host, server.port)

    def evict_some():
        for _ in range(3):
            if (key := client.randomkey()) is not None:
                client.delete(key)

    def limit(policy: str, memory: int) -> None:
        client.config_set("maxmemory-policy", policy)
        client.config_set("maxmemory", memory)

    return [
        *of_any_server(server, proxy),
        Fault("flushed", client.flushall),
        Fault("keys are evicted", evict_some),
        Fault("out of memory", lambda: limit("noeviction", 1), lambda: limit("noeviction", 0)),
        Fault(
            "memory is short, and what was used longest ago is evicted",
            lambda: limit("allkeys-lru", client.info("memory")["used_memory"] - 1000),
            lambda: limit("noeviction", 0),
        ),
        Fault("values are damaged", lambda: damage_redis(client), harmless=True),
    ]


def damage_redis(client: RedisClient) -> None:
    """Damages half of the values, each at random."""
    for name in [name for name in client.scan_iter() if chance.random() < 0.5]:
        chance.choice(damages.REDIS_TWEETS if b":tw:" in name else damages.REDIS_TIMELINES)(client, name)


class Evicting(Memcached):
    """It has so little memory that some junk evicts all other values."""

    def command(self):
        return [*super().command()[:-1], "4", "-f", "4"]


class Refusing(Evicting):
    """It rejects writes when full, instead of evicting."""

    def command(self):
        return [*super().command(), "-M"]


def of_memcached(servers: list[Memcached], proxy: Proxy) -> list[Fault]:
    """`servers` are a plain one behind the proxy, an Evicting and a Refusing one."""
    plain, evicting, refusing = servers

    def flush() -> None:
        for server in servers:
            with _client(server) as client:
                client.flush_all()

    def evict_some() -> None:
        for server in servers:
            with _client(server) as client:
                client.delete_many(_names(client)[::3])

    def fill(server: Memcached) -> None:
        """A memory page or more of each size class of tweets, timelines and epochs."""
        with _client(server) as client:
            for size in (1000, 200, 1):
                with suppress(MemcacheServerError):
                    for number in range(22):
                        client.set_many({f"junk{size}-{number}-{n}": JUNK[:size] for n in range(500)})

    def clean() -> None:
        refusing.kill()
        refusing.start()

    return [
        *of_any_server(plain, proxy),
        Fault("flushed", flush),
        Fault("keys are evicted", evict_some),
        Fault("out of memory", lambda: fill(refusing), clean),
        Fault("memory is short, and what was used longest ago is evicted", lambda: fill(evicting)),
        Fault("values are damaged", lambda: damage_memcached(plain), harmless=True),
    ]


def damage_memcached(server: Memcached) -> None:
    """Damages half of the values, except the copy of the run id: without it and the epoch a server is new."""
    with _client(server) as client:
        for name in [name for name in _names(client) if chance.random() < 0.5 and not name.endswith(b":run")]:
            every = damages.MEMCACHED_TWEETS if b":tw:" in name else damages.MEMCACHED_TIMELINES
            every = damages.MEMCACHED_EPOCHS if name.endswith(b":epoch") else every
            damage, flags = chance.choice(every)
            client.set(name, damage(client.get(name) or damages.NO_VALUE), flags=flags)


def _names(client: MemcachedClient) -> list[bytes]:
    return memcached_names(client, "")


def _client(server: Memcached) -> closing[MemcachedClient]:
    return closing(MemcachedClient((server.host, server.port), default_noreply=False, timeout=5))
