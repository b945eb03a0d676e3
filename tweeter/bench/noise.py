"""How noisy the machine was: a calculation that is repeated before a run, and the differences between rounds."""

import os
import statistics
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from hashlib import sha256

from tweeter.bench.figures import percentile
from tweeter.bench.schema import Noise, Result
from tweeter.bench.verdicts import NOISY, factor, spread

MEGABYTES = 8  # takes some 5 to 30 ms; hashing releases Python's global lock, so all CPUs work at once


def calibrate(seconds: float = 1.0) -> Noise:
    """Repeats the same calculation on every CPU for so many seconds."""
    cpus = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    content = bytes(MEGABYTES * 1024 * 1024)
    deadline = time.perf_counter() + seconds
    with ThreadPoolExecutor(cpus) as pool:
        found = [each.result() for each in [pool.submit(_repeat, content, deadline) for _ in range(cpus)]]
    every = [took for times in found for took in times]
    return Noise(min(every), statistics.median(every), percentile(every, 95), len(every))


def _repeat(content: bytes, deadline: float) -> list[float]:
    times: list[float] = []
    while not times or time.perf_counter() < deadline:
        began = time.perf_counter()
        sha256(content).digest()
        times.append(time.perf_counter() - began)
    return times


def noise_sentence(noise: Noise | None, rounds: Sequence[Sequence[float]]) -> str:
    """How noisy the machine was before the run and from round to round: the first line of every report."""
    spreads = [spread(each) for each in rounds if len(each) > 1]
    told, worst = [], 1.0
    if noise is not None:
        worst = noise.spread
        told.append(
            f"the same calculation took up to {factor(noise.spread)} its shortest time "
            f"(95 % of {noise.count:,} repetitions before the run)"
        )
    if spreads:
        most = percentile(spreads, 90)
        worst = max(worst, most)
        told.append(f"rounds of the same measure differ by {factor(percentile(spreads, 50))} (median), nine of ten "
                    f"by up to {factor(most)}")  # fmt: skip
    if not told:
        return ""
    if worst <= NOISY:
        return f"The machine was quiet: {'; '.join(told)}."
    quiet = noise is not None and noise.spread <= NOISY
    how = "quiet before the run, but not during it" if quiet else "noisy"
    return f"The machine was {how}: {'; '.join(told)}. Ratios below {factor(worst)} are no conclusion."


def noise_of(result: Result) -> str:
    """The noise of a report."""
    rounds = [point.times.rounds for point in result.measurements]
    return noise_sentence(result.noise, [*rounds, *(run.throughput for run in result.workloads)])
