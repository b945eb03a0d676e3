"""Compares two reports: faster and slower measures, and differences that may be chance."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from tweeter.bench import figures
from tweeter.bench.figures import duration
from tweeter.bench.knees import knee, lines_of, mixes, title
from tweeter.bench.noise import noise_of
from tweeter.bench.schema import Latency, Result, read_json
from tweeter.bench.verdicts import significant, unclear

LEAST_CHANGE = 1.05  # smaller changes are irrelevant
ONCE = "measured once"


class Change(NamedTuple):
    """One measure in both reports; a ratio above 1 means that the second is slower."""

    what: str
    backend: str
    before: str
    after: str
    ratio: float
    significant: bool
    unclear: str = ""  # why a ratio is no conclusion


def changes(one: Result, other: Result) -> Iterator[Change]:
    """Every measure that both reports have."""
    points = {(p.series, p.x, p.backend, p.measure): p.times for p in other.measurements}
    for point in one.measurements:
        if (times := points.get((point.series, point.x, point.backend, point.measure))) is not None:
            what = f"{point.measure}, {point.x:,} {point.series}"
            yield _change(what, point.backend, point.times.rounds, times.rounds, point.times.median, times.median)
    runs = {(run.workload, run.backend): run for run in other.workloads}
    for run in one.workloads:
        if (again := runs.get((run.workload, run.backend))) is not None:
            # Seconds per operation, so that a ratio has the same meaning everywhere.
            before, after = ([1 / rate for rate in each.throughput] for each in (run, again))
            yield _change(run.workload, run.backend, before, after, 1 / run.rate, 1 / again.rate)
    if one.latency and other.latency:
        yield from _loads(one.latency, other.latency)


def _loads(one: Latency, other: Latency) -> Iterator[Change]:
    """The knee of each backend in each mix, as seconds per request, and the CPU time of a request there."""
    for mix in mixes(one):
        lines, again = lines_of(one, *mix), lines_of(other, *mix)
        for backend in lines:
            before, after = knee(lines[backend]), knee(again.get(backend, ()))
            if before and after:
                for what, first, second in (
                    ("seconds per request at the knee", 1 / before.offered, 1 / after.offered),
                    ("CPU time of a request", before.cpu_time, after.cpu_time),
                ):
                    told = f"{what}, {title(*mix)}"
                    yield Change(told, backend, duration(first), duration(second), second / first, False, ONCE)


def _change(
    what: str, backend: str, one: Sequence[float], other: Sequence[float], before: float, after: float
) -> Change:
    ratio = after / before
    changed = max(ratio, 1 / ratio) >= LEAST_CHANGE
    clear = changed and significant(one, other)
    why = unclear((one, other)) if changed and not clear else ""
    return Change(what, backend, duration(before), duration(after), ratio, clear, why)


def differences(one: Result, other: Result) -> Iterator[str]:
    """Other differences between the runs: a ratio may be due to them instead of the code."""
    for name in ("seed", "quick", "plan", "settings", "machine", "servers", "backends"):
        before, after = getattr(one, name), getattr(other, name)
        if before == after:
            continue
        if isinstance(before, dict):
            for key in dict.fromkeys((*before, *after)):
                if before.get(key) != after.get(key):
                    yield f"{name}: {key} is {before.get(key, 'missing')} and {after.get(key, 'missing')}"
        else:
            yield f"{name}: {before} and {after}"


def show(before: Path, after: Path) -> None:
    """Prints the ratios of two JSON files. Raises CommandError if one is not a report."""
    one, other = read_json(before), read_json(after)
    found = list(changes(one, other))
    rows, styles = [], {}
    for number, change in enumerate(found):
        mark = ("slower" if change.ratio > 1 else "faster") if change.significant else change.unclear
        styles[number] = {"slower": "red", "faster": "green"}.get(mark, "")
        rows.append([*change[:4], f"{change.ratio:.2f}", mark])
    head = ("", "backend", "before", "after", "after / before", "")
    clear = sum(change.significant for change in found)
    noise = {path: noise_of(result) for path, result in ((before, one), (after, other))}
    figures.show(
        *(f"{path}: {told}" for path, told in noise.items() if told),
        figures.Table(f"{after} compared with {before}", head, rows, styles=styles),
        f"{clear:,} of {len(found):,} differ by more than chance: all rounds of one are above all rounds of the other, "
        f"and the medians are at least {LEAST_CHANGE - 1:.0%} apart. "
        "Other load on the machine during one of the runs shows up, too.",
    )
    if others := list(differences(one, other)):
        figures.show("The runs differ in:", style="bold")
        figures.show(*(f"  {line}" for line in others))
