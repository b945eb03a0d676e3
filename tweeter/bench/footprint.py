"""Memory of materialized timelines: the growth of the site's process and of the store's server.

Measured in a new process and on newly started servers: elsewhere, memory that was freed before would be reused.
"""

import gc
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from typing import Any

from tweeter.bench.children import Child
from tweeter.bench.contender import CHEAP, Answers
from tweeter.bench.machinery import caught_up, machinery
from tweeter.bench.schema import Footprint, label
from tweeter.bench.scratch import Scratch
from tweeter.devtools.servers import PostgreSQL, resident
from tweeter.interfaces import IMaterializedTimelines, ITimelineKinds
from tweeter.timelines.pull import PullTimelines
from tweeter.values import Cursor, Timeline


def measure_memory(
    scratch: Scratch, answers: Mapping[str, Answers], url: str, users: Sequence[int]
) -> Iterator[Footprint]:
    """The memory that the home timelines of these users take, on each backend. Each timeline is read once."""
    scratch.progress.phase("Memory", len(answers))
    stores = [server for server in scratch.servers if not isinstance(server, PostgreSQL)]
    for backend in answers:
        for server in stores:
            server.stop()
            server.start()
        before = sum(server.resident for server in stores)
        with scratch.copy(url) as copied, closing(Child()) as child:
            settings = scratch.settings(backend) | CHEAP | {"sqlalchemy.url": copied}
            ids, process = child.call(fill, settings, list(users))
        after = sum(server.resident for server in stores)
        scratch.progress.advance(1)
        yield Footprint(label(backend), len(users), ids, process, after - before if stores else None)


def fill(settings: dict[str, Any], users: list[int]) -> tuple[int, int]:
    """Reads every home page. Returns the number of materialized ids and the growth of this process in bytes."""
    with machinery(settings) as registry:
        timelines = caught_up(registry)
        pull = PullTimelines("sql", registry.database.sessions, registry.getUtility(ITimelineKinds))
        for user in users:  # memory that the database driver keeps is not the backend's
            pull.page(Timeline("home", user + 1), Cursor())
        gc.collect()
        before = resident(os.getpid())
        for user in users:
            timelines.page(Timeline("home", user + 1), Cursor())
        gc.collect()
        growth = resident(os.getpid()) - before
        if not IMaterializedTimelines.providedBy(timelines):
            return 0, growth
        slices = (timelines.peek(Timeline("home", user + 1)) for user in users)
        return sum(len(found.ids) for found in slices if found), growth
