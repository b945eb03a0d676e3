"""Translates every error of Redis into BackendUnavailable."""

import re
from collections.abc import Iterator
from contextlib import contextmanager

import hiredis
from redis.exceptions import RedisError

from tweeter.backends.redis.node import Refusal
from tweeter.errors import BackendUnavailable

# The rights that a Redis user needs: `select` only for a database other than 0, the last two only on a cluster.
RIGHTS = (
    "+info +scan +get +set +unlink +lrange +lindex +lset +lrem +ltrim +rpush +rpushx +pttl +pexpire "
    "+exists +incrby +rename +evalsha +script|load +select +cluster|slots +asking"
)
HINT = f"the Redis user needs the rights {RIGHTS} on keys that begin with tweeter.redis.prefix"

FORBIDDEN = re.compile("permission|can't run this command|NOSCRIPT|unknown command")


@contextmanager
def translating() -> Iterator[None]:
    """Raises BackendUnavailable for every failure: refused, timed out, out of memory, an invalid response."""
    try:
        yield
    except (RedisError, Refusal, hiredis.HiredisError, OSError, ValueError) as error:
        hint = f"; {HINT}" if FORBIDDEN.search(str(error)) else ""
        raise BackendUnavailable(f"redis: {error}{hint}") from error
