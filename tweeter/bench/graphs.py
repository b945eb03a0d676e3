"""Reproducible follow graphs: power laws as on Twitter, and users with an exact number of followees.

The number of people with k followers falls as k^-2.276: H. Kwak, C. Lee, H. Park, S. Moon, What is Twitter, a Social
Network or a News Media? (WWW 2010). Followees are drawn by such weights, as in the model of F. Chung and L. Lu
(Connected components in random graphs with given expected degree sequences, 2002).
"""

from collections.abc import Iterable, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Numbers = NDArray[np.int64]
Weights = NDArray[np.float64]

EXPONENT = 2.276
# The weight of the user of rank r is (r + OFFSET)^-1/(EXPONENT - 1). Without the offset nearly all users would follow
# the first one.
OFFSET = 10
MOST_FOLLOWEES = 2_000  # as on Twitter, and never more than a quarter of all users


class Graph(NamedTuple):
    """Users are numbers from 0. The pairs (follower, followee) are sorted and distinct."""

    users: int
    followers: Numbers
    followees: Numbers

    def followers_of_each(self) -> Numbers:
        """The number of followers of each user."""
        return np.bincount(self.followees, minlength=self.users)

    def followees_of_each(self) -> Numbers:
        """The number of followees of each user."""
        return np.bincount(self.followers, minlength=self.users)


class Planted(NamedTuple):
    """A graph, and the users that were added to it, by their number of followees or followers."""

    graph: Graph
    readers: dict[int, int]  # number of followees: user
    authors: dict[int, int]  # number of followers: user
    fans: list[int]  # all followers of these users


def power_law(users: int, mean: float, seed: int) -> Graph:
    """A graph where users follow `mean` others on average or slightly fewer: most fewer, a few very many."""
    if users < 2:
        raise ValueError("a graph needs at least two users")
    random = np.random.default_rng(seed)
    most = max(1, min(MOST_FOLLOWEES, users // 4))
    least = mean * (EXPONENT - 2) / (EXPONENT - 1)  # the minimum of a power law with this mean
    degrees = np.minimum(least * random.random(users) ** (-1 / (EXPONENT - 1)), most)
    degrees = np.maximum(1, np.rint(degrees)).astype(np.int64)
    followers = np.repeat(np.arange(users), degrees)
    followees = pick(popularity(users, random), len(followers), random)
    return _graph(users, followers, followees)


def plant(graph: Graph, followees: Sequence[int], followers: Sequence[int], constant: int, seed: int) -> Planted:
    """Adds a reader for each number of followees, and an author for each number of followers.

    Readers have `constant` followers, authors as many followees. The followers of an added user also follow all added
    users with more followers, so the followers of the largest are the union. Raises ValueError if the graph has too few
    users for a number.
    """
    most = max([*followees, *followers, constant])
    if most > graph.users:
        raise ValueError(f"a user cannot follow, or be followed by, {most:,} of {graph.users:,} users")
    random = np.random.default_rng(seed)
    fans = random.permutation(graph.users)
    new = [(count, constant) for count in followees] + [(constant, count) for count in followers]
    pairs = [(graph.followers, graph.followees)]
    for user, (follows, followed) in enumerate(new, graph.users):
        pairs.append((np.full(follows, user), random.permutation(graph.users)[:follows]))
        pairs.append((fans[:followed], np.full(followed, user)))
    whole = _graph(graph.users + len(new), *(np.concatenate(column) for column in zip(*pairs, strict=True)))
    readers = dict(zip(followees, range(graph.users, whole.users), strict=False))
    authors = dict(zip(followers, range(graph.users + len(followees), whole.users), strict=True))
    return Planted(whole, readers, authors, fans[: max([0, *(followed for _, followed in new)])].tolist())


def popularity(users: int, random: np.random.Generator) -> Weights:
    """The weights of a power law, in random order."""
    return random.permutation((np.arange(users) + OFFSET) ** (-1 / (EXPONENT - 1)))


def zipf(users: int, alpha: float, random: np.random.Generator) -> Weights:
    """The weights of Zipf's law with this exponent, in random order."""
    return random.permutation(np.arange(1, users + 1) ** -alpha)


def pick(weights: Weights | Iterable[float], count: int, random: np.random.Generator) -> Numbers:
    """Draws so many numbers with the probabilities of these weights."""
    cumulative = np.cumsum(np.fromiter(weights, np.float64))
    return np.searchsorted(cumulative / cumulative[-1], random.random(count), side="right").astype(np.int64)


def _graph(users: int, followers: Numbers, followees: Numbers) -> Graph:
    others = followers != followees
    pairs = np.sort(followers[others] * users + followees[others])
    pairs = pairs[np.diff(pairs, prepend=-1) != 0]
    return Graph(users, pairs // users, pairs % users)
