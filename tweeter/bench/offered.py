"""An open-model load generator: requests leave at moments fixed beforehand, whether or not the last ones were answered.

Readers do not wait for each other. So a request is due at its own moment, and its latency is the time from then until
its response is complete: a slow response delays no other measurement and is counted in full (no "coordinated
omission"). If all connections are busy, a request waits for one, which is part of its latency.

The generator runs in a process of its own and yields its figures as they come in. It also measures how late it is
itself: the time from the moment at which a request was due until it was noticed.
"""

import random
import select
import selectors
import socketserver
import threading
import time
from collections import Counter, deque
from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing
from typing import NamedTuple

from tweeter.bench.browser import Address
from tweeter.bench.children import Child
from tweeter.bench.figures import percentile
from tweeter.bench.load import Connection, WrongAnswer

CONNECTIONS = 64  # to each server, at most; waitress accepts 100 by default
OPEN_FIRST = 8  # to each server, before the first request
EVERY = 0.5  # seconds between figures
PATIENCE = 30.0  # seconds after the last request was due; later responses count as errors
KEPT = 100  # every so many pages the content is kept, to be checked
UNANSWERED = "no response"
LATE = 0.002  # seconds: a generator that is later than this, and than a tenth of the latency, is "late"
PAGE = 20_000  # bytes of the response in `ceiling`
OVERLOAD = 4000  # requests per second in `ceiling`


class Offer(NamedTuple):
    """What to send: at the moment `due[n]`, in seconds from the start, the request number `which[n]`."""

    addresses: Sequence[Address]
    requests: Sequence[bytes]
    due: Sequence[float]
    which: Sequence[int]


class Kept(NamedTuple):
    """A page as it was shown under load."""

    which: int  # the number of its request
    asked: float  # seconds since the epoch
    html: str


class Batch(NamedTuple):
    """The responses since the last batch."""

    seconds: float  # since the start
    latencies: list[float]
    lags: list[float]
    errors: dict[str, int]
    kept: list[Kept]
    busy: float  # CPU seconds of the generator so far


class Outcome(NamedTuple):
    """All responses to an offer."""

    asked: int  # requests
    seconds: float  # until the last response
    latencies: list[float]
    lag: float  # 99 % of the requests were noticed within this time of their moment
    errors: dict[str, int]
    kept: list[Kept]
    busy: float

    @property
    def late(self) -> bool:
        """Whether the generator itself was late, so that the latencies are not those of the server alone."""
        return self.lag > max(LATE, percentile(self.latencies or [0], 99) / 10)


def arrivals(rate: float, seconds: float, seed: str) -> list[float]:
    """The moments of a Poisson process: as if many independent people came by. The same seed gives the same."""
    chance = random.Random(seed)  # noqa: S311 (no secret)
    due, moment = [], chance.expovariate(rate)
    while moment < seconds:
        due.append(moment)
        moment += chance.expovariate(rate)
    return due


def gather(count: int, batches: Iterable[Batch]) -> Outcome:
    """Everything in the batches of one offer of `count` requests."""
    every = list(batches)
    errors: Counter[str] = Counter()
    for batch in every:
        errors.update(batch.errors)
    lags = [lag for batch in every for lag in batch.lags]
    return Outcome(
        count, every[-1].seconds, [latency for batch in every for latency in batch.latencies],
        percentile(lags or [0], 99), dict(errors), [page for batch in every for page in batch.kept], every[-1].busy,
    )  # fmt: skip


def offer(asked: Offer) -> Iterator[Batch]:
    """Sends the requests at their moments, and yields the figures as they come in."""
    with closing(_Generator(asked)) as generator:
        yield from generator.run()


class _Generator:
    """The connections, and the requests that wait for one."""

    def __init__(self, asked: Offer) -> None:
        self._asked = asked
        self._selector = selectors.DefaultSelector()
        self._most = CONNECTIONS * len(asked.addresses)
        self._number = 0  # of connections that were opened: they alternate between the servers
        self._open = 0
        self._free = deque(self._connect() for _ in range(OPEN_FIRST * len(asked.addresses)))
        self._waiting: deque[int] = deque()
        self._sent: dict[Connection, tuple[int, float]] = {}  # the number of the arrival, and when it was sent
        self._begun = time.process_time()
        self._forget()

    def close(self) -> None:
        for key in list(self._selector.get_map().values()):
            key.data.socket.close()
        self._selector.close()

    def run(self) -> Iterator[Batch]:
        due, following = self._asked.due, 0
        began = self._began = time.perf_counter() + 0.02
        deadline, report = (due[-1] if due else 0) + PATIENCE, EVERY
        while following < len(due) or self._waiting or self._sent:
            now = time.perf_counter() - began
            while following < len(due) and due[following] <= now:
                self._lags.append(now - due[following])
                self._waiting.append(following)
                following += 1
            self._send()
            if now > deadline:
                self._errors[UNANSWERED] += len(self._waiting) + len(self._sent)
                break
            if now > report:
                yield self._batch(now)
                report = now + EVERY
            until = min(due[following] if following < len(due) else deadline, report)
            # A selector waits for whole milliseconds; select() is exact.
            ready, _, _ = select.select([self._selector], [], [], max(0.0, until - (time.perf_counter() - began)))
            for key, _ in self._selector.select(0) if ready else ():
                self._receive(key.data)
        yield self._batch(time.perf_counter() - began)

    def _send(self) -> None:
        while self._waiting and (self._free or self._open < self._most):
            number = self._waiting.popleft()
            which = self._asked.which[number]
            request = self._asked.requests[which]
            try:
                connection = self._free.popleft() if self._free else self._connect()
                connection.ask(request, keep=number % KEPT == 0 and not request.startswith(b"POST"))
            except OSError as error:
                self._fail(None, error)
                continue
            self._sent[connection] = number, time.time()

    def _receive(self, connection: Connection) -> None:
        try:
            if not connection.receive():
                return
        except (OSError, WrongAnswer) as error:
            self._fail(connection, error)
            return
        if (found := self._sent.pop(connection, None)) is None:
            return
        number, asked = found
        self._latencies.append(time.perf_counter() - self._began - self._asked.due[number])
        if connection.body is not None:
            self._kept.append(Kept(self._asked.which[number], asked, connection.body.decode(errors="replace")))
        self._free.append(connection)

    def _connect(self) -> Connection:
        connection = Connection(self._asked.addresses[self._number % len(self._asked.addresses)])
        self._number += 1
        self._open += 1
        self._selector.register(connection.socket, selectors.EVENT_READ, connection)
        return connection

    def _fail(self, connection: Connection | None, error: Exception) -> None:
        """Counts a request without a proper response; its connection is not used again. An idle one just goes."""
        if connection is None or self._sent.pop(connection, None) is not None:
            self._errors[str(error)] += 1
        if connection is not None:
            self._selector.unregister(connection.socket)
            connection.socket.close()
            self._open -= 1
            if connection in self._free:
                self._free.remove(connection)

    def _batch(self, seconds: float) -> Batch:
        busy = time.process_time() - self._begun
        batch = Batch(seconds, self._latencies, self._lags, dict(self._errors), self._kept, busy)
        self._forget()
        return batch

    def _forget(self) -> None:
        self._latencies: list[float] = []
        self._lags: list[float] = []
        self._errors: Counter[str] = Counter()
        self._kept: list[Kept] = []


def ceiling(generator: Child, seconds: float) -> float:
    """The requests per second for which the generator's own CPU time is enough: the server sends a constant page."""
    with closing(Child()) as server:
        due = arrivals(OVERLOAD, seconds, "ceiling")
        asked = Offer([server.call(_serve_constant)], [b"GET / HTTP/1.1\r\n\r\n"], due, [0] * len(due))
        found = gather(len(due), generator.each(offer, asked))
        return len(found.latencies) / max(found.busy, 1e-9)


class _Constant(socketserver.BaseRequestHandler):
    """Responds to everything with the same page."""

    def handle(self) -> None:
        response = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (PAGE, b"." * PAGE)
        while self.request.recv(4096):
            self.request.sendall(response)


class _Server(socketserver.ThreadingTCPServer):
    daemon_threads = True
    request_queue_size = 2 * CONNECTIONS


def _serve_constant() -> Address:
    server = _Server(("127.0.0.1", 0), _Constant)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return "127.0.0.1", server.server_address[1]
