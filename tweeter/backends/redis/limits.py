"""The counters of `tweeter.web.ratelimits` in Redis.

The scripts come from the `limits` library. They run over this backend's connections, which support every kind of
`tweeter.redis.url` and wait no longer than `tweeter.redis.timeout_ms`.
"""

import re
from collections.abc import Sequence
from typing import Any

from limits.storage import RedisStorage, Storage

from tweeter.backends.redis.commands import Script
from tweeter.backends.redis.errors import translating
from tweeter.backends.redis.node import Refusal
from tweeter.backends.redis.wire import Wire
from tweeter.errors import BackendUnavailable

# A counter of another type, or not a number: it is reset.
_DAMAGED = re.compile("WRONGTYPE|not an integer")


class RedisLimits(RedisStorage):
    """Sliding windows; each uses two keys in one slot."""

    base_exceptions = BackendUnavailable

    def __init__(self, wire: Wire, prefix: str) -> None:
        Storage.__init__(self)
        self._wire = wire
        self.key_prefix = prefix
        self.lua_sliding_window = self._script(self.SCRIPT_SLIDING_WINDOW)
        self.lua_acquire_sliding_window = self._script(self.SCRIPT_ACQUIRE_SLIDING_WINDOW)

    def _script(self, text: bytes) -> Any:
        script = Script(text.decode(), keys=2)

        @translating()
        def run(keys: Sequence[str], arguments: Sequence[Any]) -> Any:
            call = (script, *keys, *arguments)
            try:
                reply = self._wire.call(*call)
            except Refusal as refusal:
                reply = refusal
            if isinstance(reply, Refusal):
                if not _DAMAGED.search(str(reply)):
                    raise reply
                self._wire.run([("UNLINK", key) for key in keys])
                reply = self._wire.call(*call)
            return reply

        return run
