"""Warm timelines by the million: the site creates one, the others are copies under their own names.

They are created in shuffled order. In the order of the followers they would be adjacent in the server's memory, and a
delivery would be up to twice as fast as on a real site.
"""

import random
import socket
from collections.abc import Iterator, Sequence
from itertools import islice

import redis

from tweeter.bench.given import memcached_names
from tweeter.console.commands import CommandError

AT_ONCE = 5_000

COPY = """
for _, number in ipairs(ARGV) do
  local name = KEYS[2] .. number
  if name ~= KEYS[1] then redis.call('COPY', KEYS[1], name) end
end
"""


def shuffled(numbers: Sequence[int], seed: int) -> list[int]:
    mixed = list(numbers)
    random.Random(seed).shuffle(mixed)  # noqa: S311 (no secret)
    return mixed


def in_parts(numbers: Sequence[int]) -> Iterator[list[int]]:
    rest = iter(numbers)
    return iter(lambda: list(islice(rest, AT_ONCE)), [])


class RedisKey:
    """A snapshot of a Redis key, to restore and copy it."""

    def __init__(self, client: redis.Redis, name: bytes) -> None:
        self._client = client
        self.name = name
        self._content = client.dump(name)
        self._milliseconds = max(0, client.pttl(name))

    @property
    def stem(self) -> bytes:
        """The name without the trailing number."""
        return self.name.rstrip(b"0123456789")

    def copy(self, stem: bytes, numbers: Sequence[int], digits: int = 0) -> None:
        """Creates the key `stem` + number for each number, zero-padded to at least `digits`."""
        self._client.restore(self.name, self._milliseconds, self._content, replace=True)  # type: ignore[arg-type]
        copy = self._client.register_script(COPY)
        for part in in_parts(numbers):
            copy(keys=[self.name, stem], args=[f"{number:0{digits}d}" for number in part])


class MemcachedValue:
    """A snapshot of a memcached value, to store it under other names."""

    def __init__(self, connection: socket.socket, prefix: str, end: str) -> None:
        self._connection = connection
        [self.name] = [name for name in memcached_names(connection, prefix) if name.endswith(end.encode())]
        connection.sendall(b"get %s\r\n" % self.name)
        answer = b""
        while not answer.endswith(b"\r\nEND\r\n"):
            answer += connection.recv(65_536)
        head, _, rest = answer.partition(b"\r\n")
        self._data = rest[: int(head.split()[3])]

    @property
    def stem(self) -> bytes:
        """The name without the trailing number."""
        return self.name.rstrip(b"0123456789")

    def copy(self, numbers: Sequence[int]) -> None:
        """Sets `stem` + number for each number, without an expiry."""
        stem, end = self.stem, b" 0 0 %d\r\n%b\r\n" % (len(self._data), self._data)
        for part in in_parts(numbers):
            # All but the last are sent with noreply, so that no response stays unread.
            sets = [b"set %b%d%b" % (stem, number, end.replace(b"\r\n", b" noreply\r\n", 1)) for number in part[:-1]]
            sets.append(b"set %b%d%b" % (stem, part[-1], end))
            self._connection.sendall(b"".join(sets))
            if (answer := self._connection.recv(1000)) != b"STORED\r\n":
                raise CommandError(f"memcached does not keep timelines: {answer.decode(errors='replace').strip()}")
