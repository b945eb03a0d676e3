"""The circuit breaker of a shared store."""

import pytest

from tweeter.timelines.circuit import Circuit, State


@pytest.fixture
def clock():
    """`clock[0]` is the time."""
    return [1000.0]


@pytest.fixture
def circuit(clock):
    return Circuit("store", lambda: clock[0])


def seconds_until_closed(circuit, clock):
    began = clock[0]
    while True:
        circuit.succeeded()
        if circuit.closed:
            return clock[0] - began
        clock[0] += 0.5


def test_store_without_failures_is_read_at_once(circuit, clock):
    assert (circuit.state, circuit.closed) == (State.STARTING, False)
    assert seconds_until_closed(circuit, clock) == 0


def test_store_unreachable_at_startup_is_read_once_reachable(circuit, clock):
    circuit.failed("refused")
    assert circuit.state is State.OPEN
    assert seconds_until_closed(circuit, clock) == 0


@pytest.mark.parametrize("optional", [False, True])
def test_only_an_optional_store_may_be_absent_at_startup_without_a_warning(circuit, optional, caplog):
    circuit.optional = optional
    circuit.failed("refused")
    assert len(caplog.records) == (not optional)
    circuit.succeeded()
    circuit.skip_half_open()
    circuit.succeeded()
    caplog.clear()
    circuit.failed("refused")
    assert [record.levelname for record in caplog.records] == ["WARNING"]


def test_repeated_failures_lengthen_the_half_open_state(circuit, clock):
    circuit.succeeded()
    waited = []
    for _ in range(5):
        circuit.failed("it hangs")
        waited.append(seconds_until_closed(circuit, clock))
    assert waited == [1, 2, 4, 6, 6]
    clock[0] += 100
    circuit.failed("after a long time")
    assert seconds_until_closed(circuit, clock) == 1


def test_failure_while_half_open_restarts_the_half_open_state(circuit, clock):
    circuit.succeeded()
    circuit.failed("it hangs")
    for _ in range(5):
        circuit.succeeded()
        clock[0] += 0.9
        circuit.succeeded()
        assert circuit.state is State.HALF_OPEN
        circuit.failed("it hangs")
    assert seconds_until_closed(circuit, clock) == 1


def test_waiting_caller_closes_the_circuit_early(circuit, clock):
    circuit.succeeded()
    circuit.failed("it hangs")
    circuit.skip_half_open()
    assert seconds_until_closed(circuit, clock) == 0
