"""How much a run measures: what is done in under two minutes to see that it works, and what one publishes."""

from typing import Any, NamedTuple


class Plan(NamedTuple):
    """Sizes. A series' database has `tweets_each` tweets for each user, unless it is the tweets that grow."""

    followees: tuple[int, ...]
    followers: tuple[int, ...]
    users: tuple[int, ...]
    tweets: tuple[int, ...]
    base_users: int  # of the site on which people grow and memory is measured
    tweets_each: int
    follows_each: int  # on average
    rounds: int  # in which the backends take turns
    reads: int  # warm home pages in each round
    cold: int  # cold ones
    posts: int
    workload_users: int  # of the site on which workloads are run
    operations: int  # of each
    replayed: int  # tweets of a file
    reads_per_post: int  # between them
    timelines: int  # whose memory is measured

    @property
    def constant(self) -> int:
        """How many followees and followers somebody has while something else grows."""
        return min(100, self.base_users)

    def data(self) -> dict[str, Any]:
        """The sizes by their names, as JSON has them."""
        return {name: list(size) if isinstance(size, tuple) else size for name, size in self._asdict().items()}


# Five rounds: that all of one report's are above all of another's happens by chance once in 126 times.
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
