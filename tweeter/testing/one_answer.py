"""Invariant 1 as a stateful Hypothesis test: every backend returns the pages that SQL returns, whatever happens."""

from collections.abc import Sequence
from contextlib import suppress

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from tweeter import outbox
from tweeter.db.sessions import begin_immediate
from tweeter.errors import BackendUnavailable
from tweeter.interfaces import IMaterializedTimelines
from tweeter.metrics import CIRCUIT_OPENED
from tweeter.outbox.site import renew_site_id
from tweeter.testing.choosing import somebody, something_said, whom
from tweeter.testing.faults import Fault
from tweeter.testing.people import People
from tweeter.testing.site import Site
from tweeter.timelines.kinds import CELEBRITIES, celebrities_key
from tweeter.values import Truncated

PAGE = 3  # with a capacity of a few ids, so pages often cross the floor


def one_answer(
    site: Site, backends: Sequence[str], faults: Sequence[Fault] = (), neighbour: Site | None = None
) -> type[RuleBasedStateMachine]:
    """A state machine class for the processes of `site`, which may be restarted with any of `backends`.

    Run it with `run_state_machine_as_test(one_answer(site, backends), settings=…)`. The site should have a small
    `tweeter.capacity`. At most one of `faults` is active at a time; it is repaired some steps later. `neighbour` is a
    site on another database, with as many processes, that uses the same stores with the same settings.
    """
    processes = st.integers(0, len(site.processes) - 1)
    sites = [site] if neighbour is None else [site, neighbour]

    class OneAnswer(People):
        def __init__(self) -> None:
            super().__init__()
            self._fault: Fault | None = None
            self._doubted: float | None = None  # the count of opened circuits when a harmless fault was injected
            for self.site in sites:
                self.site.empty()
                for _ in range(3):
                    self.sign_up(0)
                self.make_list(0, user=0, private=False)
                for user in range(2):
                    self.add_member(0, number=0, user=user, deliver=True)

        @precondition(lambda self: len(sites) > 1)
        @rule()
        def go_to_the_neighbour(self) -> None:
            """All later steps run on the other site."""
            self.site = sites[1 - sites.index(self.site)]

        @rule(process=processes)
        def wipe(self, process: int) -> None:
            timelines = self._process(process).timelines
            if IMaterializedTimelines.providedBy(timelines):
                with suppress(BackendUnavailable):  # during a fault
                    timelines.clear()

        @somebody
        @rule(process=processes, number=whom)
        def evict_one(self, process: int, number: int) -> None:
            timelines = self._process(process).timelines
            if IMaterializedTimelines.providedBy(timelines):
                every = self.site.model.timelines()
                with suppress(BackendUnavailable):
                    timelines.drop(every[number % len(every)])

        @somebody
        @rule(process=processes, number=whom)
        def evict_one_key(self, process: int, number: int) -> None:
            """Also a key that is not a timeline's, but belongs to celebrities."""
            timelines = self._process(process).timelines
            if IMaterializedTimelines.providedBy(timelines):
                keys = [each.key for each in self.site.model.timelines()]
                keys += [CELEBRITIES, *map(celebrities_key, self.site.model.names)]
                with suppress(BackendUnavailable):
                    timelines.store.drop([keys[number % len(keys)]])

        @something_said
        @rule(process=processes, tweet=whom)
        def truncate(self, process: int, tweet: int) -> None:
            with self._process(process).sessions() as session:
                begin_immediate(session)
                outbox.record(session, Truncated(self._tweet(tweet)))
                session.commit()

        @rule(process=processes)
        def take_another_site_id(self, process: int) -> None:
            renew_site_id(self._process(process).sessions)

        @rule(process=processes, backend=st.sampled_from(backends))
        def switch(self, process: int, backend: str) -> None:
            self.site.restart(process, backend)

        @precondition(lambda self: bool(faults) and self._fault is None)
        @rule(fault=st.sampled_from(faults) if faults else st.nothing())
        def strike(self, fault: Fault) -> None:
            if fault.mend is not None:
                self._fault = fault
                self._all_ill(True)
            if fault.harmless:
                self._doubted = _times_doubted()
            fault.strike()

        strike_more = strike_most = strike  # three times as likely as another step

        @precondition(lambda self: self._fault is not None)
        @rule()
        def mend(self) -> None:
            fault, self._fault = self._fault, None
            if fault is not None and fault.mend is not None:
                fault.mend()
            self._all_ill(False)

        def _all_ill(self, ill: bool) -> None:
            for each in sites:
                each.ill = ill

        def teardown(self) -> None:
            self.mend()

        @invariant()
        def every_backend_gives_the_same_pages(self) -> None:
            for each in sites:
                assert not each.differences(PAGE)
            if self._doubted is not None and not faults:
                assert _times_doubted() == self._doubted
                self._doubted = None

    return OneAnswer


def _times_doubted() -> float:
    """How often a circuit opened in the processes of this test."""
    return sum(
        sample.value for metric in CIRCUIT_OPENED.collect() for sample in metric.samples if "_total" in sample.name
    )
