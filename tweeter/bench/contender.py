"""A measured backend, and whether its pages are correct."""

from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from typing import Any

from pyramid.registry import Registry

from tweeter import measure
from tweeter.bench.machinery import PATIENT, caught_up, machinery
from tweeter.bench.schema import Answered, Cost, label
from tweeter.bench.scratch import Scratch
from tweeter.interfaces import IDelivery, IMaterializedTimelines, ITimelineKinds
from tweeter.metrics import fallbacks
from tweeter.services.actions import acting
from tweeter.timelines.pull import PullTimelines
from tweeter.values import Cursor, Page, Timeline

PATIENCE = 120.0  # seconds, for a delivery
EXAMPLES = 5

# New accounts of a workload should measure the database, not the cost of the password hash.
CHEAP = {"tweeter.argon2.time_cost": 1, "tweeter.argon2.memory_kib": 8}


class Answers:
    """Counts the pages of a backend that were compared with SQL's."""

    def __init__(self, backend: str) -> None:
        self._backend = backend
        self._counted: Counter[str] = Counter(checked=0, late=0, differed=0, fallbacks=0, read=0)
        self._before = Counter(fallbacks(backend))
        self._examples: list[str] = []

    def read(self, served_by: str) -> None:
        """Counts a page by the backend that served it."""
        self._counted["read"] += 1
        self._counted["fallbacks"] += served_by.endswith(", from SQL")

    def add(self, timeline: Timeline, page: Page, expected: Page, late: bool) -> None:
        self._counted["checked"] += 1
        if page == expected:
            self._counted["late"] += late
            return
        self._counted["differed"] += 1
        if len(self._examples) < EXAMPLES:
            shown, right = ([tweet.id for tweet in each.tweets] for each in (page, expected))
            self._examples.append(f"{timeline.key}: {shown} instead of {right}")

    def total(self) -> Answered:
        reasons = Counter(fallbacks(self._backend)) - self._before
        counts = {reason: int(count) for reason, count in sorted(reasons.items())}
        return Answered(self._backend, examples=list(self._examples), reasons=counts, **self._counted)


class Contender:
    """A backend on a database of its own. Operations take the path of a request, without the HTML."""

    def __init__(self, registry: Registry, answers: Answers, name: str) -> None:
        self.name = name
        self.registry = registry
        self.sessions = registry.database.sessions
        self.timelines = caught_up(registry)
        self.delivery = registry.getUtility(IDelivery)
        self.answers = answers
        self.pull = PullTimelines("sql", self.sessions, registry.getUtility(ITimelineKinds))

    @property
    def materialized(self) -> bool:
        return bool(IMaterializedTimelines.providedBy(self.timelines))

    def read(self, timeline: Timeline, cursor: Cursor = Cursor()) -> tuple[Page, Cost]:  # noqa: B008 (a value)
        """A page and its cost."""
        with measure.measuring() as meter:
            page = self.timelines.page(timeline, cursor)
            cost = Cost.of(meter)
        self.answers.read(meter.served_by)
        return page, cost

    def post(self, user_id: int, message: str) -> tuple[Cost, Cost]:
        """Posts a tweet: the costs until it is committed, and until it is in the last follower's timeline."""
        with measure.measuring() as meter:
            with acting(self.registry) as actions:
                actions.post(user_id, message)
            committed = Cost.of(meter)
            self.delivery.wake()
            self.drain()
            return committed, Cost.of(meter)

    def drain(self) -> None:
        """Waits until all events are delivered."""
        if not self.delivery.drain(PATIENCE):
            raise RuntimeError(f"{self.name} does not catch up within {PATIENCE:.0f} seconds")

    def check(self, timeline: Timeline, cursor: Cursor, page: Page) -> None:
        """Compares a page with SQL's. If they differ, waits for pending events and compares again."""
        expected = self.pull.page(timeline, cursor)
        late = page != expected
        if late:
            self.drain()
            page = self.timelines.page(timeline, cursor)
        self.answers.add(timeline, page, expected, late)


@contextmanager
def contenders(scratch: Scratch, answers: Mapping[str, Answers], url: str, **more: Any) -> Iterator[list[Contender]]:
    """A Contender for each backend, each on its own copy of the database, so that all start from the same state.

    Timeouts of stores do not pass: a store that is slow for a moment counts as slow, and SQL does not serve its pages.
    """
    with ExitStack() as stack:
        found = []
        for backend, counted in answers.items():
            settings = scratch.settings(backend) | PATIENT | CHEAP | more
            settings["sqlalchemy.url"] = stack.enter_context(scratch.copy(url))
            found.append(Contender(stack.enter_context(machinery(settings)), counted, label(backend)))
        yield found
