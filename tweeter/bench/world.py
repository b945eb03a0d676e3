"""A populated site, written into an empty migrated database within seconds."""

import time
from collections.abc import Iterator
from typing import Any

import numpy as np
from sqlalchemy import Engine

from tweeter import ids
from tweeter.bench.graphs import Graph, Numbers, pick, popularity
from tweeter.bulk.rows import bulk_rows
from tweeter.console.progress import Progress

AT_ONCE = 50_000
DAYS = 30  # days before now over which the tweets are spread
TEXTS = 1_000
# Lengths of tweets: most are short, with a peak at the limit.
LONGEST = 140
SYLLABLES = [consonant + vowel for consonant in "bdfgklmnprst" for vowel in "aeio"]


def write_world(engine: Engine, graph: Graph, tweets: int, seed: int, progress: Progress) -> Numbers:
    """Writes users, relationships with their counters, and tweets of the last 30 days; activity varies widely.

    Users are the rows 1, 2, 3…, numbered from 0; `u1` is the first one's name. Returns the ids of the tweets.
    Indexes and statistics are in the state of a long-running site.
    """
    random = np.random.default_rng([seed, tweets])
    authors = pick(popularity(graph.users, random), tweets, random)
    tweet_ids = _tweet_ids(tweets, random)
    messages = _messages(random)
    texts = random.integers(0, TEXTS, tweets)
    posted = np.bincount(authors, minlength=graph.users)
    with bulk_rows(engine, progress, indexes=False) as rows:
        counters = _tuples(posted, graph.followers_of_each(), graph.followees_of_each())
        rows.people(graph.users, "u", counters=counters)
        rows.follows(_tuples(graph.followers + 1, graph.followees + 1), len(graph.followers))
        rows.tweets(((id_, user, messages[n]) for id_, user, n in _tuples(tweet_ids, authors + 1, texts)), tweets)
    return tweet_ids


def _tuples(*columns: Numbers) -> Iterator[tuple[Any, ...]]:
    """The rows of these columns, as numbers of Python."""
    for start in range(0, len(columns[0]), AT_ONCE):
        yield from zip(*(column[start : start + AT_ONCE].tolist() for column in columns), strict=True)


def _tweet_ids(count: int, random: np.random.Generator) -> Numbers:
    """Ids of moments in ascending order; they increase even if two tweets share a millisecond."""
    now = time.time_ns() // 1_000_000
    ms = np.sort(random.integers(now - DAYS * 86_400_000, now - 1_000, count))
    order = np.arange(count)
    tweet_ids: Numbers = np.maximum.accumulate(((ms - ids.EPOCH_MS) << ids.SEQUENCE_BITS) - order) + order
    return tweet_ids


def _messages(random: np.random.Generator) -> list[str]:
    lengths = np.minimum(np.maximum(8, random.gamma(2.2, 32, TEXTS)), LONGEST).astype(int)
    words = ["".join(pair) for pair in random.choice(SYLLABLES, (TEXTS, 2))]
    babble = " ".join(words)
    starts = random.integers(0, len(babble) - LONGEST, TEXTS)
    return [babble[start : start + length].strip() for start, length in zip(starts, lengths, strict=True)]
