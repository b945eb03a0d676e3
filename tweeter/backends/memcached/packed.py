"""The value of a timeline: a header of fixed width, followed by ids of 8 bytes.

Fan-out appends ids without reading, in any order, some twice. The header has a checksum of itself and of the ids it was
written with. So a value that was cut short, or is of another version, is rejected even if ids were appended since.
"""

import struct
import sys
from array import array
from bisect import bisect_left
from collections.abc import Iterable, Sequence
from typing import NamedTuple
from zlib import crc32

from tweeter.ids import MAX_ID

_HEADER = struct.Struct(">4sIQQQ")  # kind, number of ids, token or floor, ends, mark
_CHECKED = _HEADER.size + 4  # the checksum follows the header
_FILLING = b"TwF1"
_WARM = b"TwW1"


class Timeline(NamedTuple):
    """A timeline in memcached. `word` is its token during a backfill, and its floor afterwards.

    `ends` is its expiry in milliseconds since 1970. `mark` is the epoch's at its beginning: truncation only affects
    timelines that began before it.
    """

    filling: bool
    word: int
    ends: int
    mark: int
    ids: Sequence[int] = ()

    @classmethod
    def read(cls, data: bytes) -> "Timeline | None":
        """Decodes a value; None if it is not a timeline."""
        if len(data) < _CHECKED or (len(data) - _CHECKED) % 8:
            return None
        kind, count, word, ends, mark = _HEADER.unpack_from(data)
        if kind not in (_FILLING, _WARM) or _checksum(data, count) != data[_HEADER.size : _CHECKED]:
            return None
        ids = array("Q", data[_CHECKED:])
        if sys.byteorder == "little":
            ids.byteswap()
        if max(ids, default=0) > MAX_ID:
            return None
        return cls(kind == _FILLING, word, ends, mark, ids)

    def data(self) -> bytes:
        kind = _FILLING if self.filling else _WARM
        header = _HEADER.pack(kind, len(self.ids), self.word, self.ends, self.mark)
        ids = pack(self.ids)
        return header + crc32(ids, crc32(header)).to_bytes(4) + ids

    def shown(self, capacity: int, slack: int, mark: int) -> tuple[list[int], int]:
        """The ids that a reader sees, in ascending order, and the floor."""
        ids = list(dict.fromkeys(sorted(self.ids)))
        floor = self.word
        first = bisect_left(ids, floor)
        if mark > self.mark and (place := bisect_left(ids, mark)) > first:
            first, floor = place, mark
        if len(ids) - first > capacity + slack:
            first = len(ids) - capacity
            floor = ids[first - 1] + 1
        return ids[first:], floor


def _checksum(data: bytes, count: int) -> bytes:
    return crc32(data[_CHECKED : _CHECKED + 8 * count], crc32(data[: _HEADER.size])).to_bytes(4)


def pack(ids: Iterable[int]) -> bytes:
    packed = array("Q", ids)
    if sys.byteorder == "little":
        packed.byteswap()
    return packed.tobytes()
