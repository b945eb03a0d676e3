"""Maps keys to servers."""

from collections.abc import Sequence
from typing import Protocol

from redis.exceptions import ConnectionError

from tweeter.backends.redis.node import Node


class Topology(Protocol):
    """The servers that hold the keys. Raises redis-py's errors if they cannot be found."""

    rounds: int  # scans of all servers that are needed so that no key is missed

    def nodes(self) -> list[Node]:
        """All servers that hold keys."""

    def node_of(self, key: bytes) -> Node:
        """The server of a key."""

    def split(self, prefix: bytes, numbers: Sequence[int]) -> dict[Node, Sequence[int]]:
        """The servers of many keys, each made of the prefix and a number."""

    def key_on(self, node: Node, stem: str) -> bytes:
        """A key that begins with the stem and that this server holds."""

    def refresh(self) -> bool:
        """Reads the slots of all servers again. True if they changed."""

    def moved(self, slot: int, address: str, asked: Node) -> Node:
        """Handles MOVED: another server holds the slot now."""

    def at(self, address: str, asked: Node) -> Node:
        """The server at an address that another server named."""

    def lost(self, node: Node) -> None:
        """Reports a server that did not respond, or is not the master any more."""


class Single:
    """One server, or a service whose current master the sentinels name."""

    rounds = 1

    def __init__(self, node: Node) -> None:
        self._node = node

    def nodes(self) -> list[Node]:
        return [self._node]

    def node_of(self, key: bytes) -> Node:
        return self._node

    def split(self, prefix: bytes, numbers: Sequence[int]) -> dict[Node, Sequence[int]]:
        return {self._node: numbers}

    def key_on(self, node: Node, stem: str) -> bytes:
        return stem.encode()

    def refresh(self) -> bool:
        return False

    def moved(self, slot: int, address: str, asked: Node) -> Node:
        return self.at(address, asked)

    def at(self, address: str, asked: Node) -> Node:
        raise ConnectionError("this is a node of a cluster: tweeter.redis.url has to begin with redis+cluster://")

    def lost(self, node: Node) -> None:
        node.reconnect()
