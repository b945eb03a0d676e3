"""The counters of `tweeter.web.ratelimits` in memcached."""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

from limits.storage import MemcachedStorage
from pymemcache.client.base import Client
from pymemcache.client.hash import HashClient
from pymemcache.exceptions import MemcacheClientError

from tweeter.backends.memcached.wire import Address
from tweeter.measure import round_trip


class _Client(Client):
    """Closes its connection when its thread, or the site, ends."""

    def __del__(self) -> None:
        self.close()


class _HashClient(HashClient):
    client_class = _Client


class MemcachedLimits(MemcachedStorage):
    """Sliding windows; each is a pair of numbers. Each thread has its own connections."""

    def __init__(self, addresses: Sequence[Address], prefix: str, timeout: float) -> None:
        options = {
            "connect_timeout": timeout, "timeout": timeout, "no_delay": True, "default_noreply": False,
            "key_prefix": prefix.encode("ascii"),
        }  # fmt: skip
        if len(addresses) > 1:  # a server that fails is not replaced by another
            client = partial(_HashClient, list(addresses), retry_attempts=0, dead_timeout=0, **options)
        else:
            client = partial(_Client, addresses[0], **options)
        super().__init__("memcached://", client_getter=lambda *_: client())

    def acquire_sliding_window_entry(self, key: str, limit: int, expiry: int, amount: int = 1) -> bool:
        return self._repaired(super().acquire_sliding_window_entry, key, expiry, limit=limit, amount=amount)

    def get_sliding_window(self, key: str, expiry: int) -> tuple[int, float, int, float]:
        return self._repaired(super().get_sliding_window, key, expiry)

    def _repaired(self, ask: Callable[..., Any], key: str, expiry: int, **options: int) -> Any:
        with round_trip():
            try:
                return ask(key=key, expiry=expiry, **options)
            except (ValueError, MemcacheClientError):  # the counter is not a number: reset it
                self.clear_sliding_window(key, expiry)
                return ask(key=key, expiry=expiry, **options)
