"""The talk's way to deliver a tweet: a sorted set for each follower, ZADD and a trim, in redis-py's pipelines."""

from collections.abc import Iterator, Sequence
from typing import Any

AT_ONCE = 1000  # followers per pipeline


def deliver(client: Any, stem: str, followers: Sequence[int], id: int, capacity: int) -> Iterator[int]:
    """Adds the id to the sorted sets `stem` + follower. Yields the number of followers after each pipeline."""
    for first in range(0, len(followers), AT_ONCE):
        some = followers[first : first + AT_ONCE]
        pipeline = client.pipeline(transaction=False)
        for follower in some:
            name = f"{stem}{follower}"
            pipeline.zadd(name, {str(id): id})
            pipeline.zremrangebyrank(name, 0, -capacity - 1)
        pipeline.execute()
        yield len(some)
