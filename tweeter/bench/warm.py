"""Warm timelines by the million: the site creates one, the others are copies under their own names.

They are created in shuffled order. In the order of the followers they would be adjacent in the server's memory, and a
delivery would be up to twice as fast as on a real site.
"""

import random
from collections.abc import Iterable, Sequence
from typing import Any

import redis
from pymemcache.client.base import Client
from redis.crc import key_slot
from sqlalchemy import Engine, insert, literal, select

from tweeter.batches import batched
from tweeter.console.commands import CommandError
from tweeter.models import StoredTimeline, TimelineEntry

AT_ONCE = 5_000

# Many keys of one server at once, which a cluster's COPY refuses. Keys: the content, milliseconds to live, names.
RESTORE = """
for place = 3, #ARGV do
  redis.call('RESTORE', ARGV[place], ARGV[2], ARGV[1], 'REPLACE')
end
"""


def shuffled(numbers: Sequence[int], seed: int) -> list[int]:
    return random.Random(seed).sample(numbers, len(numbers))  # noqa: S311 (no secret)


class RedisKey:
    """A snapshot of a Redis key, to restore and copy it. `stem` is its name without the trailing number."""

    def __init__(self, client: redis.Redis, name: bytes) -> None:
        self._client = client
        self.name = name
        self.stem = name.rstrip(b"0123456789")
        self._content: Any = client.dump(name)
        self._milliseconds = max(0, client.pttl(name))

    def copy(self, stem: bytes, numbers: Sequence[int], digits: int = 0) -> None:
        """Creates the key `stem` + number for each number, zero-padded to at least `digits`."""
        for part in batched(numbers, AT_ONCE):
            for server, names in _servers(self._client, [b"%b%0*d" % (stem, digits, number) for number in part]):
                server.eval(RESTORE, 0, self._content, self._milliseconds, *names)


def _servers(client: Any, names: list[bytes]) -> Iterable[tuple[redis.Redis, list[bytes]]]:
    """The servers of these keys: of a cluster, the masters."""
    if not isinstance(client, redis.RedisCluster):
        return [(client, names)]
    parts: dict[redis.Redis, list[bytes]] = {}
    for name in names:
        [master, *_] = client.nodes_manager.slots_cache[key_slot(name)]
        parts.setdefault(master.redis_connection, []).append(name)
    return parts.items()


class MemcachedValue:
    """A snapshot of a memcached value, to store it under other names."""

    def __init__(self, client: Client, name: bytes) -> None:
        self._client = client
        self.stem = name.rstrip(b"0123456789")
        self._data = client.get(name)

    def copy(self, numbers: Sequence[int]) -> None:
        """Sets `stem` + number for each number, without an expiry."""
        for part in batched(numbers, AT_ONCE):
            *names, last = (b"%b%d" % (self.stem, number) for number in part)
            self._client.set_many(dict.fromkeys(names, self._data), noreply=True)
            if not self._client.set(last, self._data, noreply=False):  # also waits until the others are stored
                raise CommandError("memcached does not store the timelines.")


def copy_rows(engine: Engine, kind: str, owner: int, owners: Sequence[int]) -> None:
    """Copies the timeline of one owner to the others, in the backend `table`."""
    with engine.begin() as connection:
        [original] = connection.execute(select(StoredTimeline).filter_by(kind=kind, owner=owner)).mappings()
        values = {name: value for name, value in original.items() if name not in ("id", "owner")}
        for part in batched(owners, AT_ONCE):
            connection.execute(insert(StoredTimeline), [values | {"owner": each} for each in part if each != owner])
        entries = select(StoredTimeline.id, TimelineEntry.tweet_id).join(TimelineEntry, literal(True))
        connection.execute(
            insert(TimelineEntry).from_select(
                ["timeline_id", "tweet_id"],
                entries.where(
                    TimelineEntry.timeline_id == original["id"], StoredTimeline.id != original["id"]
                ).order_by(StoredTimeline.id),
            )
        )
