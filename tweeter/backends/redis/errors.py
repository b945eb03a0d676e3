"""Translates every error of Redis into BackendUnavailable."""

import functools
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar, cast

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

Method = TypeVar("Method", bound=Callable[..., Any])


def translated(method: Method) -> Method:
    """Raises BackendUnavailable for every failure: refused, timed out, out of memory, an invalid response."""

    @functools.wraps(method)
    def call(*args: Any, **kwargs: Any) -> Any:
        with translating():
            return method(*args, **kwargs)

    return cast(Method, call)


@contextmanager
def translating() -> Iterator[None]:
    """Like `translated`, for a block."""
    try:
        yield
    except (RedisError, Refusal, hiredis.HiredisError, OSError, ValueError) as error:
        hint = f"; {HINT}" if FORBIDDEN.search(str(error)) else ""
        raise BackendUnavailable(f"redis: {error}{hint}") from error
