"""Progress of long commands, on stderr: a bar on a terminal, otherwise a line from time to time."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from time import monotonic
from typing import Any, Protocol

SECONDS_BETWEEN_LINES = 5.0


class Progress(Protocol):
    """The interface for reporting progress. One phase runs at a time."""

    def phase(self, name: str, total: int | None) -> None:
        """Starts a phase of so many steps; None if the number is unknown."""

    def advance(self, steps: int) -> None:
        """Reports that so many more steps are done."""

    def say(self, line: str) -> None:
        """Prints a line without disturbing the bar."""


@contextmanager
def progress() -> Iterator[Progress]:
    """Bars if stderr is a terminal, otherwise lines."""
    if not sys.stderr.isatty():
        lines = Lines()
        try:
            yield lines
        finally:
            lines.end()
        return
    # Imported here, because importing it takes longer than most commands run.
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, TaskProgressColumn, TextColumn, TimeElapsedColumn
    from rich.progress import Progress as RichProgress

    columns = (
        TextColumn("{task.description:<18}"),
        BarColumn(),
        TaskProgressColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
    )
    with RichProgress(*columns, console=Console(stderr=True)) as rich:
        bars = Bars(rich)
        yield bars
        bars.end()


class Bars:
    def __init__(self, rich: Any) -> None:
        self._rich = rich
        self._task: Any = None
        self._endless = False

    def phase(self, name: str, total: int | None) -> None:
        self.end()
        self._task = self._rich.add_task(name, total=total)
        self._endless = total is None

    def advance(self, steps: int) -> None:
        self._rich.advance(self._task, steps)

    def say(self, line: str) -> None:
        self._rich.console.print(line, markup=False, highlight=False, soft_wrap=True)

    def end(self) -> None:
        """Completes the bar of a phase with an unknown number of steps; otherwise it would be animated forever."""
        if self._endless:
            self._rich.update(self._task, total=1, completed=1)


class Lines:
    def __init__(self) -> None:
        self._name = ""
        self._total: int | None = None
        self._done = 0
        self._printed_at = 0.0
        self._printed = -1

    def phase(self, name: str, total: int | None) -> None:
        self.end()
        self._name, self._total, self._done, self._printed = name, total, 0, -1
        self._printed_at = monotonic()

    def advance(self, steps: int) -> None:
        self._done += steps
        if monotonic() - self._printed_at >= SECONDS_BETWEEN_LINES:
            self._print()

    def say(self, line: str) -> None:
        print(line, file=sys.stderr)

    def end(self) -> None:
        if self._name and self._printed != self._done:
            self._print()

    def _print(self) -> None:
        self._printed, self._printed_at = self._done, monotonic()
        of = "" if self._total is None else f" of {self._total:,}"
        done = f": {self._done:,}{of}" if self._done or of else ""
        print(f"{self._name}{done}", file=sys.stderr, flush=True)
