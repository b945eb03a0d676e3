"""The servers: the server and the name of each key, and whether that name is still valid.

The server of a key depends only on the configured list. A server that is down is not replaced by another, because its
old data would come back with it. Reads of its keys fail, and SQL serves the pages. Another list is another store (it is
named after the list), which starts cold, so a plain remainder suffices to distribute the keys.

A restarted server makes another run of the whole store, which also starts cold. Otherwise a server that was replaced,
and later comes back in its old place, could be taken for one that was there all the time.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import NamedTuple
from zlib import crc32

from pymemcache.client.base import check_key_helper

from tweeter.backends.memcached.epoch import Epoch
from tweeter.backends.memcached.wire import ADD, DELETE, SET, Address, Found, Pools, Reply, Request, blocks, storing
from tweeter.errors import BackendUnavailable, SiteUnknown
from tweeter.metrics import count_damaged

ATTEMPTS = 10  # at a step in which other clients may interfere
PROBE_SECONDS = 60
LONGEST_NAME = 250  # memcached's own limit
LONGEST_PREFIX = 100
LONGEST_KEY = 100  # the site's id, a kind and a generation come between prefix and key
EPOCH, RUN, PROBE = "epoch", "run", "probe"


class Share(NamedTuple):
    """A server's part of the keys, and its response in an epoch."""

    server: int
    keys: Sequence[str]
    epoch: Epoch
    refused: Sequence[bytes]
    values: Mapping[bytes, Found]


class Servers:
    """All servers of one list, as one store.

    `shared_prefix` begins the names of all keys of all sites.
    """

    def __init__(self, addresses: Sequence[Address], shared_prefix: str, timeout: float) -> None:
        self._pools = Pools(addresses, timeout)
        self.names = self._pools.names
        self.shared_prefix = shared_prefix
        self._prefix = ""
        self._epochs: list[Epoch | None] = [None] * len(addresses)  # as this process last read them
        self._expected: list[bytes] = []

    def set_site(self, site_id: str) -> None:
        """See ITimelineStore."""
        self._prefix = f"{self.shared_prefix}{site_id}:"
        self._epochs = [None] * len(self.names)

    @property
    def prefix(self) -> str:
        """The prefix of the site's keys. Raises SiteUnknown before `set_site`."""
        if not self._prefix:
            raise SiteUnknown
        return self._prefix

    def name(self, kind: str, epoch: Epoch, key: str) -> bytes:
        """The name of a key of a kind in an epoch."""
        return f"{self.prefix}{kind}:{epoch.generation.decode()}:{key}".encode("ascii")

    def fixed(self, name: str) -> bytes:
        """The name of a value that every server has, independent of the epoch."""
        return f"{self.prefix}{name}".encode("ascii")

    def exchange(
        self, keys: Iterable[str], build: Callable[[Sequence[str], Epoch], Request], begin: bool = False
    ) -> list[Share]:
        """Sends each server the request built for its share of the keys and its epoch.

        A server without an epoch is omitted, because everything on it is cold; `begin` gives it an epoch instead.
        Raises BackendUnavailable, also if a server has another run than expected; MemcacheIllegalInputError for a key
        that memcached does not accept.
        """
        return self._exchange(self._shared_out(keys), build, begin)

    def exchange_each(self, request: Request, begin: bool = False, fenced: bool = True) -> list[Share]:
        """Like `exchange`, with one request to every server. Not `fenced`: another run than expected is no error."""
        return self._exchange({server: [] for server in range(len(self.names))}, lambda *_: request, begin, fenced)

    def _exchange(
        self,
        keys: Mapping[int, Sequence[str]],
        build: Callable[[Sequence[str], Epoch], Request],
        begin: bool,
        fenced: bool = True,
    ) -> list[Share]:
        shares: dict[int, Share | None] = {}
        for _ in range(ATTEMPTS):
            known = {server: self._epochs[server] for server in keys.keys() - shares.keys()}
            if not known:
                return [share for server in keys if (share := shares[server])]
            requests = {server: build(keys[server], epoch) if epoch else Request() for server, epoch in known.items()}
            for server, reply in self._round_trip(requests).items():
                epoch = self._epochs[server] = self._epoch(server, reply, fenced)
                reply.values.pop(self.fixed(EPOCH), None)
                before = known[server]
                if epoch is None and begin:
                    self._epochs[server] = self.begin(server)
                elif epoch is None:
                    shares[server] = None
                elif before is not None and before.generation == epoch.generation:
                    shares[server] = Share(server, keys[server], epoch, *reply)
                # Otherwise the names belonged to another generation: repeat with new names.
        raise BackendUnavailable("memcached: a server is cleared again and again, or forgets at once what it stores")

    def drop(self, kind: str, keys: Iterable[str]) -> None:
        """Deletes the keys of a kind."""
        self.exchange(
            keys,
            lambda keys, epoch: Request(blocks=blocks(map(DELETE, (self.name(kind, epoch, key) for key in keys)))),
        )

    def send(self, requests: Mapping[int, Request]) -> dict[int, Reply]:
        """Sends requests with names made earlier, which may belong to an old generation."""
        replies = self._round_trip(requests)
        for server, reply in replies.items():
            self._epoch(server, reply)
            reply.values.pop(self.fixed(EPOCH), None)
        return replies

    def begin(self, server: int) -> Epoch | None:
        """Gives an epoch to a server without a readable one. Returns the epoch that the server has afterwards."""
        reply = self._round_trip({server: Request([self.fixed(RUN)])})[server]
        found = reply.values.get(self.fixed(EPOCH))
        if (epoch := Epoch.read(found)) is not None:
            return epoch
        data = Epoch.new(reply.values.get(self.fixed(RUN))).data()
        if found is None:
            command = storing(ADD, self.fixed(EPOCH), data)
        else:
            count_damaged("memcached", {f"the epoch of {self.names[server]}": "undecodable"})
            command = storing(SET, self.fixed(EPOCH), data, unique=found.unique)
        reply = self._round_trip({server: Request(blocks=[command])})[server]
        return Epoch.read(reply.values.get(self.fixed(EPOCH)))

    def change(self, how: Callable[[Epoch], Epoch]) -> None:
        """Changes the epoch of every server that has one."""
        for server in range(len(self.names)):
            for _ in range(ATTEMPTS):
                reply = self._round_trip({server: Request()})[server]
                found = reply.values.get(self.fixed(EPOCH))
                epoch = self._epoch(server, reply)
                if found is None or epoch is None or (changed := how(epoch)) == epoch:
                    break
                cas = storing(SET, self.fixed(EPOCH), changed.data(), unique=found.unique)
                if not self.send({server: Request(blocks=[cas])})[server].refused:
                    self._epochs[server] = changed
                    break
            else:
                raise BackendUnavailable(f"memcached {self.names[server]}: its epoch can't be changed")

    def run_id(self) -> str:
        """The runs of all servers. Writes to and reads from each of them."""
        probe = Request([self.fixed(RUN)], [storing(SET, self.fixed(PROBE), b"", PROBE_SECONDS)])
        runs = []
        copies = {}
        for server, _, epoch, _, values in self.exchange_each(probe, begin=True, fenced=False):
            runs.append(epoch.run)
            if (copy := values.get(self.fixed(RUN))) is None or copy.data != epoch.run:
                copies[server] = Request(blocks=[storing(SET, self.fixed(RUN), epoch.run)])
        self._round_trip(copies)
        return b" ".join(runs).decode()

    def fence(self, run_id: str) -> None:
        """Fences off other runs from now on: any call but `run_id` raises BackendUnavailable for another run."""
        self._expected = [run.encode() for run in run_id.split()]

    def _shared_out(self, keys: Iterable[str]) -> dict[int, list[str]]:
        keys = list(keys)
        if not keys:
            return {}
        joined = "".join(keys)
        # Checking each key costs as much as appending to it, so all are checked together first.
        if " " in joined or not (joined.isascii() and joined.isprintable()) or max(map(len, keys)) > LONGEST_KEY:
            for key in keys:
                check_key_helper(key, allow_unicode_keys=False, key_prefix=b"-" * (LONGEST_NAME - LONGEST_KEY))
        if len(self.names) == 1:
            return {0: keys}
        shares: dict[int, list[str]] = {}
        for key in keys:
            shares.setdefault(crc32(key.encode("ascii")) % len(self.names), []).append(key)
        return shares

    def _round_trip(self, requests: Mapping[int, Request]) -> dict[int, Reply]:
        """Sends the requests, and after each a read of the epoch, in one round trip."""
        return self._pools.exchange(
            {n: request._replace(names=[*request.names, self.fixed(EPOCH)]) for n, request in requests.items()}
        )

    def _epoch(self, server: int, reply: Reply, fenced: bool = True) -> Epoch | None:
        epoch = Epoch.read(reply.values.get(self.fixed(EPOCH)))
        if fenced and (expected := self._expected):
            epoch = epoch or self.begin(server)
            if epoch is None or epoch.run not in expected[server : server + 1]:
                raise BackendUnavailable(f"memcached {self.names[server]}: it is new, or was started again")
        return epoch
