"""The sizes of a run: a quick one of less than two minutes, to see that it works, and a full one, for publication."""

from typing import Any, NamedTuple


class Plan(NamedTuple):
    """Sizes. The database of a series has `tweets_each` tweets per user, except where the number of tweets grows."""

    followees: tuple[int, ...]
    followers: tuple[int, ...]
    users: tuple[int, ...]
    tweets: tuple[int, ...]
    base_users: int  # users of the site for growing people and for memory
    tweets_each: int
    follows_each: int  # on average
    rounds: int  # in which backends take turns
    reads: int  # warm home pages per round
    cold: int  # cold home pages per round
    posts: int
    workload_users: int  # users of the site for workloads
    operations: int  # of each workload
    replayed: int  # tweets replayed from a file
    reads_per_post: int  # page reads between two posts
    timelines: int  # timelines whose memory is measured

    @property
    def constant(self) -> int:
        """The number of followees and followers while something else grows."""
        return min(100, self.base_users)

    def data(self) -> dict[str, Any]:
        """The sizes by name, for JSON."""
        return {name: list(size) if isinstance(size, tuple) else size for name, size in self._asdict().items()}


# Five rounds: all of one report's are above all of another's by chance once in 126 times.
FULL = Plan(
    followees=(10, 30, 100, 300, 1_000, 3_000, 5_000),
    followers=(10, 30, 100, 300, 1_000, 3_000, 10_000),
    users=(1_000, 10_000, 100_000, 1_000_000),
    tweets=(10_000, 100_000, 1_000_000, 5_000_000),
    base_users=20_000,
    tweets_each=10,
    follows_each=10,
    rounds=5,
    reads=60,
    cold=4,
    posts=8,
    workload_users=1_000,
    operations=6_000,
    replayed=2_000,
    reads_per_post=10,
    timelines=2_000,
)
QUICK = Plan(
    followees=(10, 100, 1_000),
    followers=(10, 100, 1_000),
    users=(1_000, 10_000, 50_000),
    tweets=(10_000, 100_000),
    base_users=2_000,
    tweets_each=5,
    follows_each=10,
    rounds=5,
    reads=12,
    cold=1,
    posts=2,
    workload_users=300,
    operations=300,
    replayed=50,
    reads_per_post=10,
    timelines=400,
)
