"""Retwis, as TAPIR's client runs it: many posts per read.

The weights and the Zipf-like choice of users are those of `store/benchmark/retwisClient.cc` in UWSysLab/tapir: 5 % add
a user, 15 % follow, 30 % post, 50 % read a timeline. I. Zhang, N. Kr. Sharma, A. Szekeres, A. Krishnamurthy, D. Ports:
Building Consistent Transactions with Inconsistent Replication (SOSP 2015), measures with the coefficient 0.75. That
client reads and writes as many keys of a store as each action would need; here the actions are performed. A timeline
is a page of 20 tweets instead of 1 to 10 keys.
"""

from collections.abc import Iterator

import numpy as np

from tweeter.bench.graphs import pick, zipf
from tweeter.bench.workloads import World
from tweeter.bench.workloads.operations import AddUser, Follow, Operation, Post, ReadHome

SOURCE = (
    "retwisClient of TAPIR (SOSP 2015): add user 5 %, follow 15 %, post 30 %, read timeline 50 %; users by Zipf 0.75"
)
ALPHA = 0.75


def operations(world: World, count: int, seed: int) -> Iterator[Operation]:
    random = np.random.default_rng(seed)
    shares = zipf(world.users, ALPHA, random)
    dice = random.integers(0, 100, count).tolist()
    actors = pick(shares, count, random).tolist()
    others = pick(shares, count, random).tolist()
    added = world.users
    for number, (die, actor, other) in enumerate(zip(dice, actors, others, strict=True)):
        if die < 5:
            yield AddUser(added)
            added += 1
        elif die < 20:
            yield Follow(actor, other if other != actor else (actor + 1) % world.users)
        elif die < 50:
            yield Post(actor, f"retwis says something for the {number:,}th time")
        else:
            yield ReadHome(actor)
