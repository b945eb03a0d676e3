"""Encodes the entries of a timeline, and parses its list as Redis returns it; see `scripts` for the format."""

from bisect import bisect_left
from collections.abc import Iterable, Mapping, Sequence
from operator import neg

import msgspec

from tweeter.ids import MAX_ID
from tweeter.values import NOTHING

_integers = msgspec.json.Decoder(list[int]).decode


def entry(id_: int, of: int) -> int | str:
    """The element of an id. `of` is the tweet that it refers to, 0 if it is the tweet's own."""
    return f"{id_}.0{of}" if of else id_


def entries(ids: Iterable[int], of: Mapping[int, int]) -> Iterable[int | str]:
    return [entry(id_, of.get(id_, 0)) for id_ in ids] if of else ids


def parse(found: Sequence[bytes]) -> tuple[list[int], int, Mapping[int, int]]:
    """The ids of a list, in ascending order, the floor, and the references.

    Raises ValueError if the list is not a timeline.
    """
    text = b",".join(found)
    of: Mapping[int, int] = NOTHING
    if b".0" in text:
        if text.find(b"-", 1) > 0:
            raise ValueError("not a reference")
        # Decoded at once as well, each reference as a negative number behind its id.
        header, *numbers = _integers(b"[%b]" % text.replace(b".0", b",-"))
        ids, of = _split(numbers)
        if max(of.values()) > MAX_ID:
            raise ValueError("out of range")
    else:
        header, *ids = _integers(b"[%b]" % text)
    ids.sort()
    if len(ids) + 1 != len(found) or not 0 <= -header <= MAX_ID + 1 or (ids and not 0 < ids[0] <= ids[-1] <= MAX_ID):
        raise ValueError("out of range")
    return ids, -header, of


def _split(numbers: list[int]) -> tuple[list[int], Mapping[int, int]]:
    """The ids and the references. Raises ValueError if a reference does not follow an id."""
    ids, tweets = numbers[::2], numbers[1::2]
    if len(ids) == len(tweets) and max(tweets) < 0 < min(ids):  # as all do in a timeline of likes
        return ids, dict(zip(ids, map(neg, tweets), strict=True))
    ids, of, last = [], {}, -1
    for number in numbers:
        if number >= 0:
            ids.append(number)
        elif last < 0:
            raise ValueError("not a reference")
        else:
            of[last] = -number
        last = number
    return ids, of


def newest(ids: list[int], floor: int, before: int, limit: int) -> list[int]:
    """The newest `limit` ids below `before`, newest first, without duplicates. `ids` are in ascending order."""
    if ids and floor <= ids[0] and ids[-1] < before and len(ids) <= limit:  # all
        return list(dict.fromkeys(reversed(ids)))
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


def parse_newest(
    header: bytes, found: Sequence[bytes], limit: int, wanted: int
) -> tuple[list[int], int, Mapping[int, int]] | None:
    """The newest `limit` ids, the floor and the references, from the result of SORT: the greatest numbers, descending.

    None if the result does not settle the page. Fewer numbers than `wanted` are the whole list, with the header last. A
    list that is not a timeline settles nothing.
    """
    try:
        floor, (numbers, of) = -int(header), _numbers(found)
    except ValueError:
        return None
    ends = len(found) < wanted or numbers[-1] <= 0
    if ends and (not numbers or numbers.pop() != -floor):
        return None
    if not 0 <= floor <= MAX_ID + 1 or (numbers and not 0 < numbers[-1] <= numbers[0] <= MAX_ID):
        return None
    ids = [id_ for id_ in dict.fromkeys(numbers) if id_ >= floor]
    complete = ends or numbers[-1] < floor
    return (ids[:limit], floor, of) if complete or len(ids) >= limit else None


def _numbers(found: Sequence[bytes]) -> tuple[list[int], Mapping[int, int]]:
    """The numbers of the elements, and the references. Raises ValueError if an element is another text."""
    try:
        numbers = [int(data) for data in found]
        same, of = [b"%d" % number for number in numbers], NOTHING
    except ValueError:
        parts = [data.partition(b".0") for data in found]
        numbers = [int(id_) for id_, _, _ in parts]
        of = {id_: int(tweet) for id_, (_, dot, tweet) in zip(numbers, parts, strict=True) if dot}
        same = [str(element).encode() for element in entries(numbers, of)]
    if found != same or (of and not 0 < min(of.values()) <= max(of.values()) <= MAX_ID):
        raise ValueError("not an entry")
    return numbers, of
