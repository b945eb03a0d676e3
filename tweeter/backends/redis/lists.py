"""Parses the list of a timeline as Redis returns it; see `scripts` for the format."""

from bisect import bisect_left
from collections.abc import Sequence

import msgspec

from tweeter.ids import MAX_ID

_integers = msgspec.json.Decoder(list[int]).decode


def parse(found: Sequence[bytes]) -> tuple[list[int], int]:
    """The ids of a list, in ascending order, and the floor. Raises ValueError if the list is not a timeline."""
    header, *ids = _integers(b"[%b]" % b",".join(found))
    ids.sort()
    if len(ids) + 1 != len(found) or not 0 <= -header <= MAX_ID + 1 or (ids and not 0 < ids[0] <= ids[-1] <= MAX_ID):
        raise ValueError("out of range")
    return ids, -header


def newest(ids: list[int], floor: int, before: int, limit: int) -> list[int]:
    """The newest `limit` ids below `before`, newest first, without duplicates. `ids` are in ascending order."""
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


def parse_newest(header: bytes, found: Sequence[bytes], limit: int, wanted: int) -> tuple[list[int], int] | None:
    """The newest `limit` ids and the floor, from the result of SORT: the greatest numbers of a list, descending.

    None if the result does not settle the page. Fewer numbers than `wanted` are the whole list, with the header last. A
    list that is not a timeline settles nothing.
    """
    try:
        floor, numbers = -int(header), [int(data) for data in found]
    except ValueError:
        return None
    if found != [b"%d" % number for number in numbers]:
        return None
    ends = len(found) < wanted or numbers[-1] <= 0
    if ends and (not numbers or numbers.pop() != -floor):
        return None
    if not 0 <= floor <= MAX_ID + 1 or (numbers and not 0 < numbers[-1] <= numbers[0] <= MAX_ID):
        return None
    ids = [id_ for id_ in dict.fromkeys(numbers) if id_ >= floor]
    complete = ends or numbers[-1] < floor
    return (ids[:limit], floor) if complete or len(ids) >= limit else None
