"""The lab: the buttons that empty, drop, break and mend a store."""

import threading
import time

import pytest

from tests.conftest import HERE
from tests.support.labs import _break_at_once, alone, app, id_of, lab, people, row_of, with_servers  # noqa: F401
from tests.support.people import Browser, Person
from tweeter.interfaces import IDelivery
from tweeter.lab.instruments import Instrument
from tweeter.values import Cursor, Timeline

pytestmark = pytest.mark.slow


WARM = {"memory": 2, "redis": 1, "memcached": 2}  # round trips of a page


def reads_of(lab):
    return [(cost.served_by, cost.round_trips, len(cost.statements)) for _, cost in lab.experiments[0].reads]


@pytest.mark.parametrize("name", ["memory", "redis", "memcached"])
def test_emptied_cache_is_refilled_by_the_next_page(lab, people, name):
    people[0].send("/lab/store", backend=name, action="empty", status=303)
    before, first, second = reads_of(lab)
    assert before == second == (name, WARM[name], 0)
    assert first[0] == name
    assert first[1] > 2
    assert first[2] >= 1
    assert "cache of tweets emptied" in people[0].get("/lab/live").text


@pytest.mark.parametrize("name", ["memory", "redis", "memcached"])
def test_page_before_an_action_is_warm_after_another_page_has_backfilled_the_timeline(app, lab, people, name):
    backend, key = lab.backends[name], Timeline("home", id_of(app, "ada")).key
    store = backend.instrument.store
    store.drop([key])
    assert store.begin_backfill(key)
    threading.Timer(0.2, store.drop, ([key],)).start()  # that page gives up
    people[0].send("/lab/store", backend=name, action="empty", status=303)
    assert reads_of(lab)[0] == (name, WARM[name], 0)


@pytest.mark.parametrize("name", ["memory", "redis", "memcached"])
def test_dropped_timeline_is_backfilled_by_the_next_page(app, lab, people, name):
    ada, _ = people
    backend = lab.backends[name]
    bobs = Timeline("home", id_of(app, "bob"))
    backend.timelines.page(bobs, Cursor())
    ada.send("/lab/store", backend=name, action="drop", user="Ada", status=303)
    before, first, second = reads_of(lab)
    assert before == second == (name, WARM[name], 0)
    assert first[2] == 2  # the ids, and which are reposts
    assert backend.timelines.peek(bobs) is not None  # only Ada's was dropped
    assert "home timeline of @Ada dropped" in ada.get("/lab/live?user=bob").text


@pytest.mark.parametrize(("name", "how"), [("redis", "hang"), ("memcached", "refuse")])
def test_broken_store_falls_back_and_catches_up_after_repair(app, lab, people, name, how):
    ada, bob = people
    ada.send("/lab/switch", backend=name, status=303)
    ada.send("/lab/store", backend=name, action=how, status=303)
    before, first, second = reads_of(lab)
    assert before == (name, WARM[name], 0)
    assert first == (f"{name}, from SQL", 1, 1)
    assert second == (f"{name}, from SQL", 0, 1)
    news = bob.post("while it is away")
    assert ada.ids("/")[0] == news
    assert f"Served by {name}, from SQL in" in ada.get("/").text
    live = ada.get("/lab/live").text
    assert "broken" in live
    assert "1 event waits in the outbox" in live
    assert "broken" in row_of(ada.get("/lab"), name)
    assert f'aria-label="{name}: pages a second"' in live
    ada.send("/lab/store", backend=name, action="mend", status=303)
    assert "1 event pending; the store caught up and the circuit closed" in lab.experiments[0].note
    assert reads_of(lab)[1] == (name, WARM[name], 0) or reads_of(lab)[2] == (name, WARM[name], 0)
    assert ada.ids("/")[0] == news
    assert f"Served by {name} in" in ada.get("/").text
    assert len(lab.outage.marks) == 2
    lab.outage.ends = 1.0
    assert "They have stopped." in ada.get("/lab/progress")


def test_forgotten_break_is_repaired_automatically(app, lab, people):
    instrument = lab.backends["redis"].instrument
    instrument.break_it("refuse", seconds=0.1)
    assert instrument.broken
    deadline = time.monotonic() + 10
    while instrument.broken and time.monotonic() < deadline:
        time.sleep(0.02)
    assert not instrument.broken
    assert app.registry.getUtility(IDelivery).drain(10)


def test_store_without_an_address_cannot_be_broken(lab, people):
    ada, _ = people
    assert "memory has no action “refuse”" in ada.send("/lab/store", backend="memory", action="refuse", status=400)
    assert not lab.backends["memory"].instrument.breakable


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"backend": "redis", "action": "explode"}, "redis has no action “explode”."),
        ({"backend": "redis", "action": ""}, "redis has no action “”."),
        ({"backend": "redis", "action": "mend"}, "redis is not broken"),
        ({"backend": "cabinet", "action": "empty"}, "The lab has no backend of that name"),
        ({"backend": "sql", "action": "empty"}, "sql has no store"),
        ({}, "The lab has no backend of that name"),
    ],
)
def test_invalid_input_is_refused_with_a_message(people, fields, message):
    assert message in people[0].send("/lab/store", status=400, **fields).text


def test_timeline_of_unknown_user_cannot_be_dropped(people):
    page = people[0].send("/lab/store", backend="redis", action="drop", user="nobody_x", status=404)
    assert "There is no user called @nobody_x" in page.text


def test_unreachable_store_cannot_be_emptied(alone):
    ada = Person(Browser(alone, HERE), "Ada")
    page = ada.send("/lab/store", backend="redis", action="empty", status=400)
    assert "redis does not respond" in page.text


def test_instrument_without_an_address_cannot_be_broken():
    with pytest.raises(TypeError, match="has no address"):
        Instrument("cabinet", object(), object()).break_it("refuse")  # type: ignore[arg-type]
