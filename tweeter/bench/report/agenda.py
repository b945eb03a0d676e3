"""The remaining steps of a run, and an estimate of their time."""

from collections.abc import Callable, Sequence
from time import monotonic
from typing import NamedTuple

from tweeter.console.progress import Progress


class Step(NamedTuple):
    """A part of a long run. `weight` is its estimated duration, in a unit that all steps share."""

    name: str
    weight: float
    do: Callable[[], None]


class Agenda:
    """Runs steps in sequence. It is also a Progress: it labels the phases of a step with the step's number and with the
    remaining time, estimated from the finished steps.
    """

    def __init__(self, progress: Progress) -> None:
        self._progress = progress
        self._label = ""

    def run(self, steps: Sequence[Step]) -> None:
        began = monotonic()
        done = 0.0
        whole = sum(step.weight for step in steps)
        for number, step in enumerate(steps, 1):
            left = (monotonic() - began) * (whole - done) / done if done else None
            self._label = f"{number}/{len(steps)} {step.name}" + (f", {_words(left)} left" if left is not None else "")
            step.do()
            done += step.weight

    def phase(self, name: str, total: int | None) -> None:
        self._progress.phase(f"{self._label}: {name[0].lower()}{name[1:]}" if self._label else name, total)

    def advance(self, steps: int) -> None:
        self._progress.advance(steps)

    def say(self, line: str) -> None:
        self._progress.say(line)


def _words(seconds: float) -> str:
    return f"about {round(seconds / 60)} min" if seconds >= 90 else f"about {max(5, round(seconds / 5) * 5)} s"
