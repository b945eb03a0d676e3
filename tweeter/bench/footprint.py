"""Memory of materialised timelines: by how much the site's process and the store's server grow.

Measured in a process that does nothing else, because memory that something else gave back would be used again.
"""

import gc
import multiprocessing
import os
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from tweeter.bench.contender import CHEAP, Answers, label
from tweeter.bench.report.schema import Footprint
from tweeter.bench.scratch import Scratch, machinery, trusted
from tweeter.interfaces import IMaterializedTimelines
from tweeter.servers import PostgreSQL, resident
from tweeter.timelines.pull import PullTimelines
from tweeter.values import Cursor, Timeline


def measure_memory(
    scratch: Scratch, answers: Mapping[str, Answers], url: str, users: Sequence[int]
) -> Iterator[Footprint]:
    """What the home timelines of these users take, on each backend: they are read once."""
    scratch.progress.phase("Memory", len(answers))
    stores = [server for server in scratch.servers if not isinstance(server, PostgreSQL)]
    for backend in answers:
        for server in stores:  # one that begins has not kept anything of what others gave back
            server.stop()
            server.start()
        with scratch.copy(url) as copied:
            settings = scratch.settings(backend) | CHEAP | {"sqlalchemy.url": copied}
            context = multiprocessing.get_context("spawn")
            here, there = context.Pipe()
            process = context.Process(target=_fill, args=(there, settings, list(users)), daemon=True)
            process.start()
            there.close()  # so that we notice when the process ends before its time
            here.recv()  # all is ready
            before = sum(server.resident for server in stores)
            here.send(None)
            ids, growth = here.recv()
            after = sum(server.resident for server in stores)
            here.send(None)
            process.join()
        scratch.progress.advance(1)
        yield Footprint(label(backend), len(users), ids, growth, after - before if stores else None)


def _fill(parent: Any, settings: dict[str, Any], users: list[int]) -> None:
    with machinery(settings) as registry:
        timelines = trusted(registry)
        pull = PullTimelines("sql", registry["sessions"])
        for user in users:  # what the database's driver keeps is not the backend's
            pull.home(user + 1, Cursor())
        gc.collect()
        parent.send(None)
        parent.recv()
        before = resident(os.getpid())
        for user in users:
            timelines.home(user + 1, Cursor())
        gc.collect()
        growth = resident(os.getpid()) - before
        ids = 0
        if IMaterializedTimelines.providedBy(timelines):
            slices = (timelines.peek(Timeline.home(user + 1)) for user in users)
            ids = sum(len(found.ids) for found in slices if found)
        parent.send((ids, growth))
        parent.recv()
