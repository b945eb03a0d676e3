"""The rivals of a delivery: the bare servers, and the talk's way."""

import csv
import io
import socket
import subprocess
import time
from collections.abc import Sequence
from itertools import chain
from urllib.parse import urlsplit

import redis

from tweeter.batches import batched
from tweeter.console.commands import CommandError
from tweeter.devtools.servers import find
from tweeter.devtools.talk import deliver

PIPELINES = (100, 500)
MEMCACHED_AT_ONCE = 500
SECONDS = 600


def redis_benchmark(url: str, stem: str, keys: int, id: int, pipeline: int) -> float:
    """RPUSHX to so many random keys, `stem` and a number of twelve digits. Returns commands per second.

    Raises NotInstalled, and CommandError if it fails.
    """
    program = find("redis-benchmark", "redis-tools")
    parts = urlsplit(url)
    where = ["-s", parts.path] if parts.scheme == "unix" else ["-u", url]
    command = [program, *where, "-n", str(keys), "-r", str(keys), "-P", str(pipeline), "--csv"]
    result = subprocess.run(  # noqa: S603 (a program that we found ourselves)
        [*command, "RPUSHX", f"{stem}__rand_int__", str(id)], capture_output=True, text=True, check=False,
        timeout=SECONDS,
    )  # fmt: skip
    rows = list(csv.DictReader(io.StringIO(result.stdout)))
    if result.returncode or not rows or "rps" not in rows[0]:
        raise CommandError(f"redis-benchmark failed: {(result.stderr or result.stdout).strip()}")
    return float(rows[0]["rps"])


def the_talk(client: redis.Redis, stem: str, followers: Sequence[int], id: int, capacity: int) -> float:
    """Delivers an id as in the talk. Returns the seconds."""
    began = time.perf_counter()
    for _ in deliver(client, stem, followers, id, capacity):
        pass
    return time.perf_counter() - began


def bare_memcached(connection: socket.socket, stem: bytes, followers: Sequence[int], id: int) -> float:
    """Appends 8 bytes to each follower's value over a bare socket and reads every response. Returns the seconds.

    The next commands are sent before the responses to the last are read.

    Raises CommandError if a value is missing.
    """
    end = b" 0 0 8\r\n%b\r\n" % id.to_bytes(8)
    began = time.perf_counter()
    sent = lines = size = 0
    for some in chain(batched(followers, MEMCACHED_AT_ONCE), [[]]):
        before = sent
        connection.sendall(b"".join([b"append %b%d%b" % (stem, follower, end) for follower in some]))
        sent += len(some)
        while lines < before:
            answers = connection.recv(262_144)
            lines += answers.count(b"\n")
            size += len(answers)
    seconds = time.perf_counter() - began
    if size != len(followers) * len(b"STORED\r\n"):
        raise CommandError("memcached did not have all timelines. Check its memory limit.")
    return seconds
