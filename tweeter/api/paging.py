"""Paging by `max_id`, `since_id` and `min_id`, and the Link header that leads to the neighbours of a page."""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple, Protocol
from urllib.parse import urlencode

from pyramid.request import Request

from tweeter.ids import MAX_ID
from tweeter.values import Cursor

DEFAULT, MOST = 20, 40
WIDER = 4  # a page that is searched for may contain so many times its size


class Item(Protocol):
    """What is listed: a tweet or a user."""

    @property
    def id(self) -> int: ...


class Found(NamedTuple):
    """Items, newest first, and whether older ones follow."""

    items: Sequence[Any]
    more: bool


Read = Callable[[Cursor], Found]


def paged(
    request: Request, read: Read, limit: int, max_id: int | None, since_id: int | None, min_id: int | None
) -> Sequence[Any]:
    """The items that the parameters describe; sets the Link header of the response.

    `since_id` is the lower end of the newest items. `min_id` returns the items immediately above it.
    """
    limit = max(1, limit)
    before = MAX_ID + 1 if max_id is None else min(max_id, MAX_ID + 1)
    if min_id is not None:
        found = _above(read, min(min_id, MAX_ID), before, limit)
    else:
        found = read(Cursor(before=before, limit=limit, after=min(since_id or 0, MAX_ID)))
    if found.items:
        links = [("next", "max_id", found.items[-1].id)] if found.more or min_id is not None else []
        links.append(("prev", "min_id", found.items[0].id))
        kept = urlencode([pair for pair in request.GET.items() if pair[0] not in ("max_id", "since_id", "min_id")])
        url = f"{request.path_url}?{kept}{'&' if kept else ''}"
        request.response.headers["Link"] = ", ".join(f'<{url}{name}={id_}>; rel="{rel}"' for rel, name, id_ in links)
    return found.items


def _above(read: Read, after: int, before: int, limit: int) -> Found:
    """The lowest `limit` items above `after`.

    Timelines are read from the newest down, so this searches for an upper end below which there are enough items, but
    not too many. It reads one page if all newer items fit on it, else some twenty, however many there are.
    """
    found = read(Cursor(before=before, limit=limit, after=after))
    if not found.more:
        return Found(found.items, more=True)
    few, many = after + 1, found.items[0].id + 1  # below `few` there are fewer than `limit`, below `many` more
    while found.more and many - few > 1:
        middle = (few + many) // 2
        part = read(Cursor(before=middle, limit=WIDER * limit, after=after, backfill=False))
        if not part.more and len(part.items) < limit:
            few = middle
        else:
            found, many = part, middle
    return Found(found.items[-limit:], more=True)
