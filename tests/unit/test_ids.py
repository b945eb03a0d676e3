"""Ids are ordered by time, and exact in every representation."""

import struct
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tweeter import ids

FIRST_MS = ids.EPOCH_MS
LAST_MS = ids.EPOCH_MS + 2**41 - 1
milliseconds = st.integers(FIRST_MS, LAST_MS)
any_id = st.integers(0, ids.MAX_ID)
moments = milliseconds.map(lambda ms: ids.EPOCH + timedelta(milliseconds=ms - FIRST_MS))


@given(milliseconds, milliseconds, st.integers(0, 4095), st.integers(0, 4095))
def test_the_order_of_ids_is_the_order_of_time(one: int, other: int, low: int, high: int) -> None:
    if one < other:
        assert ids.first_id_of_ms(one) + low < ids.first_id_of_ms(other) + high


@given(moments)
def test_time_is_recovered_from_an_id(moment: datetime) -> None:
    assert ids.date_of(ids.first_id(moment)) == moment


@given(any_id)
def test_id_is_at_least_the_first_of_its_millisecond(id_: int) -> None:
    assert 0 <= id_ - ids.first_id(ids.date_of(id_)) < 4096


@given(any_id)
def test_an_id_is_exact_as_a_double(id_: int) -> None:
    assert int(struct.unpack("d", struct.pack("d", id_))[0]) == id_
    assert id_.bit_length() <= 53


@given(any_id, moments)
def test_older_than_a_date_is_one_comparison(id_: int, moment: datetime) -> None:
    assert (id_ < ids.first_id(moment)) == (ids.date_of(id_) < moment)


def test_time_zone_does_not_change_the_id() -> None:
    moment = datetime.fromisoformat("2026-11-23T12:00:00+05:30")
    assert ids.first_id(moment) == ids.first_id(moment.astimezone(UTC))


@pytest.mark.parametrize("ms", [FIRST_MS - 1, LAST_MS + 1, 0, 2**60])
def test_times_out_of_range_are_refused(ms: int) -> None:
    with pytest.raises(ValueError, match="between 2006-01-01 and 2075-09-07"):
        ids.first_id_of_ms(ms)


def test_first_and_last_times_are_accepted() -> None:
    assert ids.first_id_of_ms(FIRST_MS) == 0
    assert ids.first_id_of_ms(LAST_MS) + 4095 == ids.MAX_ID
    assert ids.date_of(ids.MAX_ID).date().isoformat() == "2075-09-07"


def test_ids_are_unique_and_increase_within_each_thread() -> None:
    generator = ids.IdGenerator()

    def take(_: int) -> list[int]:
        return [generator.next() for _ in range(2000)]

    with ThreadPoolExecutor(8) as pool:
        taken = list(pool.map(take, range(8)))
    for of_one in taken:
        assert of_one == sorted(of_one)
    assert len({id_ for of_one in taken for id_ in of_one}) == 16_000


@given(st.lists(milliseconds, min_size=2, max_size=50))
def test_ids_increase_for_any_clock_readings(readings: list[int]) -> None:
    clock = iter(readings)
    generator = ids.IdGenerator()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("tweeter.ids.time.time_ns", lambda: next(clock) * 1_000_000)
        made = [generator.next() for _ in readings]
    assert made == sorted(set(made))


def test_new_id_has_the_current_time() -> None:
    before = datetime.now(UTC) - timedelta(milliseconds=1)
    date = ids.date_of(ids.IdGenerator().next())
    assert before <= date <= datetime.now(UTC)


def test_two_processes_seldom_make_the_same_id(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tweeter.ids.time.time_ns", lambda: FIRST_MS * 1_000_000)
    assert len({ids.IdGenerator().next() for _ in range(100)}) > 80
