"""When a process trusts a shared store, after how many failures and how soon."""

import pytest

from tweeter.delivery.trust import Trust


class Timelines:
    """As much of timelines as trust is about."""

    trusted = False

    def trust(self):
        self.trusted = True

    def distrust(self):
        self.trusted = False


@pytest.fixture
def clock():
    """`clock[0]` is the time."""
    return [1000.0]


@pytest.fixture
def timelines():
    return Timelines()


@pytest.fixture
def trust(timelines, clock):
    return Trust(timelines, "store", lambda: clock[0])


def seconds_until_trusted(trust, timelines, clock):
    began = clock[0]
    while True:
        trust.gain([])
        if timelines.trusted:
            return clock[0] - began
        clock[0] += 0.5


def test_a_store_that_never_failed_is_trusted_at_once(trust, timelines, clock):
    trust.lose("not reached yet")
    assert seconds_until_trusted(trust, timelines, clock) == 0


def test_one_that_fails_again_and_again_has_to_work_for_longer_and_longer(trust, timelines, clock):
    trust.gain([])
    waited = []
    for _ in range(5):
        trust.lose("it hangs")
        waited.append(seconds_until_trusted(trust, timelines, clock))
    assert waited == [1, 2, 4, 6, 6]
    clock[0] += 100
    trust.lose("after a long time")
    assert seconds_until_trusted(trust, timelines, clock) == 1


def test_a_failure_during_its_probation_begins_it_anew(trust, timelines, clock):
    trust.gain([])
    trust.lose("it hangs")
    for _ in range(5):
        clock[0] += 0.9
        trust.gain([])
        assert not timelines.trusted
        trust.lose("it hangs")
    assert seconds_until_trusted(trust, timelines, clock) == 1


def test_what_a_page_found_out_counts_as_much(trust, timelines, clock):
    trust.gain([])
    timelines.distrust()
    assert seconds_until_trusted(trust, timelines, clock) == 1
    timelines.distrust()
    assert seconds_until_trusted(trust, timelines, clock) == 2


def test_who_waits_for_the_store_ends_its_probation(trust, timelines, clock):
    trust.gain([])
    trust.lose("it hangs")
    trust.forgive()
    assert seconds_until_trusted(trust, timelines, clock) == 0
