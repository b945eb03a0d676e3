"""Epochs: make everything on a server cold at once.

Every server holds an epoch, a small value under one name:

    1 run generation mark

`run` is random and lasts as long as the server's memory: the store's run consists of those of its servers.
`generation` is random, too, and part of every other name. A new one makes everything cold at once, for every process
and for good, because generations never repeat. `mark` is the id below which timelines were truncated. A restarted or
replaced server gets another epoch, so its old data is never read.

The server also holds a copy of the run. If only the epoch is lost or damaged, the server keeps its run, from the copy,
and gets another generation: its data is cold, and nothing else happens.

Every exchange reads the epoch last, in the same round trip. If the generation is still that of the names, all commands
before it used valid names; otherwise they are repeated with new names.
"""

import re
import secrets
from typing import NamedTuple

from tweeter.backends.memcached.wire import Found

_RUN = re.compile(rb"[0-9a-f]{16}")
_EPOCH = re.compile(rb"1 (%s) (%s) ([0-9]{1,16})" % (_RUN.pattern, _RUN.pattern))


class Epoch(NamedTuple):
    """The epoch of one server."""

    run: bytes
    generation: bytes
    mark: int

    @classmethod
    def new(cls, copy: Found | None = None) -> "Epoch":
        """A new epoch, with the run from the copy if that is valid."""
        run = copy.data if copy is not None and _RUN.fullmatch(copy.data) else _random()
        return cls(run, _random(), 0)

    @classmethod
    def read(cls, found: Found | None) -> "Epoch | None":
        match = _EPOCH.fullmatch(found.data) if found else None
        return cls(match[1], match[2], int(match[3])) if match else None

    def data(self) -> bytes:
        return b"1 %s %s %d" % self

    def renewed(self) -> "Epoch":
        """The epoch with another generation."""
        return self._replace(generation=_random())


def _random() -> bytes:
    return secrets.token_hex(8).encode()
