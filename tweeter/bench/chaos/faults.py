"""The faults: which parts are killed, and how one sees that the cluster works again as before."""

import re
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

from tweeter.bench.chaos.cluster import SITES, Cluster, Part
from tweeter.bench.chaos.history import BETWEEN, History, Tally
from tweeter.bench.chaos.visitor import PRIMARY, Visitor
from tweeter.devtools.servers.workers import CeleryWorker

KINDS = ("store", "broker", "worker", "relay", "site", "replica", "primary", "holder", "workers")
DOWN = 1.0  # seconds from the kill to the start
PATIENCE = 30.0  # seconds to recover, at most
_HOLDS = re.compile(r"^tweeter_relay_holds_lease\{[^}]*\} 1", re.MULTILINE)
_SERVES = re.compile(r"^tweeter_replica_serves\{[^}]*\} 1", re.MULTILINE)


@dataclass(frozen=True)
class Fault:
    """`parts` are killed and started again. `healed` says whether their work is done again, beside serving pages."""

    name: str
    parts: Sequence[Part]
    healed: Callable[[], bool] = field(default=lambda: True)


class Faults:
    """Of one cluster. `watcher` sees whether pages come from the store."""

    def __init__(self, cluster: Cluster, history: History, watcher: Visitor) -> None:
        self._cluster = cluster
        self._history = history
        self._watcher = watcher

    def in_turn(self, kinds: Sequence[str]) -> Iterator[Fault]:
        """Without end. Of two equal parts, each round has another one."""
        number = 0
        while True:
            for kind in kinds:
                yield self._fault(kind, number % 2)
            number += 1

    def _fault(self, kind: str, number: int) -> Fault:
        cluster = self._cluster
        worker = cluster.workers[number]
        match kind:
            case "store":
                return Fault("Redis", [cluster.store])
            case "broker":
                return Fault("broker", [cluster.broker], _does_chunks(cluster.workers))
            case "worker":
                return Fault(f"worker {number + 1}", [worker], _does_chunks([worker]))
            case "workers":
                return Fault("both workers", cluster.workers, _does_chunks(cluster.workers))
            case "relay":
                return Fault("relay", [cluster.relay])
            case "site":
                return Fault(SITES[number], [cluster.sites[SITES[number]]])
            case "holder":
                holder = self._holder()
                return Fault(holder, [cluster.sites.get(holder, cluster.relay)])
            case "replica":
                return Fault("replica", [cluster.replica])
            case "primary":
                return Fault(PRIMARY, [cluster.primary], _does_chunks(cluster.workers))
        raise AssertionError(kind)

    def strike(self, fault: Fault) -> Tally:
        """Kills the parts, starts them a second later, and waits until everything works as before."""
        history = self._history
        delivers = fault.name == self._holder()
        tally = history.begin(fault.name)
        tally.delivered = delivers
        killed = time.monotonic()
        with history.outages.of(fault.name):
            for part in fault.parts:
                part.kill()
            history.over.wait(DOWN)
            for part in fault.parts:
                part.spawn()
            for part in fault.parts:
                part.wait()
        started = time.monotonic()
        while (ailing := self.ailing()) or not fault.healed():
            if time.monotonic() > started + PATIENCE:
                history.complain(f"it did not recover within {PATIENCE:g} s: {ailing or 'workers do no chunks'}")
                break
            time.sleep(0.05)
        tally.down, tally.recovered = started - killed, time.monotonic() - started
        history.begin(BETWEEN)
        return tally

    def _holder(self) -> str:
        """The process that holds the lease. The relay has no /metrics: it is the one if no site process is."""
        return next((part for part in SITES if _HOLDS.search(self._watcher.metrics(part))), "relay")

    def ailing(self) -> str:
        """What does not work; empty if everything does."""
        for part in SITES:
            if (by := self._watcher.served_by(part)) != "redis":
                return f"{part} serves pages from {by or 'nowhere'}"
            if not _SERVES.search(self._watcher.metrics(part)):
                return f"{part} does not read on the replica"
        return ""


def _does_chunks(workers: Sequence[CeleryWorker]) -> Callable[[], bool]:
    """Whether each of the workers has done a chunk since the first call, which is made after they were started."""
    begins: list[int] = []

    def healed() -> bool:
        for worker in workers:
            worker.revive()
        done = [worker.log.count(" succeeded in ") for worker in workers]
        begins[:] = begins or done
        return all(now > begin for now, begin in zip(done, begins, strict=True))

    return healed
