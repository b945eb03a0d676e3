"""Places names beside the ends of lines."""

from collections.abc import Sequence
from math import inf

GAP = 15  # between two names, in the unit of the plot


def apart(heights: Sequence[float], low: float = -inf, high: float = inf) -> list[float]:
    """Ascending heights, moved as little as needed to be GAP apart, and within the bounds."""
    moved = list(heights)
    for _ in range(200):
        for n in range(len(moved) - 1):
            if (overlap := GAP - (moved[n + 1] - moved[n])) > 0:
                moved[n] -= overlap / 2
                moved[n + 1] += overlap / 2
        moved = [min(max(height, low), high) for height in moved]
    return moved
