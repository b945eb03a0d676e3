"""Which server is asked for which key."""

from collections.abc import Sequence
from typing import Protocol

from redis.exceptions import ConnectionError

from tweeter.backends.redis.node import Node


class Topology(Protocol):
    """The servers that hold the keys. Raises redis-py's errors where they can't be found."""

    rounds: int  # how often all servers have to be gone through so that none of the keys is missed

    def nodes(self) -> list[Node]:
        """All servers that hold keys."""

    def node_of(self, key: bytes) -> Node:
        """The server of a key."""

    def split(self, prefix: bytes, numbers: Sequence[int]) -> dict[Node, Sequence[int]]:
        """The servers of many keys, which are a prefix and a number."""

    def key_on(self, node: Node, stem: str) -> bytes:
        """A key that begins with the stem and is the server's."""

    def refresh(self) -> bool:
        """Finds out who holds what. True if that changed."""

    def moved(self, slot: int, address: str, asked: Node) -> Node:
        """A server said that another holds a slot now."""

    def at(self, address: str, asked: Node) -> Node:
        """The server of an address that another named."""

    def lost(self, node: Node) -> None:
        """A server did not answer, or is the master no more."""


class Single:
    """One server, or a service whose present master the sentinels name."""

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
