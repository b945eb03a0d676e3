"""The slots of a Redis Cluster, and the nodes that hold them.

redis-py's RedisCluster (8.1) does this too, but it refuses EVALSHA in pipelines, needs the right to COMMAND, connects
when it is made, and sleeps longer than a page may wait for a slot without a master. Its pools and connections are used.
"""

import threading
import time
from binascii import crc_hqx
from collections.abc import Callable, Sequence
from itertools import repeat
from typing import Any

from redis.crc import REDIS_CLUSTER_HASH_SLOTS, key_slot
from redis.exceptions import ConnectionError, RedisError

from tweeter.backends.redis.node import Node, Refusal
from tweeter.backends.redis.topology import Topology

CLUSTER_SLOTS = b"*2\r\n$7\r\nCLUSTER\r\n$5\r\nSLOTS\r\n"
TRIES = 10_000  # keys tried, at most, to find one that a given node holds

Address = tuple[str, int]


class Cluster(Topology):
    """The masters of a cluster. Replicas only tell the masters."""

    # A scan may miss a key that moves to another node during it. To be missed in two scans the key must move twice.
    rounds = 2

    def __init__(self, seeds: Sequence[Address], connect: Callable[[str, int], Node], patience: float) -> None:
        self._seeds = list(seeds)
        self._connect = connect
        self._patience = patience  # seconds to search for a node that responds
        self._suspect: Address | None = None
        self._nodes: dict[Address, Node] = {}
        self._masters: list[Address] = []
        self._replicas: list[Address] = []
        self._owners: list[Node | None] = []
        self._keys: dict[tuple[Node, str], bytes] = {}
        self._stale = True
        self._lock = threading.RLock()

    def nodes(self) -> list[Node]:
        return list({node: None for node in self._known() if node is not None})

    def node_of(self, key: str | bytes) -> Node:
        return self._known()[key_slot(key if isinstance(key, bytes) else key.encode())] or self._without_master()

    def split(self, prefix: bytes, numbers: Sequence[int]) -> dict[Node, Sequence[int]]:
        if b"{" in prefix:  # a hash tag: the slot may depend on a part of the key only
            slots = [key_slot(b"%b%d" % (prefix, number)) for number in numbers]
        else:
            begun = crc_hqx(prefix, 0)
            slots = [crc % REDIS_CLUSTER_HASH_SLOTS for crc in map(crc_hqx, map(b"%d".__mod__, numbers), repeat(begun))]
        owners = self._known()
        found: dict[Node | None, list[int]] = {}
        for number, slot in zip(numbers, slots, strict=True):
            node = owners[slot]
            if node in found:
                found[node].append(number)
            else:
                found[node] = [number]
        return {node or self._without_master(): part for node, part in found.items()}

    def key_on(self, node: Node, stem: str) -> bytes:
        key = self._keys.get((node, stem))
        if key is None or self.node_of(key) is not node:
            tried = (f"{stem}{number}".encode() for number in range(TRIES))
            key = next((key for key in tried if self.node_of(key) is node), stem.encode())
            self._keys[node, stem] = key
        return key

    def refresh(self) -> bool:
        with self._lock:
            before = self._owners
            failed: Exception = ConnectionError("no node of the cluster is known")
            known = dict.fromkeys([*self._masters, *self._replicas, *self._seeds])
            deadline = time.monotonic() + self._patience
            for address in sorted(known, key=lambda address: address == self._suspect):
                if time.monotonic() > deadline:
                    break
                node = self.at_address(address)
                try:
                    [reply] = node.begin(CLUSTER_SLOTS, 1).read()
                    if isinstance(reply, Refusal):
                        raise ConnectionError(f"{node.name}: {reply}")
                    self._learn(reply, address[0])
                except (RedisError, OSError) as error:
                    failed = error
                    continue
                return self._owners != before
            raise failed

    def moved(self, slot: int, address: str, named_by: Node) -> Node:
        node = self.at(address, named_by)
        with self._lock:
            if self._owners[slot] is not node:
                self._owners = [*self._owners[:slot], node, *self._owners[slot + 1 :]]
        return node

    def at(self, address: str, named_by: Node) -> Node:
        host, _, port = address.rpartition(":")
        return self.at_address((host or named_by.name.rpartition(":")[0], int(port)))

    def at_address(self, address: Address) -> Node:
        with self._lock:
            if address not in self._nodes:
                self._nodes[address] = self._connect(*address)
            return self._nodes[address]

    def lost(self, node: Node) -> None:
        self._suspect = next((address for address, each in list(self._nodes.items()) if each is node), None)
        self._stale = True

    def _known(self) -> list[Node | None]:
        if self._stale:
            with self._lock:
                if self._stale:
                    self.refresh()
        return self._owners

    def _without_master(self) -> Node:
        self._stale = True
        raise ConnectionError("no node of the cluster holds some of the slots")

    def _learn(self, reply: Any, host: str) -> None:
        """Reads the reply of CLUSTER SLOTS: first and last slot, master, replicas. No host means this node."""
        owners: list[Node | None] = [None] * REDIS_CLUSTER_HASH_SLOTS
        masters: dict[Address, None] = {}
        replicas: dict[Address, None] = {}
        for first, last, *servers in reply:
            addresses = [((server[0] or b"").decode() or host, int(server[1])) for server in servers]
            masters[addresses[0]] = None
            replicas.update(dict.fromkeys(addresses[1:]))
            owners[first : last + 1] = [self.at_address(addresses[0])] * (last + 1 - first)
        self._masters, self._replicas, self._owners = list(masters), list(replicas), owners
        self._stale = False
        for address in [address for address in self._nodes if address not in masters | replicas]:
            self._nodes.pop(address).reconnect()
