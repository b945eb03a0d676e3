"""Hashes passwords with argon2id."""

import os
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import lru_cache
from typing import Any

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

from tweeter.errors import Busy

WAITING = 3  # threads that may wait for their turn; the server's other threads keep serving pages
PATIENCE = 3.0  # seconds


class Passwords:
    """Hashes and checks passwords at the cost that the settings define.

    One hash takes a processor for a quarter of a second. So `at_once` are computed at a time (0: one for every two
    processors, four at most), a few threads wait, and further calls raise Busy.
    """

    def __init__(self, time_cost: int, memory_kib: int, at_once: int = 0) -> None:
        self._hasher = PasswordHasher(time_cost=time_cost, memory_cost=memory_kib, parallelism=1)
        at_once = at_once or max(1, min(4, (os.cpu_count() or 1) // 2))
        self._turns = threading.BoundedSemaphore(at_once)
        self._places = threading.BoundedSemaphore(at_once + WAITING)

    @classmethod
    def of(cls, settings: Mapping[str, Any]) -> "Passwords":
        """Passwords with the cost of a site's settings."""
        return cls(*(settings[f"tweeter.argon2.{name}"] for name in ("time_cost", "memory_kib", "at_once")))

    def hash(self, password: str) -> str:
        with self._turn():
            return self._hasher.hash(password)

    def check(self, password_hash: str, password: str) -> bool:
        """Takes the same time for existing and unknown users: an empty hash is checked against a decoy."""
        password_hash, known = password_hash or self._decoy(), bool(password_hash)
        with self._turn():
            try:
                return self._hasher.verify(password_hash, password) and known
            except (VerificationError, InvalidHashError):
                return False

    def outdated(self, password_hash: str) -> bool:
        """Whether the hash has another cost than the settings: hash again while the password is known."""
        return self._hasher.check_needs_rehash(password_hash)

    @lru_cache(maxsize=1)  # noqa: B019 (lives as long as the application)
    def _decoy(self) -> str:
        return self.hash("decoy")

    @contextmanager
    def _turn(self) -> Iterator[None]:
        if not self._places.acquire(blocking=False):
            raise Busy(1)
        try:
            if not self._turns.acquire(timeout=PATIENCE):
                raise Busy(1)
            try:
                yield
            finally:
                self._turns.release()
        finally:
            self._places.release()
