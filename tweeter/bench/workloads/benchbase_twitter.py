"""BenchBase's twitter: mostly profiles.

The weights are those of `config/postgres/sample_twitter_config.xml` in cmu-db/benchbase: get tweet 1, tweets of the
followees 1, followers 7, tweets of one user 90, insert tweet 1. Users are drawn uniformly, as `TwitterWorker` does; a
profile is 10 tweets and a list of followers 20 names, as in `TwitterConstants`. D. Difallah, A. Pavlo, C. Curino,
P. Cudré-Mauroux: OLTP-Bench (VLDB 2013). The tweets of the followees are a home page here, newest first; BenchBase
takes those of 20 followees in any order. Its trace of tweet ids is replaced by a uniform draw.
"""

from collections.abc import Iterator

import numpy as np

from tweeter.bench.graphs import pick
from tweeter.bench.workloads import World
from tweeter.bench.workloads.operations import Operation, Post, ReadFollowers, ReadHome, ReadProfile, ReadTweet

SOURCE = "twitter of BenchBase (VLDB 2013): tweet 1, tweets of followed 1, followers 7, tweets of one user 90, insert 1"
WEIGHTS = {"tweet": 1, "followed": 1, "followers": 7, "profile": 90, "insert": 1}


def operations(world: World, count: int, seed: int) -> Iterator[Operation]:
    random = np.random.default_rng(seed)
    names = list(WEIGHTS)
    kinds = pick(WEIGHTS.values(), count, random).tolist()
    users = random.integers(0, world.users, count).tolist()
    tweets = random.integers(0, max(1, world.tweets), count).tolist()
    for number, (kind, user, tweet) in enumerate(zip(kinds, users, tweets, strict=True)):
        match names[kind]:
            case "tweet" if world.tweets:
                yield ReadTweet(tweet)
            case "followed":
                yield ReadHome(user)
            case "followers":
                yield ReadFollowers(user)
            case "insert":
                yield Post(user, f"benchbase inserts tweet {number:,}")
            case _:
                yield ReadProfile(user)
