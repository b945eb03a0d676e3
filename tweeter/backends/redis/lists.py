"""The list of a timeline, as Redis returns it: see `scripts` for what stands in it."""

from bisect import bisect_left
from collections.abc import Sequence

import msgspec

from tweeter.ids import MAX_ID

_integers = msgspec.json.Decoder(list[int]).decode


def parse(found: Sequence[bytes]) -> tuple[list[int], int]:
    """The ids of a list, in ascending order, and the floor. Raises ValueError where it is no timeline."""
    header, *ids = _integers(b"[%b]" % b",".join(found))
    ids.sort()
    if len(ids) + 1 != len(found) or not 0 <= -header <= MAX_ID + 1 or (ids and not 0 < ids[0] <= ids[-1] <= MAX_ID):
        raise ValueError("out of range")
    return ids, -header


def newest(ids: list[int], floor: int, before: int, limit: int) -> list[int]:
    """The newest of some ids in ascending order, without those that stand there twice."""
    newest: list[int] = []
    last = None
    for place in range(bisect_left(ids, before) - 1, -1, -1):
        id_ = ids[place]
        if id_ < floor or len(newest) == limit:
            break
        if id_ != last:
            newest.append(id_)
            last = id_
    return newest
