"""Work in parts of a limited size."""

from collections.abc import Iterable, Iterator
from itertools import islice
from typing import TypeVar

T = TypeVar("T")


def batched(items: Iterable[T], size: int) -> Iterator[list[T]]:
    """The items in lists of this size. Like itertools.batched, which Python has from 3.12 on."""
    left = iter(items)
    return iter(lambda: list(islice(left, size)), [])
