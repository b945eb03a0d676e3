"""Maps keys to servers: here one server for all keys; `cluster` has the other case."""

from collections.abc import Sequence

from redis.exceptions import ConnectionError

from tweeter.backends.redis.node import Node


class Topology:
    """One server, or a service whose current master the sentinels name.

    Raises redis-py's errors if the servers cannot be found.
    """

    rounds = 1  # scans of all servers that are needed so that no key is missed

    def __init__(self, node: Node) -> None:
        self._node = node

    def nodes(self) -> list[Node]:
        """All servers that hold keys."""
        return [self._node]

    def node_of(self, key: str | bytes) -> Node:
        """The server of a key."""
        return self._node

    def split(self, prefix: bytes, numbers: Sequence[int]) -> dict[Node, Sequence[int]]:
        """The servers of many keys, each made of the prefix and a number."""
        return {self._node: numbers}

    def key_on(self, node: Node, stem: str) -> bytes:
        """A key that begins with the stem and that this server holds."""
        return stem.encode()

    def refresh(self) -> bool:
        """Reads the slots of all servers again. True if they changed."""
        return False

    def moved(self, slot: int, address: str, named_by: Node) -> Node:
        """Handles MOVED: the server at this address holds the slot now."""
        return self.at(address, named_by)

    def at(self, address: str, named_by: Node) -> Node:
        """The server at an address that another server named."""
        raise ConnectionError("this is a node of a cluster: tweeter.redis.url must begin with redis+cluster://")

    def lost(self, node: Node) -> None:
        """Reports a server that did not respond, or is not the master any more."""
        node.reconnect()
