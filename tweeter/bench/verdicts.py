"""The words of comparisons: which contender is faster, and when the rounds allow no conclusion.

Noise comes first: contenders are only called equally fast if their rounds agree, and are only ranked if all rounds of
one are above all rounds of the other.
"""

import statistics
from collections.abc import Iterable, Mapping, Sequence

LEAST_ROUNDS = 5  # of each; fewer allow no conclusion about which contender is faster
NOISY = 1.25  # rounds of one contender that differ by more than this factor are no base for "equally fast"
CLOSE = 1.1  # medians within this factor are


def significant(one: Sequence[float], other: Sequence[float]) -> bool:
    """Whether all values of `one` are above all values of `other`.

    With five rounds each, this happens by chance once in 126 times (H. Mann and D. Whitney, 1947: the maximal U among
    all 252 orders, on either side).
    """
    if min(len(one), len(other)) < LEAST_ROUNDS:
        return False
    return max(one) < min(other) or max(other) < min(one)


def spread(rounds: Iterable[float]) -> float:
    """The ratio of the highest value to the lowest."""
    values = list(rounds)
    return max(values) / min(values) if min(values) > 0 else 1.0


def factor(value: float) -> str:
    """A ratio in words: 3.1 ×, 14 ×."""
    return f"{float(f'{value:.2g}'):,g}\N{NO-BREAK SPACE}×"


def unclear(rounds: Iterable[Sequence[float]]) -> str:
    """Why these rounds allow no conclusion."""
    every = list(rounds)
    if (fewest := min(map(len, every))) < LEAST_ROUNDS:
        return f"{fewest} round{'' if fewest == 1 else 's'}: no conclusion"
    return f"rounds differ by up to {factor(max(map(spread, every)))}: no conclusion"


def best(rounds: Mapping[str, Sequence[float]]) -> str:
    """The contender with the highest values in a sentence; or the reason why there is none."""
    order = sorted(rounds, key=lambda name: statistics.median(rounds[name]), reverse=True)
    first, *others = order
    if not others:
        return f"{first} alone"
    near = [name for name in others if not significant(rounds[first], rounds[name])]
    if not near:
        return f"{first} is fastest"
    group = {name: rounds[name] for name in (first, *near)}
    *most, last = group
    names = f"{', '.join(most)} and {last}"
    slower = "; the others are slower" if len(near) < len(others) else ""
    apart = statistics.median(rounds[first]) / statistics.median(rounds[last])
    enough = min(map(len, group.values())) >= LEAST_ROUNDS
    if enough and apart <= CLOSE and max(map(spread, group.values())) <= NOISY:
        return f"{names} differ by at most {apart - 1:.0%}{slower}"
    return f"{unclear(group.values())} about {names}{slower}"
