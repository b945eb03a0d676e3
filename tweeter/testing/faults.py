"""What can happen to the servers of a store, for `one_answer` and other tests that go on meanwhile."""

from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True)
class Fault:
    """`strike` makes it happen; `mend` makes the servers work again, where that does not go without saying.

    Between the two the site goes on, and SQL may answer. After a fault without `mend` the store is to answer at once;
    after a `harmless` one it has to answer all the time.
    """

    name: str
    strike: Callable[[], object]
    mend: Callable[[], object] | None = None
    harmless: bool = False

    def __repr__(self) -> str:
        return f"<{self.name}>"
