"""When measured rounds allow no conclusion: one rule for the benchmarks and the lab."""

from collections.abc import Iterable, Sequence

NOISY = 2.0  # times: the largest round of a contender over its smallest


def spread(rounds: Sequence[float]) -> float:
    """The largest value over the smallest; 1 for fewer than two."""
    return max(rounds) / min(rounds) if len(rounds) > 1 and min(rounds) > 0 else 1.0


def noise(every: Iterable[Sequence[float]]) -> str:
    """What to say first about the rounds of these contenders; empty if they agree well enough for a conclusion."""
    worst = max(map(spread, every), default=1.0)
    return f"Rounds differ by up to {worst:.1f} ×: no conclusion." if worst >= NOISY else ""
