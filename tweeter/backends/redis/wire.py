"""Runs many commands in one exchange: on one server, or on all servers of a cluster at once.

Every command touches one key, and all of them may be repeated: what was sent and not answered may have been done.
"""

import time
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from redis.exceptions import RedisError, TimeoutError

from tweeter.backends.redis.commands import Call, encode, gets, pack
from tweeter.backends.redis.node import Exchange, Node, Refusal, Stranger, field
from tweeter.backends.redis.topology import Topology
from tweeter.errors import SiteUnknown
from tweeter.measure import round_trip

PAUSE = 0.01  # seconds before a cluster in the middle of something is asked again; doubled each time
ATTEMPTS = 8
UNSETTLED = {"TRYAGAIN", "CLUSTERDOWN"}
NO_MASTER = {"READONLY", "MASTERDOWN"}  # another is, or will be
SCANNED = 1000  # keys at a time
AT_ONCE = 500  # commands
MOST_ROUNDS = 6
OPTIONAL = {"SORT"}  # commands whose refusal is an answer


ASKING, SERVER, REPLICATION = pack("ASKING"), pack("INFO", "server"), pack("INFO", "replication")

Batch = tuple[Node, bytes, int]  # encoded commands, and how many replies they get


class _Route(NamedTuple):
    place: int
    node: Node
    asking: bool = False  # of the one that imports the slot
    load: bool = False  # the script has to be sent first


class Wire:
    """Commands to a topology. Raises redis-py's errors, and a Refusal where a server refused a command.

    `shared_prefix` begins the names of all keys, whichever site's they are.
    """

    def __init__(self, topology: Topology, timeout: float, shared_prefix: str) -> None:
        self.topology = topology
        self.shared_prefix = shared_prefix
        self._timeout = timeout
        self._prefix = ""
        self._runs: Collection[str] | None = None

    def set_site(self, site_id: str) -> None:
        """As of ITimelineStore."""
        self._prefix = f"{self.shared_prefix}{site_id}:"

    @property
    def prefix(self) -> str:
        """With what the names of the site's keys begin."""
        if not self._prefix:
            raise SiteUnknown
        return self._prefix

    def incarnation(self) -> str:
        """Which runs of which servers hold the keys. Writes a key to each: a server that is only read from is no use.

        The replication id tells of a server that was a replica meanwhile, and has lost what its master did not have.
        """
        stem = f"{self.prefix}probe"
        self.topology.refresh()
        nodes = self.topology.nodes()
        self.run([("SET", self.topology.key_on(node, stem), b"", "PX", 60_000) for node in nodes], anyone=True)
        with round_trip():
            infos = self.read(self._begin([(node, SERVER + REPLICATION, 2) for node in nodes], None))
        for info in infos:
            for answer in info:
                if isinstance(answer, Refusal):
                    raise answer
        return ",".join(sorted(f"{field(one, b'run_id')}:{field(other, b'master_replid')}" for one, other in infos))

    def expect(self, incarnation: str) -> None:
        """From now on, only these servers are talked to; raises Stranger where another one answers."""
        self._runs = frozenset(run.partition(":")[0] for run in incarnation.split(","))

    def call(self, *call: Any) -> Any:
        """One command and its reply."""
        return self.run([call])[0]

    def run(self, calls: Sequence[Call], anyone: bool = False) -> list[Any]:
        """The replies to all of the commands, each a name or Script, a key, and arguments.

        A Refusal is the reply of those whose key holds another type. `anyone`: also to servers that are not expected.
        Many commands go some at a time, each lot with a timeout of its own.
        """
        replies: list[Any] = []
        for first in range(0, len(calls), AT_ONCE):
            with round_trip():
                replies += self._run(calls[first : first + AT_ONCE], None if anyone else self._runs)
        return replies

    def values(self, prefix: str, numbers: Sequence[int]) -> list[Any]:
        """The values of the keys that are the prefix and a number; encoded in bulk, for it is what every page asks.

        A Refusal stands for one of another type.
        """
        found: dict[int, Any] = {}
        start = prefix.encode()
        try:
            with round_trip():
                parts = self.topology.split(start, numbers)
                answers = self.read(self.begin((node, gets(start, part), len(part)) for node, part in parts.items()))
            for part, answer in zip(parts.values(), answers, strict=True):
                found.update(zip(part, answer, strict=True))
        except (TimeoutError, Stranger):
            raise
        except RedisError:
            found = dict.fromkeys(numbers, Refusal())
        # One by one, what was refused can be followed to where it is now.
        refused = [number for number, value in found.items() if isinstance(value, Refusal) and not value.damaged]
        found.update(zip(refused, self.run([("GET", f"{prefix}{number}") for number in refused]), strict=True))
        return [found[number] for number in numbers]

    def begin(self, batches: Iterable[Batch], under_way: Iterable[Exchange] = ()) -> list[Exchange]:
        """Writes encoded commands, with the numbers of replies, to their nodes. Has to be read or aborted.

        Where an exchange with the node is under way, they follow on its connection, and are read after what is there:
        on connections of their own the server would work on all of them by turns and end them all at once.
        """
        return self._begin(batches, self._runs, {exchange.node: exchange for exchange in under_way})

    def read(self, begun: Sequence[Exchange], deadline: float | None = None) -> list[list[Any]]:
        """The replies to what was begun; Refusals are among them."""
        deadline = deadline or time.monotonic() + self._timeout
        answers = []
        try:
            for exchange in begun:
                try:
                    answers.append(exchange.read(deadline))
                except RedisError:
                    self.topology.lost(exchange.node)
                    raise
        except BaseException:
            abort(begun)
            raise
        return answers

    def scan(self, prefix: str) -> Iterator[list[bytes]]:
        """All keys with the prefix, some at a time, so that others get their turn in between; some of them twice."""
        pattern = "".join(f"\\{letter}" if letter in "\\*?[]" else letter for letter in prefix) + "*"
        rounds = 0
        while rounds < self.topology.rounds or (self.topology.refresh() and rounds < MOST_ROUNDS):
            rounds += 1
            for node in self.topology.nodes():
                cursor = b"0"
                while True:
                    payload = pack("SCAN", cursor, "MATCH", pattern, "COUNT", SCANNED)
                    with round_trip():
                        [[answer]] = self.read(self.begin([(node, payload, 1)]))
                    if isinstance(answer, Refusal):
                        raise answer
                    cursor, names = answer
                    if names:
                        yield names
                    if cursor == b"0":
                        break

    def unlink_all(self, prefix: str) -> None:
        """Deletes all keys with the prefix; the servers free their memory in the background."""
        for names in self.scan(prefix):
            self.run([("UNLINK", name) for name in names])

    def _begin(
        self, batches: Iterable[Batch], runs: Collection[str] | None, under_way: Mapping[Node, Exchange] | None = None
    ) -> list[Exchange]:
        begun: list[Exchange] = []
        try:
            for node, payload, replies in batches:
                exchange = under_way.get(node) if under_way else None
                try:
                    if exchange is None or exchange.over:
                        exchange = node.begin(payload, replies, runs)
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

    def _run(self, calls: Sequence[Call], runs: Collection[str] | None) -> list[Any]:
        replies: list[Any] = [None] * len(calls)
        deadline = time.monotonic() + self._timeout
        routes = [self._route(place, call) for place, call in enumerate(calls)]
        repeated = False
        for attempt in range(ATTEMPTS):
            try:
                self._exchange(calls, routes, replies, runs, deadline)
            except (TimeoutError, Stranger):
                raise
            except RedisError:  # a connection that was closed while nobody used it, or a master that is gone
                if repeated:
                    raise
                repeated = True
                routes = [self._route(route.place, calls[route.place]) for route in routes]
                continue
            refused = [route for route in routes if _is_refused(calls[route.place], replies[route.place])]
            if not refused:
                return replies
            codes = {replies[route.place].code for route in refused}
            if codes & UNSETTLED or (attempt > 1 and "MOVED" in codes):  # the nodes do not agree yet
                time.sleep(max(0, min(PAUSE * 2**attempt, deadline - time.monotonic())))
            if time.monotonic() > deadline:
                break
            routes = [self._again(route, calls[route.place], replies[route.place]) for route in refused]
        raise replies[routes[0].place]

    def _route(self, place: int, call: Call) -> _Route:
        key = call[1]
        return _Route(place, self.topology.node_of(key if isinstance(key, bytes) else key.encode()))

    def _again(self, route: _Route, call: Call, refusal: Refusal) -> _Route:
        """Where a command goes that was refused; raises the Refusal where it can go nowhere."""
        match refusal.code:
            case "MOVED":
                _, slot, address = str(refusal).split(" ")
                return _Route(route.place, self.topology.moved(int(slot), address, route.node))
            case "ASK":  # the slot is on its way, and this key is there already, or nowhere
                return _Route(route.place, self.topology.at(str(refusal).split(" ")[2], route.node), asking=True)
            case "NOSCRIPT" if not route.load:
                return route._replace(load=True)
            case code if code in UNSETTLED:
                self.topology.lost(route.node)
                return self._route(route.place, call)
            case code if code in NO_MASTER:
                self.topology.lost(route.node)
        raise refusal

    def _exchange(
        self,
        calls: Sequence[Call],
        routes: Sequence[_Route],
        replies: list[Any],
        runs: Collection[str] | None,
        deadline: float,
    ) -> None:
        """Writes to all nodes, then reads from all; puts the replies into their places."""
        # What is written, and the place of its reply; -1 where nobody asks for it.
        written: dict[Node, list[tuple[bytes, int]]] = {}
        for route in routes:
            call = calls[route.place]
            lines = written.setdefault(route.node, [])
            if route.load and (call[0].load, -1) not in lines:
                lines.append((call[0].load, -1))
            if route.asking:
                lines.append((ASKING, -1))
            lines.append((encode(call), route.place))
        batches = [(node, b"".join([line for line, _ in lines]), len(lines)) for node, lines in written.items()]
        answers = self.read(self._begin(batches, runs), deadline)
        for lines, answered in zip(written.values(), answers, strict=True):
            for (_, place), answer in zip(lines, answered, strict=True):
                if place >= 0:
                    replies[place] = answer


def _is_refused(call: Call, reply: object) -> bool:
    return isinstance(reply, Refusal) and not reply.damaged and call[0] not in OPTIONAL


def abort(begun: Iterable[Exchange]) -> None:
    """Gives up what was begun and not read."""
    for exchange in begun:
        exchange.abort()
