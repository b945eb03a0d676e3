"""A part of the report: a plot with its summary and its numbers."""

from collections.abc import Sequence
from typing import NamedTuple

from tweeter.bench.figures import Table


class Chart(NamedTuple):
    """A plot, its summary in a sentence, and its numbers."""

    id: str
    heading: str
    says: str
    svg: str
    tables: Sequence[Table]
