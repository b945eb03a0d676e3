"""The sizes of a run: a quick one of less than two minutes, to see that it works, and a full one, for publication."""

from typing import Any, NamedTuple


class Plan(NamedTuple):
    """Sizes of a full run. The database of a series has `tweets_each` tweets per user, except where tweets grow."""

    followees: tuple[int, ...] = (10, 30, 100, 300, 1_000, 3_000, 5_000)
    followers: tuple[int, ...] = (10, 30, 100, 300, 1_000, 3_000, 10_000)
    users: tuple[int, ...] = (1_000, 10_000, 100_000, 1_000_000)
    tweets: tuple[int, ...] = (10_000, 100_000, 1_000_000, 5_000_000)
    base_users: int = 20_000  # users of the site for growing people and for memory
    tweets_each: int = 10
    follows_each: int = 10  # on average
    # Backends take turns in so many rounds: all of one report's five are above all of another's by chance once in 126.
    rounds: int = 5
    reads: int = 60  # warm home pages per round
    cold: int = 4  # cold home pages per round
    posts: int = 8
    workload_users: int = 1_000  # users of the site for workloads
    operations: int = 6_000  # of each workload
    replayed: int = 2_000  # tweets replayed from a file
    reads_per_post: int = 10  # page reads between two posts
    timelines: int = 2_000  # timelines whose memory is measured

    @property
    def constant(self) -> int:
        """The number of followees and followers while something else grows."""
        return min(100, self.base_users)

    def data(self) -> dict[str, Any]:
        """The sizes by name, for JSON."""
        return {name: list(size) if isinstance(size, tuple) else size for name, size in self._asdict().items()}


FULL = Plan()
QUICK = Plan(
    followees=(10, 100, 1_000),
    followers=(10, 300),
    users=(1_000, 20_000),
    tweets=(10_000, 100_000),
    base_users=2_000,
    tweets_each=5,
    reads=12,
    cold=1,
    posts=2,
    workload_users=300,
    operations=200,
    replayed=50,
    timelines=200,
)
