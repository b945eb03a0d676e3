"""Workloads: the actions of many users, as a stream of operations that a seed reproduces.

`retwis` is the module `tweeter.bench.workloads.retwis`; a name with a dot is any importable module. It contains

    SOURCE = "where the mix comes from, in a sentence"

    def operations(world, count, seed):
        '''An iterator of `count` Operations of `tweeter.bench.workloads.operations`, on a World.'''
"""

import importlib
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, NamedTuple

from tweeter.bench.workloads.operations import Operation
from tweeter.errors import TweeterError

if TYPE_CHECKING:  # numpy is an extra, and listing workloads must work without it
    from tweeter.bench.graphs import Numbers

SYNTHETIC = ("retwis", "twip", "benchbase-twitter")
REPLAY = "replay"  # of files: it has its own world


class World(NamedTuple):
    """The site on which a workload begins. Maps the numbers of a workload to ids and names."""

    followers: "Numbers"  # the number of followers of each user
    tweets: int
    tweet_ids: "Sequence[int] | Numbers" = ()
    people: Sequence[tuple[int, str]] = ()  # id and name of each user; none on a site of `write_world`: 1 and `u1`, …

    @property
    def users(self) -> int:
        return len(self.followers)

    def user_id(self, user: int) -> int:
        return self.people[user][0] if self.people else user + 1

    def username(self, user: int) -> str:
        return self.people[user][1] if self.people else f"u{user + 1}"

    def tweet_id(self, tweet: int) -> int:
        return int(self.tweet_ids[tweet])


class Workload(NamedTuple):
    """A workload with its name."""

    name: str
    source: str
    operations: Callable[[World, int, int], Iterator[Operation]]


def find(spec: str) -> Workload:
    """The workload with this name, or in the module with this dotted name.

    Raises TweeterError if it does not exist or is incomplete.
    """
    name = spec if "." in spec else f"{__name__}.{spec.replace('-', '_')}"
    try:
        if not all(part.isidentifier() for part in name.split(".")):
            raise ModuleNotFoundError(name=name)
        module = importlib.import_module(name)
    except ModuleNotFoundError as error:
        if error.name is None or not f"{name}.".startswith(f"{error.name}."):
            raise
        raise TweeterError(
            f"there is no workload {spec}; {', '.join(SYNTHETIC)} and {REPLAY} are built in, "
            "others are dotted names of modules"
        ) from None
    try:
        return Workload(spec.rpartition(".")[2], module.SOURCE, module.operations)
    except AttributeError as error:
        raise TweeterError(f"{name} is not a workload: it has no {error.name}") from None
