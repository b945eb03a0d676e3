"""A private Redis Cluster: masters, and as many replicas. Needs redis-py."""

import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import partial

from redis import Redis as Client
from redis.backoff import NoBackoff
from redis.exceptions import RedisError
from redis.retry import Retry

from tweeter.devtools.servers.base import PATIENCE, free_port, release_port, reserve_port
from tweeter.devtools.servers.redis import Redis

SLOTS = 16_384
NODE_TIMEOUT = 1000  # ms until the others consider a node dead


def wait_until(what: Callable[[], object], seconds: float = PATIENCE, pause: float = 0.05) -> None:
    """Waits for a condition; errors of a server count as false. Raises TimeoutError."""
    deadline = time.monotonic() + seconds
    while True:
        with suppress(RedisError):
            if what():
                return
        if time.monotonic() > deadline:
            raise TimeoutError("it did not come true in time")
        time.sleep(pause)


class Member(Redis):
    """A server with additional options."""

    @property
    def options(self) -> Sequence[str]:
        return ()

    def command(self) -> Sequence[str]:
        return [*super().command(), "--repl-diskless-sync-delay", "0", *self.options]

    def client(self) -> Client:
        return Client(host=self.host, port=self.port, retry=Retry(NoBackoff(), 0), decode_responses=True)

    def info(self) -> dict[str, str]:
        with self.client() as client:
            found: dict[str, str] = client.info("replication")
            return found

    @property
    def follows(self) -> bool:
        """Whether it is a replica in sync with its master."""
        info = self.info()
        return info["role"] == "slave" and info["master_link_status"] == "up"


class ClusterMember(Member):
    @property
    def options(self) -> Sequence[str]:
        return (
            "--cluster-enabled", "yes", "--cluster-config-file", "nodes.conf",
            "--cluster-node-timeout", str(self._timeout), "--cluster-replica-validity-factor", "0",
        )  # fmt: skip

    def __init__(self, timeout: int) -> None:
        super().__init__()
        self._timeout = timeout  # ms
        self.port = self._bus = 0
        while not self._bus:
            self.port = free_port()
            with suppress(OSError):
                self._bus = reserve_port(self.port + 10_000)  # the cluster bus port
        self.id = ""

    def close(self) -> None:
        super().close()
        release_port(self._bus)

    def do(self, *command: object) -> object:
        with self.client() as client:
            return client.execute_command(*command)

    def state(self) -> dict[str, str]:
        return self.do("CLUSTER INFO")  # type: ignore[return-value]


class RedisCluster:
    """Masters, each with a replica: with three masters the fourth member is the replica of the first, and so on.

    `timeout` is the time in ms until the others consider a node dead.
    """

    def __init__(self, masters: int = 3, replicas: bool = True, timeout: int = NODE_TIMEOUT) -> None:
        self.members = [ClusterMember(timeout) for _ in range(masters * (1 + replicas))]
        self.masters, self.replicas = self.members[:masters], self.members[masters:]

    @property
    def url(self) -> str:
        return "redis+cluster://" + ",".join(f"{member.host}:{member.port}" for member in self.members)

    def start(self) -> None:
        for member in self.members:
            member.start()
            member.id = str(member.do("CLUSTER MYID"))
        for number, member in enumerate(self.members):
            member.do("CLUSTER SET-CONFIG-EPOCH", number + 1)
        ends = [number * SLOTS // len(self.masters) for number in range(len(self.masters) + 1)]
        for master, first, end in zip(self.masters, ends, ends[1:], strict=False):
            master.do("CLUSTER ADDSLOTSRANGE", first, end - 1)
        for member in self.members[1:]:
            member.do("CLUSTER MEET", self.members[0].host, self.members[0].port)
        known = str(len(self.members))
        wait_until(lambda: all(member.state()["cluster_known_nodes"] == known for member in self.members))
        for master, replica in zip(self.masters, self.replicas, strict=False):
            wait_until(partial(replica.do, "CLUSTER REPLICATE", master.id))
        wait_until(lambda: all(replica.follows for replica in self.replicas))
        self.wait_until_whole()

    def owner(self, slot: int) -> ClusterMember:
        """The master that holds a slot."""
        for first, last, master, *_ in self.running[0].do("CLUSTER SLOTS"):  # type: ignore[attr-defined]
            if first <= slot <= last:
                return next(member for member in self.members if member.id == master[2])
        raise LookupError(slot)

    @property
    def running(self) -> list[ClusterMember]:
        return [member for member in self.members if member.running]

    def wait_until_whole(self) -> None:
        """Waits until all running nodes agree on the owner of every slot."""
        running = self.running
        wait_until(
            lambda: all(
                state["cluster_state"] == "ok" and state["cluster_slots_ok"] == str(SLOTS)
                for state in (member.state() for member in running)
            )
        )

    def flush(self) -> None:
        for member in self.running:
            if member.info()["role"] == "master":
                member.do("FLUSHALL")

    def move(self, slot: int, source: ClusterMember, target: ClusterMember, pause: float = 0) -> None:
        """Moves a slot with its keys; `pause` seconds between the keys."""
        target.do("CLUSTER SETSLOT", slot, "IMPORTING", source.id)
        source.do("CLUSTER SETSLOT", slot, "MIGRATING", target.id)
        while keys := source.do("CLUSTER GETKEYSINSLOT", slot, 1):
            source.do("MIGRATE", target.host, target.port, "", 0, 5000, "KEYS", *keys)  # type: ignore[misc]
            time.sleep(pause)
        time.sleep(pause)
        # In this order: the source redirects clients to a node that knows the slot.
        others = [member for member in self.running if member.info()["role"] == "master"]
        for member in dict.fromkeys((target, source, *others)):
            member.do("CLUSTER SETSLOT", slot, "NODE", target.id)
        # Two nodes that take slots at the same time may use the same epoch; then the others cannot decide which
        # claim is the newer one.
        wait_until(lambda: len({member.state()["cluster_current_epoch"] for member in self.running}) == 1, pause=0.005)

    def close(self) -> None:
        for member in self.members:
            member.close()
