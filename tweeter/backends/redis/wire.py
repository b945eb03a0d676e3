"""Runs many commands in one exchange: on one server, or on all servers of a cluster at once.

Every command touches one key and is safe to repeat: a command without a reply may have been executed.

redis-py's client would do, too, but its pipeline takes a fourth longer for the four commands of a page, and neither it
nor `scan_iter` rejects another run of a server. Its cluster client lacks what `cluster` names.
"""

import time
from collections.abc import Collection, Iterable, Iterator, Sequence
from itertools import chain
from typing import Any

from redis.exceptions import RedisError, TimeoutError

from tweeter.backends.redis.commands import Call, encode, gets, pack
from tweeter.backends.redis.node import Exchange, Node, OtherRun, Refusal, field
from tweeter.backends.redis.topology import Topology
from tweeter.errors import SiteUnknown
from tweeter.measure import round_trip

PAUSE = 0.01  # seconds before the first retry on a cluster that is changing; doubled each time
ATTEMPTS = 8
UNSETTLED = {"TRYAGAIN", "CLUSTERDOWN"}
NO_MASTER = {"READONLY", "MASTERDOWN"}  # another node is the master, or will be
SCANNED = 1000  # keys per SCAN
AT_ONCE = 500  # commands per exchange
MOST_ROUNDS = 6
OPTIONAL = {"SORT"}  # commands whose refusal is returned, not raised


ASKING, SERVER, REPLICATION = pack("ASKING"), pack("INFO", "server"), pack("INFO", "replication")

Batch = tuple[Node, bytes, int]  # a node, encoded commands, and the number of their replies


class Wire:
    """Sends commands to a topology. Raises redis-py's errors, and a Refusal if a server refused a command.

    `shared_prefix` begins the names of all keys of all sites.
    """

    def __init__(self, topology: Topology, timeout: float, shared_prefix: str) -> None:
        self.topology = topology
        self.shared_prefix = shared_prefix
        self._timeout = timeout
        self._prefix = ""
        self._runs: Collection[str] | None = None

    def set_site(self, site_id: str) -> None:
        """See ITimelineStore."""
        self._prefix = f"{self.shared_prefix}{site_id}:"

    @property
    def prefix(self) -> str:
        """The prefix of the site's keys. Raises SiteUnknown before `set_site`."""
        if not self._prefix:
            raise SiteUnknown
        return self._prefix

    def run_id(self) -> str:
        """The run ids of the servers that hold the keys. Writes a key to each: a read-only server is of no use.

        The replication id reveals a server that was a replica in between and lost the data that its master lacked.
        """
        stem = f"{self.prefix}probe"
        self.topology.refresh()
        nodes = self.topology.nodes()
        self.run([("SET", self.topology.key_on(node, stem), b"", "PX", 60_000) for node in nodes], anyone=True)
        with round_trip():
            infos = self.read(self.begin([(node, SERVER + REPLICATION, 2) for node in nodes], anyone=True))
        for reply in chain.from_iterable(infos):
            if isinstance(reply, Refusal):
                raise reply
        return ",".join(sorted(f"{field(one, b'run_id')}:{field(other, b'master_replid')}" for one, other in infos))

    def fence(self, run_id: str) -> None:
        """Fences off other runs from now on: exchanges with a server of another run raise OtherRun."""
        self._runs = frozenset(run.partition(":")[0] for run in run_id.split(","))

    def call(self, *call: Any) -> Any:
        """One command and its reply."""
        return self.run([call])[0]

    def run(self, calls: Sequence[Call], anyone: bool = False) -> list[Any]:
        """The replies to the commands; each command is a name or Script, a key, and arguments.

        The reply is a Refusal if the key holds another type. `anyone`: also accepts servers of other runs. Many
        commands are sent in several exchanges, each with a timeout of its own.
        """
        replies: list[Any] = []
        for first in range(0, len(calls), AT_ONCE):
            with round_trip():
                replies += self._run(calls[first : first + AT_ONCE], anyone)
        return replies

    def values(self, prefix: str, numbers: Sequence[int]) -> list[Any]:
        """The values of the keys made of the prefix and a number; a Refusal for a value of another type.

        Encoded in bulk, because every page calls it.
        """
        found: dict[int, Any] = {}
        start = prefix.encode()
        try:
            with round_trip():
                parts = self.topology.split(start, numbers)
                lots = self.read(self.begin((node, gets(start, part), len(part)) for node, part in parts.items()))
            for part, values in zip(parts.values(), lots, strict=True):
                found.update(zip(part, values, strict=True))
        except (TimeoutError, OtherRun):
            raise
        except RedisError:
            pass
        if len(found) < len(numbers) or Refusal in map(type, found.values()):
            # What failed is repeated one by one, so that redirections are followed.
            again = [n for n in numbers if n not in found or (isinstance(found[n], Refusal) and not found[n].damaged)]
            found.update(zip(again, self.run([("GET", f"{prefix}{number}") for number in again]), strict=True))
        return [found[number] for number in numbers]

    def begin(
        self, batches: Iterable[Batch], under_way: Iterable[Exchange] = (), anyone: bool = False
    ) -> list[Exchange]:
        """Writes batches to their nodes. The returned exchanges must be read or aborted.

        If an exchange with the node is in progress, the commands use its connection, and their replies are read after
        the earlier ones. On separate connections the server would work on all of them in turns and finish all late.
        """
        earlier = {exchange.node: exchange for exchange in under_way}
        begun: list[Exchange] = []
        try:
            for node, payload, replies in batches:
                exchange = earlier.get(node)
                try:
                    if exchange is None or exchange.over:
                        exchange = node.begin(payload, replies, None if anyone else self._runs)
                    else:
                        exchange.write(payload, replies)
                    begun.append(exchange)
                except RedisError:
                    self.topology.lost(node)
                    raise
        except BaseException:
            abort(begun)
            raise
        return begun

    def read(self, begun: Sequence[Exchange], deadline: float | None = None) -> list[list[Any]]:
        """The replies of each exchange, Refusals among them."""
        deadline = deadline or time.monotonic() + self._timeout
        replies = []
        try:
            for exchange in begun:
                try:
                    replies.append(exchange.read(deadline))
                except RedisError:
                    self.topology.lost(exchange.node)
                    raise
        except BaseException:
            abort(begun)
            raise
        return replies

    def scan(self, prefix: str) -> Iterator[list[bytes]]:
        """All keys with the prefix, in chunks, so that other clients get turns in between; some keys come twice."""
        pattern = "".join(f"\\{letter}" if letter in "\\*?[]" else letter for letter in prefix) + "*"
        rounds = 0
        while rounds < self.topology.rounds or (self.topology.refresh() and rounds < MOST_ROUNDS):
            rounds += 1
            for node in self.topology.nodes():
                cursor = b"0"
                while True:
                    payload = pack("SCAN", cursor, "MATCH", pattern, "COUNT", SCANNED)
                    with round_trip():
                        [[reply]] = self.read(self.begin([(node, payload, 1)]))
                    if isinstance(reply, Refusal):
                        raise reply
                    cursor, names = reply
                    if names:
                        yield names
                    if cursor == b"0":
                        break

    def unlink_all(self, prefix: str) -> None:
        """Deletes all keys with the prefix; the servers free their memory in the background."""
        for names in self.scan(prefix):
            self.run([("UNLINK", name) for name in names])

    def _run(self, calls: Sequence[Call], anyone: bool) -> list[Any]:
        deadline = time.monotonic() + self._timeout
        for repeated in (False, True):
            try:
                replies = self._exchange(calls, anyone, deadline)
                if Refusal in map(type, replies):
                    for place, reply in enumerate(replies):
                        if _is_refused(calls[place], reply):
                            replies[place] = self._repeat(calls[place], reply, anyone, deadline)
                break
            except (TimeoutError, OtherRun):
                raise
            except RedisError:  # an idle connection that the server closed, or a master that is down
                if repeated:
                    raise
        return replies

    def _exchange(self, calls: Sequence[Call], anyone: bool, deadline: float) -> list[Any]:
        """Writes to all nodes, then reads from all."""
        places: dict[Node, list[int]] = {}
        for place, call in enumerate(calls):
            places.setdefault(self.topology.node_of(call[1]), []).append(place)
        batches = [(node, b"".join([encode(calls[n]) for n in some]), len(some)) for node, some in places.items()]
        replies: list[Any] = [None] * len(calls)
        for some, lot in zip(places.values(), self.read(self.begin(batches, anyone=anyone), deadline), strict=True):
            for place, reply in zip(some, lot, strict=True):
                replies[place] = reply
        return replies

    def _repeat(self, call: Call, refusal: Refusal, anyone: bool, deadline: float) -> Any:
        """Repeats a refused command: where a redirection leads, with its script, or when the nodes agree again."""
        node = self.topology.node_of(call[1])
        asking = load = False
        for attempt in range(ATTEMPTS):
            code = refusal.code
            if code in UNSETTLED or (attempt > 1 and code == "MOVED"):  # the nodes do not agree yet
                time.sleep(max(0, min(PAUSE * 2**attempt, deadline - time.monotonic())))
            if time.monotonic() > deadline:
                break
            match code:
                case "MOVED":
                    _, slot, address = str(refusal).split(" ")
                    node, asking = self.topology.moved(int(slot), address, node), False
                case "ASK":  # the slot is migrating; this key has moved already, or does not exist
                    node, asking = self.topology.at(str(refusal).split(" ")[2], node), True
                case "NOSCRIPT" if not load:
                    load = True
                case _ if code in UNSETTLED:
                    self.topology.lost(node)
                    node, asking = self.topology.node_of(call[1]), False
                case _:
                    if code in NO_MASTER:
                        self.topology.lost(node)
                    raise refusal
            lines = [*([call[0].load] if load else []), *([ASKING] if asking else []), encode(call)]
            [[*_, reply]] = self.read(self.begin([(node, b"".join(lines), len(lines))], anyone=anyone), deadline)
            if not _is_refused(call, reply):
                return reply
            refusal = reply
        raise refusal


def _is_refused(call: Call, reply: object) -> bool:
    return isinstance(reply, Refusal) and not reply.damaged and call[0] not in OPTIONAL


def abort(begun: Iterable[Exchange]) -> None:
    """Aborts the exchanges that were not read."""
    for exchange in begun:
        exchange.abort()
