"""Passwords, by argon2id."""

from functools import lru_cache

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

LEAST_LENGTH = 8
GREATEST_LENGTH = 200


class Passwords:
    """Hashes and checks passwords at the cost that the settings tell."""

    def __init__(self, time_cost: int, memory_kib: int) -> None:
        self._hasher = PasswordHasher(time_cost=time_cost, memory_cost=memory_kib, parallelism=1)

    def hash(self, password: str) -> str:
        return self._hasher.hash(password)

    def check(self, password_hash: str, password: str) -> bool:
        """Takes the same time whether or not there is such a user: an empty hash is checked against a decoy."""
        try:
            return self._hasher.verify(password_hash or self._decoy(), password) and bool(password_hash)
        except (VerificationError, InvalidHashError):
            return False

    def outdated(self, password_hash: str) -> bool:
        """The cost was changed since: hash again, now that the password is known."""
        return self._hasher.check_needs_rehash(password_hash)

    @lru_cache(maxsize=1)  # noqa: B019 (lives as long as the application)
    def _decoy(self) -> str:
        return self._hasher.hash("the password of nobody")
