"""The value of a timeline: a header of fixed width, followed by ids of 8 bytes.

An id that refers to a tweet has the highest bit set, and the tweet's id follows, with the second highest bit set.

Fan-out appends ids without reading, in any order, some twice. The header has a checksum of itself and of the ids it was
written with. So a value that was cut short, or is of another version, is rejected even if ids were appended since.
"""

import struct
import sys
from array import array
from bisect import bisect_left
from collections.abc import Iterable, Mapping, Sequence
from itertools import chain
from typing import NamedTuple
from zlib import crc32

from tweeter.ids import MAX_ID
from tweeter.values import NOTHING

_HEADER = struct.Struct(">4sIQQQ")  # kind, 8ths of the bytes checked, token or floor, ends, mark
_CHECKED = _HEADER.size + 4  # the checksum follows the header
_FILLING = b"TwF2"
_WARM = b"TwW2"
_REFERS = 1 << 63
_TWEET = 1 << 62


class Timeline(NamedTuple):
    """A timeline in memcached. `word` is its token during a backfill, and its floor afterwards.

    `ends` is its expiry in milliseconds since 1970. `mark` is the epoch's at its beginning: truncation only affects
    timelines that began before it. `of` has the tweets that some of the ids refer to, perhaps with those of other ids.
    """

    filling: bool
    word: int
    ends: int
    mark: int
    ids: Sequence[int] = ()
    of: Mapping[int, int] = NOTHING

    @classmethod
    def read(cls, data: bytes) -> "Timeline | None":
        """Decodes a value; None if it is not a timeline."""
        if len(data) < _CHECKED or (len(data) - _CHECKED) % 8:
            return None
        kind, count, word, ends, mark = _HEADER.unpack_from(data)
        if kind not in (_FILLING, _WARM) or _checksum(data, count) != data[_HEADER.size : _CHECKED]:
            return None
        words = array("Q", data[_CHECKED:])
        if sys.byteorder == "little":
            words.byteswap()
        if max(words, default=0) <= MAX_ID:
            return cls(kind == _FILLING, word, ends, mark, words)
        ids, of = _parted(words)
        if max(ids) > MAX_ID or not of or not 0 < min(of.values()) <= max(of.values()) <= MAX_ID:
            return None
        return cls(kind == _FILLING, word, ends, mark, ids, of)

    def data(self) -> bytes:
        kind = _FILLING if self.filling else _WARM
        ids = pack(self.ids, self.of)
        header = _HEADER.pack(kind, len(ids) // 8, self.word, self.ends, self.mark)
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


def _parted(words: Iterable[int]) -> tuple[list[int], dict[int, int]]:
    """The ids, and the tweets that some of them refer to."""
    ids, of, left = list[int](), dict[int, int](), iter(words)
    for word in left:
        ids.append(word & ~_REFERS)
        if word & _REFERS:
            of[ids[-1]] = next(left, 0) ^ _TWEET
    return ids, of


def pack(ids: Iterable[int], of: Mapping[int, int] = NOTHING) -> bytes:
    if of:
        ids = chain.from_iterable((id_ | _REFERS, of[id_] | _TWEET) if id_ in of else (id_,) for id_ in ids)
    packed = array("Q", ids)
    if sys.byteorder == "little":
        packed.byteswap()
    return packed.tobytes()
