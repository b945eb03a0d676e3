"""What makes all that a server holds cold at once.

On every server stands an epoch, a small value under one name:

    1 run generation mark

`run` is random and stays as long as the server keeps its memory: the store's incarnation is made of it. `generation`
is random too and part of every other name; a new one makes everything cold at once, for every process and for good,
because none comes twice. `mark` is the id below which timelines were truncated. A server that was started again or
replaced gets another epoch, so nothing that it held before is ever read.

Beside it stands a copy of the run. A server that lost only its epoch, or whose epoch is damaged, keeps its run by the
copy and gets another generation: all that it holds is cold, and nothing else happens.

Every exchange asks for the epoch last, in the same round trip. If the generation is still the one that the names were
made with, all that was done before it was done to what is valid; otherwise it is done again with new names.
"""

import re
import secrets
from typing import NamedTuple

from tweeter.backends.memcached.wire import Found

_RUN = re.compile(rb"[0-9a-f]{16}")
_EPOCH = re.compile(rb"1 (%s) (%s) ([0-9]{1,16})" % (_RUN.pattern, _RUN.pattern))


class Epoch(NamedTuple):
    """What holds for everything on a server."""

    run: bytes
    generation: bytes
    mark: int

    @classmethod
    def new(cls, copy: Found | None = None) -> "Epoch":
        """Of the run that a copy tells, if it does."""
        run = copy.data if copy is not None and _RUN.fullmatch(copy.data) else _random()
        return cls(run, _random(), 0)

    @classmethod
    def read(cls, found: Found | None) -> "Epoch | None":
        match = _EPOCH.fullmatch(found.data) if found else None
        return cls(match[1], match[2], int(match[3])) if match else None

    def data(self) -> bytes:
        return b"1 %s %s %d" % self

    def renewed(self) -> "Epoch":
        """With another generation."""
        return self._replace(generation=_random())


def _random() -> bytes:
    return secrets.token_hex(8).encode()
