"""Faults of a store's servers, for `one_answer` and other tests that run during them."""

from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True)
class Fault:
    """`strike` injects the fault; `mend` repairs the servers, if they do not recover by themselves.

    In between, the site keeps working, and SQL may serve the pages. After a fault without `mend` the store must serve
    again at once; after a `harmless` one it must serve all the time.
    """

    name: str
    strike: Callable[[], object]
    mend: Callable[[], object] | None = None
    harmless: bool = False

    def __repr__(self) -> str:
        return f"<{self.name}>"
