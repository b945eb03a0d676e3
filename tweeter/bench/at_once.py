"""Readers at once: each sends the next request when it has the response to the last; figures come as they go.

For a demonstration beside a running site, in a process of its own:

    with closing(Child()) as child:
        for batch in child.each(at_once, addresses, requests, 32, 10.0):
            ...  # batch.latencies, batch.errors

For capacity prefer `offered`: readers who wait for a slow site ask it for less.
"""

import selectors
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from itertools import cycle

from tweeter.bench.browser import Address
from tweeter.bench.load import Connection, WrongAnswer
from tweeter.bench.offered import EVERY, KEPT, Batch, Kept


def at_once(addresses: Sequence[Address], requests: Sequence[bytes], readers: int, seconds: float) -> Iterator[Batch]:
    """So many readers, each with a request of its own (in turn), on one of the servers.

    Yields a Batch every half second. A reader whose request fails connects again.
    """
    busy, began = time.process_time(), time.perf_counter()
    errors: Counter[str] = Counter()
    latencies: list[float] = []
    kept: list[Kept] = []
    turns = cycle(addresses)
    with selectors.DefaultSelector() as selector:

        def begin(which: int, number: int, connection: Connection | None = None) -> None:
            """Sends request `which` for the `number`th time."""
            try:
                connection = connection or Connection(next(turns))
                connection.ask(requests[which], keep=number % KEPT == 0)
            except OSError as error:
                errors[str(error)] += 1
                return
            place = connection, which, number, time.time()
            if connection.socket in selector.get_map():
                selector.modify(connection.socket, selectors.EVENT_READ, place)
            else:
                selector.register(connection.socket, selectors.EVENT_READ, place)

        try:
            for reader in range(readers):
                begin(reader % len(requests), 0)
            for until in [*_times(seconds), seconds]:
                while (now := time.perf_counter() - began) < until:
                    for key, _ in selector.select(until - now):
                        connection, which, number, asked = key.data
                        try:
                            if not connection.receive():
                                continue
                        except (OSError, WrongAnswer) as error:
                            errors[str(error)] += 1
                            selector.unregister(connection.socket)
                            connection.socket.close()
                            begin(which, number + 1)
                            continue
                        latencies.append(time.perf_counter() - connection.asked)
                        if connection.body is not None:
                            kept.append(Kept(which, asked, connection.body.decode(errors="replace")))
                        begin(which, number + 1, connection)
                yield Batch(now, latencies, [], dict(errors), kept, time.process_time() - busy)
                latencies, kept = [], []
                errors.clear()
        finally:
            for key in list(selector.get_map().values()):
                key.data[0].socket.close()


def _times(seconds: float) -> Iterator[float]:
    """The moments of figures before the end."""
    moment = EVERY
    while moment < seconds:
        yield moment
        moment += EVERY
