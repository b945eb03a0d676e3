"""Twip, Pequod's Twitter: users who poll for new tweets often and post rarely.

Weights and behaviour are those of `app/twitternew.thh` and of the comparisons in `scripts/exp/paperexperiments.py` in
bryankate/pequod: of the 70 % of users who are active, read 100, subscribe 10, log in 5, log out 5, post 1. Signed-in
users read in turn; a read returns the tweets since the last one, the first after a login a whole page. Authors of posts
are drawn by a weight that grows with the logarithm of the number of followers. B. Kate, E. Kohler, M. Kester,
N. Narula, Y. Mao, R. Morris: Easy Freshness with Pequod Cache Joins (NSDI 2014) compares systems by the total time.
The final read of all users, which makes distributed runs comparable, is left out.
"""

from collections import deque
from collections.abc import Iterator

import numpy as np

from tweeter.bench.graphs import Numbers, Weights, pick
from tweeter.bench.workloads import World
from tweeter.bench.workloads.operations import Follow, LogIn, LogOut, Operation, Post, ReadNews

SOURCE = "Twip of Pequod (NSDI 2014): of the 70 % who are active, read 100, subscribe 10, log in 5, log out 5, post 1"
ACTIVE = 0.7
WEIGHTS = {"read": 100, "subscribe": 10, "log in": 5, "log out": 5, "post": 1}


def operations(world: World, count: int, seed: int) -> Iterator[Operation]:
    random = np.random.default_rng(seed)
    logged_in = deque(random.permutation(np.flatnonzero(random.random(world.users) < ACTIVE)).tolist() or [0])
    logged_out: deque[int] = deque()
    kinds = pick(WEIGHTS.values(), count, random).tolist()
    posters = pick(_post_weights(world.followers, random), count, random).tolist()
    users = random.integers(0, world.users, (count, 2)).tolist()
    names = list(WEIGHTS)
    for number, (kind, poster, (one, other)) in enumerate(zip(kinds, posters, users, strict=True)):
        match names[kind]:
            case "post":
                yield Post(poster, f"twip number {number:,}, as short as most")
            case "subscribe":
                yield Follow(one, other if other != one else (one + 1) % world.users)
            case "log out" if logged_in:
                logged_out.append(logged_in.popleft())
                yield LogOut(logged_out[-1])
            case "log in" if logged_out:
                logged_in.append(logged_out.popleft())
                yield LogIn(logged_in[-1])
            case _ if logged_in:
                logged_in.rotate(-1)
                yield ReadNews(logged_in[-1])
            case _:  # all users have signed out: one signs in
                logged_in.append(logged_out.popleft())
                yield LogIn(logged_in[-1])


def _post_weights(followers: Numbers, random: np.random.Generator) -> Weights:
    """Pequod's weights: 0 without followers, 0.1 for up to 9 of them, then 1 to 2 log10(followers) at random."""
    most = np.maximum(1, (2 * np.log10(np.maximum(followers, 1))).astype(np.int64))
    weights = np.where(followers < 10, 0.1, random.integers(0, 1 << 30, len(followers)) % most + 1)
    weights = np.where(followers == 0, 0.0, weights)
    return weights if weights.any() else np.ones(len(followers))
