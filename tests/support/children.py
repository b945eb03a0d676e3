"""Operating system processes of a site, which many threads can call, kill, stop and resume."""

import multiprocessing
import os
import signal
import tempfile
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from multiprocessing.connection import Client, Connection, Listener
from pathlib import Path
from typing import Any

from sqlalchemy import select

from tweeter import measure
from tweeter.metrics import CHUNKS, FALLBACKS
from tweeter.models import User
from tweeter.outbox.checkpoint import decode
from tweeter.testing import Process
from tweeter.values import Cursor, Page, Timeline, Viewer

CONTEXT = multiprocessing.get_context("forkserver")  # it imports the site once, and has no threads
CONTEXT.set_forkserver_preload(
    ["tests.support.children", "tweeter.backends.redis", "tweeter.backends.memcached", "psycopg"]
)
PATIENCE = 60  # seconds for a process to start or to end
SECONDS = 20  # for deliveries


class Child:
    """One process. `setup()` runs in it first, then `do(function, ...)` calls `function(process, ...)`.

    All functions must be importable.
    """

    def __init__(self, url: str, backend: str, setup: Callable[[], object] | None = None, **settings: str) -> None:
        self._address = str(Path(tempfile.mkdtemp(prefix="tweeter-child-")) / "socket")
        self._process = CONTEXT.Process(target=_serve, args=(self._address, url, backend, setup, settings), daemon=True)
        self._process.start()

    @property
    def pid(self) -> int:
        assert self._process.pid
        return self._process.pid

    def connect(self) -> Connection:
        """For one thread. Raises OSError if the process is gone."""
        deadline = time.monotonic() + PATIENCE
        while True:
            try:
                return Client(self._address)
            except OSError:
                if not self._process.is_alive() or time.monotonic() > deadline:
                    raise
                time.sleep(0.02)

    def do(self, function: Callable[..., Any], *args: object) -> Any:
        with self.connect() as connection:
            return ask(connection, function, *args)

    def kill(self) -> None:
        self._process.kill()
        self._process.join(PATIENCE)

    def stop(self) -> None:
        os.kill(self.pid, signal.SIGSTOP)
        self.wait_until_stopped()

    @property
    def stopped(self) -> bool:
        return Path(f"/proc/{self.pid}/stat").read_text().rpartition(")")[2].split()[0] == "T"

    def wait_until_stopped(self) -> None:
        """Waits until a signal stops the process."""
        deadline = time.monotonic() + PATIENCE
        while not self.stopped:
            assert time.monotonic() < deadline
            time.sleep(0.005)

    def resume(self) -> None:
        os.kill(self.pid, signal.SIGCONT)

    def close(self) -> None:
        """Ends it cleanly."""
        with suppress(ProcessLookupError):
            self.resume()
        with suppress(OSError, EOFError):
            self.do(_end)
        self._process.join(PATIENCE)
        self.kill()


def ask(connection: Connection, function: Callable[..., Any], *args: object) -> Any:
    """Returns or raises the result of the function. Raises OSError or EOFError if the process dies."""
    connection.send((function, args))
    good, answer = connection.recv()
    if not good:
        raise answer
    return answer


def read(process: Process, user: int, timeline: Timeline, limit: int = 100) -> tuple[Page, str]:
    """A page as in a request of the user, and the backend that served it."""
    with process.sessions() as session:
        written = session.scalar(select(User.last_write).where(User.id == user))
    with measure.measuring() as meter:
        page: Page = process.timelines.page(timeline, Cursor(limit=limit), Viewer(user, written))
    return page, meter.served_by


def home(process: Process, user: int, limit: int = 100) -> tuple[Page, str]:
    """The home page of the user; see `read`."""
    return read(process, user, Timeline("home", user), limit)


def act(process: Process, action: str, *args: object) -> int | None:
    """The id of the object that `action` created, if any."""
    with process.acting() as actions:
        made = getattr(actions, action)(*args)
        return None if made is None else int(made.id)


def post_and_read(process: Process, author: int, message: str, others: list[Timeline]) -> None:
    """Posts, and reads pages as requests do: the author sees the tweet at once, and no page shows a tweet twice."""
    tweet = act(process, "post", author, message)
    pages = [home(process, author)[0], *(process.timelines.page(each, Cursor(limit=20)) for each in others)]
    shown = [[view.id for view in page.tweets] for page in pages]
    assert tweet in shown[0], f"tweet {tweet} is missing on the page of its author"
    assert all(ids == sorted(set(ids), reverse=True) for ids in shown), shown


def warm(process: Process, timelines: list[Timeline]) -> None:
    """Reads the first tweet of each timeline, which backfills cold ones, once everything is delivered."""
    process.settle()
    for timeline in timelines:
        process.timelines.page(timeline, Cursor(limit=1))


def walks(process: Process, timelines: list[Timeline], limit: int) -> list[list[Page]]:
    """All pages of each timeline, once everything is delivered."""
    process.settle()
    return [process.walk(timeline, limit, settled=True) for timeline in timelines]


def peeks(process: Process, timelines: list[Timeline]) -> list[list[int] | None]:
    """The ids in each timeline; None if it is cold."""
    held = map(process.timelines.peek, timelines)
    return [None if each is None else list(each.ids) for each in held]


def live(process: Process) -> bool:
    """Whether pages read the store."""
    return bool(process.timelines.live())


def chunks(process: Process, store: str, what: str) -> float:
    """The number of chunks of large fan-outs that this process, as the lease holder, gave to workers, by result."""
    found = CHUNKS.labels(store, what)._value.get()
    return float(found)


def done(process: Process, action: str, *args: object) -> bool:
    """True once `action` is committed."""
    act(process, action, *args)
    return True


def pause(process: Process) -> None:
    """Delivers the committed events and none after them. The checkpoint stays fresh."""
    assert process.delivery.drain(SECONDS)
    process.delivery.stop()
    checkpoint = decode(process.timelines.store.checkpoint())
    assert checkpoint is not None
    process.timelines._freshness.clock = lambda: checkpoint.time


def sign_up(process: Process, name: str) -> int:
    with process.acting() as actions:
        return actions.sign_up(name, "password").id


def holds(process: Process) -> bool:
    """Whether it delivers to its store."""
    return bool(process.delivery.relays[0].holds)


def reasons(process: Process) -> dict[str, float]:
    """The number of pages that SQL served, by reason."""
    samples = [sample for metric in FALLBACKS.collect() for sample in metric.samples]
    return {sample.labels["reason"]: sample.value for sample in samples if sample.name.endswith("_total")}


def _end(process: Process) -> None:
    process.close()


def _serve(address: str, url: str, backend: str, setup: Callable[[], object] | None, settings: dict[str, str]) -> None:
    if setup is not None:
        setup()
    process = Process(url, backend, **settings)
    over = threading.Event()

    def talk(connection: Connection) -> None:
        with connection, suppress(EOFError, OSError):
            while True:
                function, args = connection.recv()
                try:
                    answer = True, function(process, *args)
                except Exception as error:
                    # Exceptions of SQLAlchemy and the drivers cannot be pickled.
                    answer = False, RuntimeError(f"{type(error).__name__}: {error}")
                connection.send(answer)
                if function is _end:
                    over.set()

    def listen() -> None:
        with Listener(address, backlog=64) as listener:
            while True:
                threading.Thread(target=talk, args=[listener.accept()], daemon=True).start()

    threading.Thread(target=listen, daemon=True).start()
    over.wait()
