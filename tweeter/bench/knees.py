"""Latency under offered load by mix and backend, and the knee of each: without plots, so it needs no extra."""

from collections.abc import Sequence

from tweeter.bench.schema import Latency, Offered


def mixes(latency: Latency) -> list[tuple[int, int]]:
    """The measured pairs of processes and percentage of posts."""
    return list(dict.fromkeys((point.processes, point.posts) for point in latency.points))


def lines_of(latency: Latency, processes: int, posts: int) -> dict[str, list[Offered]]:
    """The points of one mix, by backend, in the order of the rates."""
    lines: dict[str, list[Offered]] = {}
    for point in latency.points:
        if (point.processes, point.posts) == (processes, posts):
            lines.setdefault(point.backend, []).append(point)
    return {backend: sorted(points, key=lambda point: point.offered) for backend, points in lines.items()}


def knee(points: Sequence[Offered]) -> Offered | None:
    """The highest rate that was held; None if none was."""
    return max((point for point in points if point.held), key=lambda point: point.offered, default=None)


def title(processes: int, posts: int) -> str:
    """A mix in words: the processes of the site, and the share of posts."""
    of = "one process" if processes == 1 else f"{processes} processes"
    return f"{of}, {f'{posts} % posts' if posts else 'no posts'}"
