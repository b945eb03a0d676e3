"""What a run of `tweeter bench chaos` found."""

import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from tweeter.bench.chaos.history import BETWEEN, Tally
from tweeter.bench.figures import Table, show

VERIFIED = 10.0  # seconds from the end of the load until `tweeter verify` finds no difference, at most
SHOWN = 20  # violations that are printed
HEAD = ("killed", "times", "lease", "down", "back", "requests", "5xx", "cut", "pages", "SQL", "age", "wrong")
KEY = (
    "lease: how often the killed process delivered; down: median seconds until the restarted part responded; back: most"
    " seconds from then until everything worked as before; cut: requests without a response; SQL: pages from SQL"
    " instead of Redis; age: most seconds since the commit of a change that a page lacked."
)


@dataclass
class Found:
    """The Report (`tweeter.bench.figures`) of a run. `verified`: seconds from the end of the load to a clean verify."""

    tallies: Sequence[Tally]
    wrong: Sequence[str]
    seconds: float
    verified: float

    @property
    def right(self) -> bool:
        return not self.wrong

    @property
    def code(self) -> int:
        """The exit code: 1 if anything was violated."""
        return 0 if self.right else 1

    def show(self) -> None:
        names = dict.fromkeys(tally.fault for tally in self.tallies)
        groups = [[tally for tally in self.tallies if tally.fault == name] for name in names]
        show(Table("Kills, and pages meanwhile", HEAD, [_row(group) for group in groups], left=1), KEY)
        for line in self.wrong[:SHOWN]:
            print(line)
        if len(self.wrong) > SHOWN:
            print(f"… and {len(self.wrong) - SHOWN:,} more")
        print(self.verdict)

    @property
    def verdict(self) -> str:
        kills = sum(tally.fault != BETWEEN for tally in self.tallies)
        pages = sum(sum(tally.pages.values()) - tally.pages["none"] for tally in self.tallies)
        writes = sum(tally.writes for tally in self.tallies)
        done = f"{kills} kills in {self.seconds:.0f} s, {writes:,} writes, {pages:,} pages checked"
        if not self.right:
            return f"VIOLATED: {done}; {len(self.wrong)} violations."
        return (
            f"{done}: no acknowledged write was lost, no page was wrong, no response was 5xx while the primary ran; "
            f"tweeter verify found no difference {self.verified:.1f} s after the end (at most {VERIFIED:g})."
        )

    def data(self) -> dict[str, Any]:
        return vars(self) | {
            "tallies": [vars(tally) | {"pages": dict(tally.pages)} for tally in self.tallies],
            "right": self.right,
        }


def line(tally: Tally) -> str:
    """One fault in words, printed when it ends."""
    return (
        f"{tally.fault} killed{', which delivered' if tally.delivered else ''}: down {tally.down:.1f} s,"
        f" recovered after {tally.recovered:.1f} s;"
        f" {tally.requests} requests, {tally.failed} 5xx, {tally.unanswered} without response;"
        f" {_pages(tally)} pages, {_from_sql(tally)} from SQL, oldest {tally.oldest:.2f} s; {tally.wrong} wrong"
    )


def _row(group: Sequence[Tally]) -> list[Any]:
    killed = group[0].fault != BETWEEN
    return [
        group[0].fault,
        len(group) if killed else None,
        sum(tally.delivered for tally in group) or None,
        f"{statistics.median(tally.down for tally in group):.1f}" if killed else None,
        f"{max(tally.recovered for tally in group):.1f}" if killed else None,
        sum(tally.requests for tally in group),
        sum(tally.failed for tally in group),
        sum(tally.unanswered for tally in group),
        sum(map(_pages, group)),
        sum(map(_from_sql, group)),
        f"{max(tally.oldest for tally in group):.2f}",
        sum(tally.wrong for tally in group),
    ]


def _pages(tally: Tally) -> int:
    return sum(number for by, number in tally.pages.items() if by != "none")


def _from_sql(tally: Tally) -> int:
    return sum(number for by, number in tally.pages.items() if by.endswith("from SQL"))
