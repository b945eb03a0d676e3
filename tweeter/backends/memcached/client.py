"""The servers: which of them keeps a key, by what name, and whether that name still holds.

A key's server depends on the configured list alone. One that is down is not replaced by another: what it holds would
come back with it, as it was before. Its keys can't be asked then, and SQL answers. Another list is another store (it is
named after the list), which begins cold, so the keys may as well be spread by a plain remainder.

A server that was started again makes another incarnation of the whole store, which begins cold too: only so a server
that is replaced, and later comes back in its old place, is never taken for one that was there all the time.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import NamedTuple
from zlib import crc32

from pymemcache.client.base import check_key_helper

from tweeter.backends.memcached.epoch import Epoch
from tweeter.backends.memcached.pools import Pools, Reply
from tweeter.backends.memcached.wire import STORED, Address, Found, Request, blocks, storing
from tweeter.errors import BackendUnavailable, SiteUnknown
from tweeter.metrics import count_damaged

ATTEMPTS = 10  # at a step that others interfere with
PROBE_SECONDS = 60
LONGEST_NAME = 250  # memcached's own limit
LONGEST_PREFIX = 100
LONGEST_KEY = 100  # between the two stand the site's id, a kind and a generation
EPOCH, RUN, PROBE = "epoch", "run", "probe"


class Answer(NamedTuple):
    """What a server said in an epoch: a line for each command, and the values that are there of the names."""

    epoch: Epoch
    lines: list[bytes]
    values: dict[bytes, Found]


class Share(NamedTuple):
    """A server's part of the keys, and its answer: None where all there is cold."""

    server: int
    keys: list[str]
    answer: Answer | None


class Servers:
    """All servers of one list, as one place for keys.

    `shared_prefix` begins the names of all keys, whichever site's they are.
    """

    def __init__(self, addresses: Sequence[Address], shared_prefix: str, timeout: float) -> None:
        self._pools = Pools(addresses, timeout)
        self.names = self._pools.names
        self.shared_prefix = shared_prefix
        self._prefix = ""
        self._epochs: list[Epoch | None] = [None] * len(addresses)  # as this process last saw them
        self._expected: list[bytes] = []

    def set_site(self, site_id: str) -> None:
        """As of ITimelineStore."""
        self._prefix = f"{self.shared_prefix}{site_id}:"
        self._epochs = [None] * len(self.names)

    @property
    def prefix(self) -> str:
        """With what the names of the site's keys begin."""
        if not self._prefix:
            raise SiteUnknown
        return self._prefix

    def name(self, kind: str, epoch: Epoch, key: str) -> bytes:
        """The name that a key of a kind has in an epoch."""
        return f"{self.prefix}{kind}:{epoch.generation.decode()}:{key}".encode("ascii")

    def fixed(self, name: str) -> bytes:
        """The name of what stands on every server."""
        return f"{self.prefix}{name}".encode("ascii")

    def ask(self, keys: Iterable[str], build: Callable[[Sequence[str], Epoch], Request]) -> list[Share]:
        """Sends each server the request that is built for its share of the keys and its epoch.

        Raises BackendUnavailable, also where a server is not the one that is expected; MemcacheIllegalInputError for a
        key that memcached does not take.
        """
        return self._ask(self._shared_out(keys), build)

    def ask_each(self, build: Callable[[Epoch], Request]) -> list[Share]:
        """As `ask`, a request to every server."""
        return self._ask({server: [] for server in range(len(self.names))}, lambda keys, epoch: build(epoch))

    def _ask(self, shares: dict[int, list[str]], build: Callable[[Sequence[str], Epoch], Request]) -> list[Share]:
        answers: dict[int, Answer | None] = {}
        for _ in range(ATTEMPTS):
            todo = shares.keys() - answers.keys()
            if not todo:
                return [Share(server, share, answers[server]) for server, share in shares.items()]
            known = {server: self._epochs[server] for server in todo}
            requests = {server: build(shares[server], epoch) if epoch else Request() for server, epoch in known.items()}
            for server, reply in self._exchange(requests).items():
                epoch = self._epochs[server] = self._epoch(server, reply)
                reply.values.pop(self.fixed(EPOCH), None)
                before = known[server]
                if epoch is None:
                    answers[server] = None
                elif before is not None and before.generation == epoch.generation:
                    answers[server] = Answer(epoch, *reply)
                # Otherwise the names were of another generation: it is done again.
        raise BackendUnavailable("memcached: cleared again and again")

    def commands(self, commands: Mapping[int, Iterable[bytes]]) -> dict[int, list[bytes]]:
        """The answers to commands by names that were made before, and that may be of a generation that is over."""
        replies = self._exchange({server: Request(blocks=blocks(each)) for server, each in commands.items()})
        for server, reply in replies.items():
            self._epoch(server, reply)
        return {server: reply.lines for server, reply in replies.items()}

    def begin(self, server: int) -> Epoch | None:
        """Gives an epoch to a server that has none, or one that can't be read. Returns the one that is there then."""
        reply = self._exchange({server: Request([self.fixed(RUN)])})[server]
        found = reply.values.get(self.fixed(EPOCH))
        if (epoch := Epoch.read(found)) is not None:
            return epoch
        data = Epoch.new(reply.values.get(self.fixed(RUN))).data()
        if found is None:
            command = storing(b"add", self.fixed(EPOCH), data)
        else:
            count_damaged("memcached", {f"the epoch of {self.names[server]}": "undecodable"})
            command = storing(b"cas", self.fixed(EPOCH), data, unique=found.unique)
        reply = self._exchange({server: Request(blocks=blocks([command]))})[server]
        return Epoch.read(reply.values.get(self.fixed(EPOCH)))

    def change(self, how: Callable[[Epoch], Epoch]) -> None:
        """Changes the epoch of every server that has one."""
        for server in range(len(self.names)):
            for _ in range(ATTEMPTS):
                reply = self._exchange({server: Request()})[server]
                found = reply.values.get(self.fixed(EPOCH))
                epoch = self._epoch(server, reply)
                if found is None or epoch is None or (changed := how(epoch)) == epoch:
                    break
                cas = storing(b"cas", self.fixed(EPOCH), changed.data(), unique=found.unique)
                if self.commands({server: [cas]})[server] == [STORED]:
                    self._epochs[server] = changed
                    break
            else:
                raise BackendUnavailable(f"memcached {self.names[server]}: its epoch can't be changed")

    def incarnation(self) -> str:
        """The runs of all servers, each of which was just written to and read."""
        probe = Request([self.fixed(RUN)], blocks([storing(b"set", self.fixed(PROBE), b"", PROBE_SECONDS)]))
        for _ in range(ATTEMPTS):
            replies = self._exchange(dict.fromkeys(range(len(self.names)), probe))
            epochs = {server: Epoch.read(reply.values.get(self.fixed(EPOCH))) for server, reply in replies.items()}
            runs = {server: epoch.run for server, epoch in epochs.items() if epoch is not None}
            if len(runs) == len(epochs):
                copies = {server: reply.values.get(self.fixed(RUN)) for server, reply in replies.items()}
                self._exchange(
                    {
                        server: Request(blocks=blocks([storing(b"set", self.fixed(RUN), run)]))
                        for server, run in runs.items()
                        if (copy := copies[server]) is None or copy.data != run
                    }
                )
                return b" ".join(runs.values()).decode()
            for server in epochs.keys() - runs.keys():
                self.begin(server)
        raise BackendUnavailable("memcached: a server forgets at once what it is told")

    def expect(self, incarnation: str) -> None:
        """From now on whoever meets a server of another run raises BackendUnavailable, but for `incarnation`."""
        self._expected = [run.encode() for run in incarnation.split()]

    def _shared_out(self, keys: Iterable[str]) -> dict[int, list[str]]:
        keys = list(keys)
        if not keys:
            return {}
        joined = "".join(keys)
        # To look at each costs as much as to append to it, so all are looked at together first.
        if " " in joined or not (joined.isascii() and joined.isprintable()) or max(map(len, keys)) > LONGEST_KEY:
            for key in keys:
                check_key_helper(key, allow_unicode_keys=False, key_prefix=b"-" * (LONGEST_NAME - LONGEST_KEY))
        if len(self.names) == 1:
            return {0: keys}
        shares: dict[int, list[str]] = {}
        for key in keys:
            shares.setdefault(crc32(key.encode("ascii")) % len(self.names), []).append(key)
        return shares

    def _exchange(self, requests: Mapping[int, Request]) -> dict[int, Reply]:
        """The requests, and behind each of them one for the epoch, in one round trip."""
        return self._pools.exchange(
            {n: request._replace(names=[*request.names, self.fixed(EPOCH)]) for n, request in requests.items()}
        )

    def _epoch(self, server: int, reply: Reply) -> Epoch | None:
        epoch = Epoch.read(reply.values.get(self.fixed(EPOCH)))
        if expected := self._expected:
            epoch = epoch or self.begin(server)
            if epoch is None or epoch.run not in expected[server : server + 1]:
                raise BackendUnavailable(f"memcached {self.names[server]}: it is new, or was started again")
        return epoch
