"""Actions on a backend, with the costs of a page before and after them."""

import time
from collections.abc import Callable
from contextlib import nullcontext

from tweeter.errors import BackendUnavailable, Refused
from tweeter.lab.comparison import Cost, read
from tweeter.lab.instruments import Instrument
from tweeter.lab.outage import Outage
from tweeter.lab.status import Backend, Experiment, Lab
from tweeter.models.base import now
from tweeter.values import Cursor, Timeline

CATCH_UP = 5.0  # seconds that the page waits for a repaired store
WARM_UP = 1.0  # seconds that it waits for a store that serves no warm page yet


def perform(lab: Lab, backend: Backend, what: str, by: str, user: tuple[int, str]) -> Experiment:
    """Performs the action and records it. `user` is the id and name of the owner of the home timeline to read or drop.

    Raises Refused if it is impossible.
    """
    instrument = backend.instrument
    if instrument is None:
        raise Refused(f"{backend.name} has no store that could be emptied, dropped or broken.")
    timeline, name = Timeline("home", user[0]), user[1]
    actions: dict[str, tuple[str, Callable[[], str | None]]] = {
        "empty": ("cache of tweets emptied", instrument.cache.clear),
        "drop": (f"home timeline of @{name} dropped", lambda: instrument.store.drop([timeline.key])),
        "mend": ("repaired", lambda: _mend(lab, backend, instrument)),
    }
    if instrument.breakable:
        actions["refuse"] = ("refuses connections", lambda: instrument.break_it("refuse"))
        actions["hang"] = ("accepts connections and never responds", lambda: instrument.break_it("hang"))
    if what not in actions:
        raise Refused(f"{backend.name} has no action “{what[:20]}”.")
    if what == "mend" and not instrument.broken:
        raise Refused(f"{backend.name} is not broken; it may have been repaired automatically.")
    if what in ("empty", "drop") and not backend.status().answers:
        raise Refused(f"{backend.name} does not respond, so the action “{what}” is impossible.")

    if what in ("refuse", "hang"):
        lab.outage = Outage(backend.name)
        lab.outage.start(backend.timelines, timeline)
    outage = lab.outage if lab.outage and lab.outage.backend == backend.name and lab.outage.running else None

    def look(label: str) -> tuple[str, Cost]:
        cost = read(backend.timelines, timeline, Cursor())[1]
        if outage:
            outage.record(cost.seconds)
        return label, cost

    said, do = actions[what]
    with outage.paused() if outage and what != "mend" else nullcontext():
        _warm_up(backend, timeline)
        before = look("before")
        try:
            note = do() or ""
        except BackendUnavailable as error:
            raise Refused(f"{backend.name} does not respond: {error}") from error
        if outage:
            outage.mark(said, last=what == "mend")
        reads = [before, look("first page after"), look("second page after")]
    experiment = Experiment(now(), by, backend.name, said, note, reads)
    lab.experiments.appendleft(experiment)
    return experiment


def _warm_up(backend: Backend, timeline: Timeline) -> None:
    """Reads until the page is warm: a timeline that was cold before is no effect of the action.

    The first page does not backfill the timeline while the store is behind or another page backfills it.
    """
    deadline = time.monotonic() + WARM_UP
    while read(backend.timelines, timeline, Cursor())[1].statements:
        if not backend.serving or time.monotonic() > deadline:
            return
        time.sleep(0.02)


def _mend(lab: Lab, backend: Backend, instrument: Instrument) -> str:
    """Repairs the store. Returns how many events were pending, and how long the store took to catch up."""
    lab.delivery.observe()
    waiting = backend.pending()
    instrument.mend()
    began = time.monotonic()
    while not backend.serving and time.monotonic() - began < CATCH_UP:
        time.sleep(0.02)
    seconds = time.monotonic() - began
    events = f"{waiting:,} event{'' if waiting == 1 else 's'}"
    if not backend.serving:
        return f"{events} pending; the store has not caught up after {seconds:.0f} s."
    return f"{events} pending; the store caught up and the circuit closed after {seconds:.1f} s."
